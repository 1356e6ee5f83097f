// SPDX-License-Identifier: Apache-2.0
// Chooses tokens. Semantics: SamplerParams in packages/trtllm-native/src/backend/forward-backend.ts; the reference
// implementation beside it (reference/sampler.ts) chooses the same token from the same logits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace dyn {

struct SamplerParams {
  float temperature = 1, topP = 1, minP = 0;
  double presencePenalty = 0, frequencyPenalty = 0, repetitionPenalty = 1;
  int topK = 0, minTokens = 0, logprobs = -1;
  uint64_t seed = 0;
  std::vector<uint32_t> biasIds, endIds;
  std::vector<float> biasValues;
  std::vector<std::vector<uint32_t>> badWords; // none is empty
};

// In place of a token id: none could be chosen; the logits were not such that one could.
constexpr uint32_t kNoToken = UINT32_MAX, kUnusable = UINT32_MAX - 1;

struct Sampled {
  uint32_t slot = 0, tokenId = 0;
  double logprob = 0; // NaN when not asked for
  std::vector<uint32_t> topIds;
  std::vector<double> topLogprobs;
};

// Log-probability of `id` and of the `top` most likely tokens, most likely first; those that cannot be are left out.
Sampled scoreToken(const float* logits, int vocabSize, uint32_t id, int top);

// The k-th number of a seed's sequence, uniform in [0, 1): SplitMix64 of seed + (k + 1) * golden gamma, top 53 bits.
double uniformAt(uint64_t seed, uint64_t k);

class Sampler {
public:
  // `context`: everything the sequence holds so far; the last `generated` of it count as output.
  Sampler(SamplerParams params, const uint32_t* context, size_t length, size_t generated);
  // Edits `logits` (penalties, bias, suppression, bad words, mask), chooses a token and records it as generated.
  // `mask`, if any: a bit per token, the lowest of the first word first; a token whose bit is 0 cannot be chosen.
  // Gives kNoToken, and records nothing, when mask and bad words leave none.
  // `edited`: by somebody who may have left nonsense. Gives kUnusable, and changes nothing at all, when a logit is NaN or
  // +Infinity, or none is above -Infinity.
  Sampled sample(float* logits, int vocabSize, const uint32_t* mask = nullptr, bool edited = false);
  bool ends(uint32_t token) const; // whether it is one of the ids that end the sequence

private:
  void adjust(float* logits, int vocabSize) const;
  uint32_t choose(const float* logits, int vocabSize);

  SamplerParams params_;
  uint64_t generated_;
  std::unordered_map<uint32_t, uint32_t> outputCounts_; // kept only when a penalty needs it
  std::unordered_map<uint32_t, bool> seen_;             // prompt and output, for the repetition penalty
  size_t longestWord_ = 0;
  std::vector<uint32_t> end_; // of prompt and output: at least as many tokens as a bad word has before its last, if there are
  std::vector<uint32_t> candidates_; // reused from token to token
  std::vector<double> weights_;      // by id, e^((logit - largest) / temperature)
};

} // namespace dyn
