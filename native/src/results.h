// SPDX-License-Identifier: Apache-2.0
// What a step gave, as JavaScript reads it.
#pragma once
#include "arguments.h"

namespace dyn {

// {slots, tokenIds, logprobs, topCounts, topIds, topLogprobs}
inline Napi::Object toJs(Napi::Env env, const std::vector<Sampled>& tokens) {
  const size_t n = tokens.size();
  size_t alternatives = 0;
  for (const Sampled& s : tokens) alternatives += s.topIds.size();
  Napi::Uint32Array slots = Napi::Uint32Array::New(env, n), ids = Napi::Uint32Array::New(env, n), counts = Napi::Uint32Array::New(env, n);
  Napi::Float64Array logprobs = Napi::Float64Array::New(env, n);
  Napi::Uint32Array topIds = Napi::Uint32Array::New(env, alternatives);
  Napi::Float64Array topLogprobs = Napi::Float64Array::New(env, alternatives);
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    const Sampled& s = tokens[i];
    slots[i] = s.slot;
    ids[i] = s.tokenId;
    logprobs[i] = s.logprob;
    counts[i] = uint32_t(s.topIds.size());
    for (size_t k = 0; k < s.topIds.size(); k++, at++) {
      topIds[at] = s.topIds[k];
      topLogprobs[at] = s.topLogprobs[k];
    }
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("slots", slots);
  result.Set("tokenIds", ids);
  result.Set("logprobs", logprobs);
  result.Set("topCounts", counts);
  result.Set("topIds", topIds);
  result.Set("topLogprobs", topLogprobs);
  return result;
}

// {cancelled, elapsedMs, scores, and the sampled tokens}
inline Napi::Object toJs(Napi::Env env, const StepOutcome& outcome) {
  Napi::Object result = toJs(env, outcome.sampled);
  result.Set("cancelled", outcome.cancelled);
  result.Set("elapsedMs", outcome.elapsedMs);
  result.Set("scores", outcome.scores.empty() ? env.Null() : toJs(env, outcome.scores));
  return result;
}

} // namespace dyn
