// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace dyn {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Most likely first; equal logits in order of their ids.
struct MoreLikely {
  const float* logits;
  bool operator()(uint32_t a, uint32_t b) const { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); }
};

// Four lanes: what every CPU of an architecture has. Sixteen of them at a time, named as vectors: an array of floats would
// be stored and loaded again for every logit.
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Bits __attribute__((vector_size(16)));

struct Look {
  float largest; // -Infinity when there is none above; NaN is never the largest
  bool below;    // whether all are below +Infinity, which NaN is not
};

Look look(const float* logits, int n) {
  constexpr int vectors = 4, lanes = 4 * vectors;
  const Floats infinity = Floats{} + std::numeric_limits<float>::infinity(), never = -infinity;
  Floats largest[vectors] = {never, never, never, never};
  Bits below[vectors] = {~Bits{}, ~Bits{}, ~Bits{}, ~Bits{}};
  int i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int k = 0; k < vectors; k++) {
      Floats x;
      std::memcpy(&x, logits + i + 4 * k, sizeof x);
      largest[k] = x > largest[k] ? x : largest[k];
      below[k] &= x < infinity;
    }
  Look result{kNever, true};
  const auto add = [&](float logit, bool isBelow) {
    result.largest = logit > result.largest ? logit : result.largest;
    result.below &= isBelow;
  };
  for (int lane = 0; lane < lanes; lane++) add(largest[lane / 4][lane % 4], below[lane / 4][lane % 4] != 0);
  for (; i < n; i++) add(logits[i], logits[i] < -kNever);
  return result;
}

// The lowest id of the largest logit; NaN is never the largest. Only the block that has it is searched for it.
uint32_t argmax(const float* logits, int n) {
  constexpr int block = 1024;
  float largest = kNever;
  int at = 0;
  for (int i = 0; i < n; i += block) {
    const float found = look(logits + i, std::min(block, n - i)).largest;
    if (found > largest) {
      largest = found;
      at = i;
    }
  }
  const float* found = std::find(logits + at, logits + n, largest);
  return found == logits + n ? 0 : uint32_t(found - logits);
}

// Whether no logit is NaN or +Infinity and one is above -Infinity.
bool usable(const float* logits, int n) {
  const Look seen = look(logits, n);
  return seen.below && seen.largest > kNever;
}

void applyMask(float* logits, int n, const uint32_t* mask) {
  for (int word = 0; word * 32 < n; word++) {
    if (mask[word] == ~0u) continue;
    const int end = std::min(n, word * 32 + 32);
    for (int id = word * 32; id < end; id++)
      if (!(mask[word] >> (id & 31) & 1)) logits[id] = kNever;
  }
}

double logSumExp(const float* logits, int n, float top) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += std::exp(double(logits[i]) - double(top));
  return double(top) + std::log(sum);
}

} // namespace

