// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include <algorithm>
#include <cmath>
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

uint32_t argmax(const float* logits, int n) {
  uint32_t best = 0;
  for (int i = 1; i < n; i++)
    if (logits[i] > logits[best]) best = uint32_t(i);
  return best;
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

Sampler::Sampler(SamplerParams params, const uint32_t* context, size_t length, size_t generated) : params_(std::move(params)), generated_(generated) {
  if (params_.repetitionPenalty != 1)
    for (size_t i = 0; i < length; i++) seen_[context[i]] = true;
  if (params_.presencePenalty != 0 || params_.frequencyPenalty != 0)
    for (size_t i = length - generated; i < length; i++) outputCounts_[context[i]]++;
}

Sampled Sampler::sample(float* logits, int vocabSize) {
  adjust(logits, vocabSize);
  Sampled result;
  result.tokenId = choose(logits, vocabSize);
  result.logprob = std::nan("");
  if (params_.logprobs >= 0) {
    const double normaliser = logSumExp(logits, vocabSize, logits[argmax(logits, vocabSize)]);
    result.logprob = double(logits[result.tokenId]) - normaliser;
    const size_t count = std::min(size_t(params_.logprobs), size_t(vocabSize));
    if (count > 0) {
      candidates_.resize(size_t(vocabSize));
      std::iota(candidates_.begin(), candidates_.end(), 0u);
      std::partial_sort(candidates_.begin(), candidates_.begin() + long(count), candidates_.end(), MoreLikely{logits});
      for (size_t i = 0; i < count; i++) {
        result.topIds.push_back(candidates_[i]);
        result.topLogprobs.push_back(float(double(logits[candidates_[i]]) - normaliser));
      }
    }
  }
  generated_++;
  if (params_.repetitionPenalty != 1) seen_[result.tokenId] = true;
  if (params_.presencePenalty != 0 || params_.frequencyPenalty != 0) outputCounts_[result.tokenId]++;
  return result;
}

void Sampler::adjust(float* logits, int vocabSize) const {
  for (const auto& [id, unused] : seen_) {
    (void)unused;
    if (int(id) < vocabSize) logits[id] = float(logits[id] > 0 ? double(logits[id]) / params_.repetitionPenalty : double(logits[id]) * params_.repetitionPenalty);
  }
  for (const auto& [id, count] : outputCounts_)
    if (int(id) < vocabSize) logits[id] -= float(params_.presencePenalty + double(float(params_.frequencyPenalty * count)));
  for (size_t i = 0; i < params_.biasIds.size(); i++) logits[params_.biasIds[i]] += params_.biasValues[i];
  if (generated_ < uint64_t(params_.minTokens))
    for (uint32_t id : params_.suppressIds) logits[id] = kNever;
}

// Temperature, then top-k, top-p and min-p over what is left, then one draw from the renormalised rest. Without
// truncation the draw runs over ids in order; with it, over tokens from the most likely down.
uint32_t Sampler::choose(const float* logits, int vocabSize) {
  const uint32_t best = argmax(logits, vocabSize);
  if (params_.temperature <= 0) return best;
  const double inverse = 1.0 / double(params_.temperature), top = double(logits[best]);
  const auto weight = [&](uint32_t id) { return std::exp((double(logits[id]) - top) * inverse); };
  const double uniform = uniformAt(params_.seed, generated_);
  const bool byK = params_.topK > 0 && params_.topK < vocabSize, byP = params_.topP < 1, byMin = params_.minP > 0;

  if (!byK && !byP && !byMin) {
    double total = 0;
    for (int i = 0; i < vocabSize; i++) total += weight(uint32_t(i));
    double left = uniform * total;
    for (int i = 0; i < vocabSize; i++) {
      left -= weight(uint32_t(i));
      if (left < 0) return uint32_t(i);
    }
    return best;
  }

  candidates_.resize(size_t(vocabSize));
  std::iota(candidates_.begin(), candidates_.end(), 0u);
  const MoreLikely order{logits};
  size_t kept = byK ? size_t(params_.topK) : size_t(vocabSize);
  size_t sorted = byK ? kept : std::min(kept, size_t(256));
  std::partial_sort(candidates_.begin(), candidates_.begin() + long(sorted), candidates_.end(), order);
  const auto sortMore = [&] {
    const size_t next = std::min(kept, sorted * 4);
    std::partial_sort(candidates_.begin() + long(sorted), candidates_.begin() + long(next), candidates_.end(), order);
    sorted = next;
  };
  if (byP) {
    double total = 0;
    for (size_t i = 0; i < kept; i++) total += weight(candidates_[i]);
    double sum = 0;
    size_t i = 0;
    while (i < kept) {
      if (i == sorted) sortMore();
      sum += weight(candidates_[i++]);
      if (sum >= double(params_.topP) * total) break;
    }
    kept = i;
  }
  if (byMin) {
    size_t i = 0;
    while (i < kept) {
      if (i == sorted) sortMore();
      if (weight(candidates_[i]) < double(params_.minP)) break; // the most likely one has weight 1
      i++;
    }
    kept = i;
  }
  double total = 0;
  for (size_t i = 0; i < kept; i++) total += weight(candidates_[i]);
  double left = uniform * total;
  for (size_t i = 0; i < kept; i++) {
    left -= weight(candidates_[i]);
    if (left < 0) return candidates_[i];
  }
  return best;
}

} // namespace dyn
