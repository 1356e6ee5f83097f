// SPDX-License-Identifier: Apache-2.0
// What JavaScript says of a sequence's sampling.
#pragma once
#include "arguments.h"

namespace dyn {

inline SamplerParams samplerParamsOf(const Napi::Object& from, int vocabSize) {
  SamplerParams params;
  params.temperature = float(finiteOf(from, "temperature"));
  params.topK = countOf(from, "topK");
  params.topP = float(finiteOf(from, "topP"));
  params.minP = float(finiteOf(from, "minP"));
  params.presencePenalty = finiteOf(from, "presencePenalty");
  params.frequencyPenalty = finiteOf(from, "frequencyPenalty");
  params.repetitionPenalty = finiteOf(from, "repetitionPenalty");
  params.seed = uint64_t(integerOf<uint32_t>(from.Get("seedHigh"), "seedHigh")) << 32 | integerOf<uint32_t>(from.Get("seedLow"), "seedLow");
  params.minTokens = countOf(from, "minTokens");
  params.logprobs = integerOf(from.Get("logprobs"), "logprobs", -1, 20);
  const auto idsIn = [&](const Napi::Value& value, const char* name) {
    const Napi::Uint32Array array = idsOf(value, name);
    for (size_t i = 0; i < array.ElementLength(); i++)
      if (array[i] >= uint32_t(vocabSize)) refuse(from.Env(), std::string(name) + ": token id " + std::to_string(array[i]) + " is not in the vocabulary");
    return std::vector<uint32_t>(array.Data(), array.Data() + array.ElementLength());
  };
  params.biasIds = idsIn(from.Get("biasIds"), "biasIds");
  params.endIds = idsIn(from.Get("endIds"), "endIds");
  const Napi::Value words = from.Get("badWords");
  for (uint32_t i = 0; words.IsArray() && i < words.As<Napi::Array>().Length(); i++) {
    params.badWords.push_back(idsIn(words.As<Napi::Array>().Get(i), "badWords"));
    if (params.badWords.back().empty()) refuse(from.Env(), "badWords has a word without tokens");
  }
  const Napi::Float32Array values = floatsOf(from.Get("biasValues"), "biasValues");
  params.biasValues.assign(values.Data(), values.Data() + values.ElementLength());
  if (params.biasValues.size() != params.biasIds.size()) refuse(from.Env(), "biasIds and biasValues differ in length");
  return params;
}

} // namespace dyn