double uniformAt(uint64_t seed, uint64_t k) {
  uint64_t z = seed + (k + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return double(z >> 11) * 0x1p-53;
}

Sampled scoreToken(const float* logits, int vocabSize, uint32_t id, int top) {
  Sampled result;
  const double normaliser = logSumExp(logits, vocabSize, logits[argmax(logits, vocabSize)]);
  result.tokenId = id;
  result.logprob = double(logits[id]) - normaliser;
  const size_t count = std::min(size_t(top), size_t(vocabSize));
  if (count == 0) return result;
  std::vector<uint32_t> ids(static_cast<size_t>(vocabSize));
  std::iota(ids.begin(), ids.end(), 0u);
  std::partial_sort(ids.begin(), ids.begin() + long(count), ids.end(), MoreLikely{logits});
  for (size_t i = 0; i < count && logits[ids[i]] > kNever; i++) {
    result.topIds.push_back(ids[i]);
    result.topLogprobs.push_back(double(logits[ids[i]]) - normaliser);
  }
  return result;
}

Sampler::Sampler(SamplerParams params, const uint32_t* context, size_t length, size_t generated) : params_(std::move(params)), generated_(generated) {
  if (params_.repetitionPenalty != 1)
    for (size_t i = 0; i < length; i++) seen_[context[i]] = true;
  if (params_.presencePenalty != 0 || params_.frequencyPenalty != 0)
    for (size_t i = length - generated; i < length; i++) outputCounts_[context[i]]++;
  for (const std::vector<uint32_t>& word : params_.badWords) longestWord_ = std::max(longestWord_, word.size());
  if (longestWord_ > 0) end_.assign(context + length - std::min(length, longestWord_ - 1), context + length);
}

Sampled Sampler::sample(float* logits, int vocabSize, const uint32_t* mask, bool edited) {
  Sampled result;
  if (edited && !usable(logits, vocabSize)) {
    result.tokenId = kUnusable;
    return result;
  }
  adjust(logits, vocabSize);
  if (mask) applyMask(logits, vocabSize, mask);
  if ((mask || longestWord_ > 0) && logits[argmax(logits, vocabSize)] == kNever) {
    result.tokenId = kNoToken;
    return result;
  }
  result.tokenId = choose(logits, vocabSize);
  result.logprob = std::nan("");
  if (params_.logprobs >= 0) result = scoreToken(logits, vocabSize, result.tokenId, params_.logprobs);
  generated_++;
  if (params_.repetitionPenalty != 1) seen_[result.tokenId] = true;
  if (params_.presencePenalty != 0 || params_.frequencyPenalty != 0) outputCounts_[result.tokenId]++;
  if (longestWord_ > 1) {
    if (end_.size() >= 2 * longestWord_) end_.erase(end_.begin(), end_.begin() + std::ptrdiff_t(longestWord_));
    end_.push_back(result.tokenId);
  }
  return result;
}

bool Sampler::ends(uint32_t token) const { return std::find(params_.endIds.begin(), params_.endIds.end(), token) != params_.endIds.end(); }

void Sampler::adjust(float* logits, int vocabSize) const {
  for (const auto& [id, unused] : seen_) {
    (void)unused;
    if (int(id) < vocabSize) logits[id] = float(logits[id] > 0 ? double(logits[id]) / params_.repetitionPenalty : double(logits[id]) * params_.repetitionPenalty);
  }
  for (const auto& [id, count] : outputCounts_)
    if (int(id) < vocabSize) logits[id] -= float(params_.presencePenalty + double(float(params_.frequencyPenalty * count)));
  for (size_t i = 0; i < params_.biasIds.size(); i++) logits[params_.biasIds[i]] += params_.biasValues[i];
  if (generated_ < uint64_t(params_.minTokens))
    for (uint32_t id : params_.endIds) logits[id] = kNever;
  for (const std::vector<uint32_t>& word : params_.badWords) {
    const size_t before = word.size() - 1;
    if (before <= end_.size() && std::equal(word.begin(), word.end() - 1, end_.end() - std::ptrdiff_t(before))) logits[word.back()] = kNever;
  }
}

// Temperature, then top-k, top-p and min-p over what is left, then one draw from the renormalised rest. Without
// truncation the draw runs over ids in order; with it, over tokens from the most likely down.
uint32_t Sampler::choose(const float* logits, int vocabSize) {
  const uint32_t best = argmax(logits, vocabSize);
  if (params_.temperature <= 0) return best;
  const double inverse = 1.0 / double(params_.temperature), top = double(logits[best]);
  const bool byK = params_.topK > 0 && params_.topK < vocabSize, byP = params_.topP < 1, byMin = params_.minP > 0;
  const double uniform = uniformAt(params_.seed, generated_);
  const size_t vocabulary = size_t(vocabSize);
  weights_.resize(vocabulary);
  const auto weigh = [&](size_t id) { return weights_[id] = std::exp((double(logits[id]) - top) * inverse); };
  double total = 0; // of what the next cut-off sees; the most likely token weighs 1

  candidates_.clear();
  if (byK) {
    for (size_t id = 0; id < vocabulary; id++)
      if (!std::isnan(logits[id])) candidates_.push_back(uint32_t(id));
  } else {
    for (size_t id = 0; id < vocabulary; id++) total += weigh(id);
    if (!byP && !byMin) {
      double left = uniform * total;
      for (size_t id = 0; id < vocabulary; id++) {
        left -= weights_[id];
        if (left < 0) return uint32_t(id);
      }
      return best;
    }
    // What no cut-off can keep is left out before anything is sorted. All tokens lighter than (1 - p) * total / vocabulary
    // together weigh less than 1 - p: top-p is satisfied before it reaches them (0.999: sums are rounded). NaN fails the test.
    double least = byP ? 0.999 * (1.0 - double(params_.topP)) * total / double(vocabSize) : 0;
    if (byMin) least = std::max(least, double(params_.minP));
    for (size_t id = 0; id < vocabulary; id++)
      if (weights_[id] >= least) candidates_.push_back(uint32_t(id));
  }

  size_t kept = byK ? std::min(size_t(params_.topK), candidates_.size()) : candidates_.size();
  size_t sorted = 0;
  const auto at = [this](size_t i) { return candidates_.begin() + std::ptrdiff_t(i); };
  const auto sortMore = [&] {
    const size_t next = byK ? kept : std::min(kept, std::max(size_t(256), sorted * 4));
    if (next - sorted <= 256) {
      std::partial_sort(at(sorted), at(next), candidates_.end(), MoreLikely{logits}); // a heap: fastest for a few
    } else {
      if (next < candidates_.size()) std::nth_element(at(sorted), at(next), candidates_.end(), MoreLikely{logits});
      std::sort(at(sorted), at(next), MoreLikely{logits});
    }
    sorted = next;
  };
  if (byK) {
    sortMore();
    for (size_t i = 0; i < kept; i++) total += weigh(candidates_[i]);
  }
  if (byP) {
    double sum = 0;
    size_t i = 0;
    while (i < kept) {
      if (i == sorted) sortMore();
      sum += weights_[candidates_[i++]];
      if (sum >= double(params_.topP) * total) break;
    }
    kept = i;
  }
  if (byMin) {
    size_t i = 0;
    while (i < kept) {
      if (i == sorted) sortMore();
      if (weights_[candidates_[i]] < double(params_.minP)) break;
      i++;
    }
    kept = i;
  }
  total = 0;
  for (size_t i = 0; i < kept; i++) total += weights_[candidates_[i]];
  double left = uniform * total;
  for (size_t i = 0; i < kept; i++) {
    left -= weights_[candidates_[i]];
    if (left < 0) return candidates_[i];
  }
  return best;
}

} // namespace dyn
