// SPDX-License-Identifier: Apache-2.0
// What JavaScript gives, as values of the engine: checked, and refused by name.
#pragma once
#define NAPI_VERSION 8
#include <napi.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "engine.h"
#include "kernels/quantise.h"
#include "native_error.h"

namespace dyn {

inline Napi::Error toJs(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

[[noreturn]] inline void refuse(Napi::Env env, const std::string& message) { throw toJs(env, "INVALID_ARGUMENT", message); }

// Calls `work` and turns what the engine throws into an error with a code; nothing but Napi::Error may leave a callback.
template <class Work>
auto translated(Napi::Env env, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const NativeError& error) {
    throw toJs(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    throw toJs(env, "OUT_OF_MEMORY", "not enough memory");
  } catch (const std::length_error& error) {
    throw toJs(env, "OUT_OF_MEMORY", std::string("too large: ") + error.what());
  }
}

inline double numberOf(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(value.Env(), std::string(name) + " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

// An integer from `least` to `most`, refused by name otherwise.
template <class Int = int>
Int integerOf(const Napi::Value& value, const char* name, double least = 0, double most = std::numeric_limits<Int>::max()) {
  const double number = numberOf(value, name);
  if (!(number >= least && number <= most) || number != std::floor(number))
    refuse(value.Env(), std::string(name) + " must be an integer of at least " + std::to_string((long long)least) + ", within its range");
  return Int(number);
}

inline double finiteOf(const Napi::Object& object, const char* name) {
  const double number = numberOf(object.Get(name), name);
  if (!std::isfinite(number)) refuse(object.Env(), std::string(name) + " must be finite");
  return number;
}

inline int countOf(const Napi::Object& object, const char* name) { return integerOf(object.Get(name), name); }
inline int positiveOf(const Napi::Object& object, const char* name) { return integerOf(object.Get(name), name, 1); }
// Bytes: up to the largest integer that a double holds exactly.
inline size_t bytesOf(const Napi::Object& object, const char* name) { return integerOf<size_t>(object.Get(name), name, 0, 0x1p53 - 1); }
inline std::string textOf(const Napi::Object& object, const char* name) { return object.Get(name).ToString().Utf8Value(); }

template <class Array>
Array arrayOf(const Napi::Value& value, napi_typedarray_type type, const char* name, const char* typeName) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) refuse(value.Env(), std::string(name) + " must be a " + typeName);
  return value.As<Array>();
}
inline Napi::Uint32Array idsOf(const Napi::Value& value, const char* name) { return arrayOf<Napi::Uint32Array>(value, napi_uint32_array, name, "Uint32Array"); }
inline Napi::Float32Array floatsOf(const Napi::Value& value, const char* name) { return arrayOf<Napi::Float32Array>(value, napi_float32_array, name, "Float32Array"); }

inline TensorType tensorTypeOf(Napi::Env env, const std::string& name) {
  static const char* const names[] = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
  for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
    if (name == names[i]) return TensorType(i);
  throw toJs(env, "MODEL_FORMAT", "unknown tensor type " + name);
}

inline TensorSource tensorOf(const Napi::Object& from) {
  const TensorType type = tensorTypeOf(from.Env(), textOf(from, "type"));
  const TensorType packed = from.Get("quantizeTo").IsString() ? tensorTypeOf(from.Env(), textOf(from, "quantizeTo")) : type;
  const std::string name = textOf(from, "name");
  if (packed != type && !(canQuantiseFrom(type) && canQuantiseTo(packed))) refuse(from.Env(), "tensor " + name + " cannot be quantised to " + textOf(from, "quantizeTo"));
  return {name, textOf(from, "file"), bytesOf(from, "offset"), bytesOf(from, "byteLength"), type, packed, positiveOf(from, "rows"), positiveOf(from, "cols"), countOf(from, "permutedHeads")};
}

// A dimension that every product of two fits into an int.
inline int dimensionOf(const Napi::Object& spec, const char* name) {
  const double value = numberOf(spec.Get(name), name);
  if (!(value >= 1 && value <= (1 << 24)) || value != std::floor(value))
    throw toJs(spec.Env(), "MODEL_FORMAT", std::string(name) + " of the model is not a positive integer below 2^24");
  return int(value);
}

inline ModelSpec specOf(const Napi::Object& from, const Napi::Float32Array& inverseFrequencies) {
  Napi::Env env = from.Env();
  ModelSpec spec;
  spec.numLayers = dimensionOf(from, "numLayers");
  spec.hiddenSize = dimensionOf(from, "hiddenSize");
  spec.numHeads = dimensionOf(from, "numHeads");
  spec.numKvHeads = dimensionOf(from, "numKvHeads");
  spec.headDim = dimensionOf(from, "headDim");
  spec.intermediateSize = dimensionOf(from, "intermediateSize");
  spec.vocabSize = dimensionOf(from, "vocabSize");
  spec.contextLength = dimensionOf(from, "contextLength");
  spec.rmsNormEps = float(finiteOf(from, "rmsNormEps"));
  spec.tiedHead = from.Get("tiedHead").ToBoolean();
  spec.qkvBias = from.Get("qkvBias").ToBoolean();
  spec.qkNorm = from.Get("qkNorm").ToBoolean();
  if (spec.headDim % 16 != 0 || spec.headDim > 256) throw toJs(env, "MODEL_FORMAT", "head dimension " + std::to_string(spec.headDim) + " is not a multiple of 16 up to 256");
  if (spec.numHeads % spec.numKvHeads != 0) throw toJs(env, "MODEL_FORMAT", "query heads are not a multiple of KV heads");
  if (spec.numHeads > (1 << 16)) throw toJs(env, "MODEL_FORMAT", "more than 65536 heads");
  spec.inverseFrequencies.assign(inverseFrequencies.Data(), inverseFrequencies.Data() + inverseFrequencies.ElementLength());
  if (int(spec.inverseFrequencies.size()) != spec.headDim / 2) refuse(env, "inverseFrequencies must have headDim / 2 entries");
  return spec;
}

// The model and how it is computed, without limits.
inline EngineOptions modelOptionsOf(const Napi::Object& from) {
  EngineOptions options;
  options.spec = specOf(from.Get("spec").ToObject(), floatsOf(from.Get("inverseFrequencies"), "inverseFrequencies"));
  const Napi::Array tensors = from.Get("tensors").As<Napi::Array>();
  for (uint32_t i = 0; i < tensors.Length(); i++) options.tensors.push_back(tensorOf(tensors.Get(i).ToObject()));
  options.f32 = from.Get("f32").ToBoolean();
  options.isa = from.Get("isa").IsString() ? textOf(from, "isa") : "";
  return options;
}

inline EngineOptions optionsOf(const Napi::Object& from) {
  EngineOptions options = modelOptionsOf(from);
  options.numBlocks = positiveOf(from, "numKvBlocks");
  options.maxSequences = positiveOf(from, "maxSequences");
  options.maxRows = positiveOf(from, "maxBatchedTokens");
  options.maxDrafts = countOf(from, "maxDrafts");
  options.threads = positiveOf(from, "threads");
  return options;
}

} // namespace dyn
