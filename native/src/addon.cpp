// SPDX-License-Identifier: Apache-2.0
// The N-API surface: checks and translates, computes nothing. Declared in packages/trtllm-native/src/native/native-binding.ts.
#define NAPI_VERSION 8
#include <napi.h>

#include <cmath>

#include "engine.h"
#include "native_error.h"

namespace dyn {
namespace {

Napi::Error toJs(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

[[noreturn]] void refuse(Napi::Env env, const std::string& message) { throw toJs(env, "INVALID_ARGUMENT", message); }

int intOf(const Napi::Object& object, const char* name) { return object.Get(name).ToNumber().Int32Value(); }
double numberOf(const Napi::Object& object, const char* name) { return object.Get(name).ToNumber().DoubleValue(); }
std::string textOf(const Napi::Object& object, const char* name) { return object.Get(name).ToString().Utf8Value(); }

Napi::Uint32Array idsOf(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) refuse(value.Env(), std::string(name) + " must be a Uint32Array");
  return value.As<Napi::Uint32Array>();
}

TensorType tensorTypeOf(Napi::Env env, const std::string& name) {
  static const char* const names[] = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
  for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
    if (name == names[i]) return TensorType(i);
  throw toJs(env, "MODEL_FORMAT", "unknown tensor type " + name);
}

EngineOptions optionsOf(const Napi::Object& from) {
  Napi::Env env = from.Env();
  EngineOptions options;
  const Napi::Object spec = from.Get("spec").ToObject();
  ModelSpec& to = options.spec;
  to.numLayers = intOf(spec, "numLayers");
  to.hiddenSize = intOf(spec, "hiddenSize");
  to.numHeads = intOf(spec, "numHeads");
  to.numKvHeads = intOf(spec, "numKvHeads");
  to.headDim = intOf(spec, "headDim");
  to.intermediateSize = intOf(spec, "intermediateSize");
  to.vocabSize = intOf(spec, "vocabSize");
  to.contextLength = intOf(spec, "contextLength");
  to.rmsNormEps = float(numberOf(spec, "rmsNormEps"));
  to.tiedHead = spec.Get("tiedHead").ToBoolean();
  for (int value : {to.numLayers, to.hiddenSize, to.numHeads, to.numKvHeads, to.headDim, to.intermediateSize, to.vocabSize, to.contextLength})
    if (value <= 0) throw toJs(env, "MODEL_FORMAT", "a dimension of the model is not positive");
  if (to.headDim % 16 != 0 || to.headDim > 256) throw toJs(env, "MODEL_FORMAT", "head dimension " + std::to_string(to.headDim) + " is not a multiple of 16 up to 256");
  if (to.numHeads % to.numKvHeads != 0) throw toJs(env, "MODEL_FORMAT", "query heads are not a multiple of KV heads");
  const Napi::Float32Array frequencies = from.Get("inverseFrequencies").As<Napi::Float32Array>();
  to.inverseFrequencies.assign(frequencies.Data(), frequencies.Data() + frequencies.ElementLength());
  if (int(to.inverseFrequencies.size()) != to.headDim / 2) refuse(env, "inverseFrequencies must have headDim / 2 entries");

  const Napi::Array tensors = from.Get("tensors").As<Napi::Array>();
  for (uint32_t i = 0; i < tensors.Length(); i++) {
    const Napi::Object tensor = tensors.Get(i).ToObject();
    options.tensors.push_back({textOf(tensor, "name"), textOf(tensor, "file"), size_t(numberOf(tensor, "offset")), size_t(numberOf(tensor, "byteLength")),
                               tensorTypeOf(env, textOf(tensor, "type")), intOf(tensor, "rows"), intOf(tensor, "cols"), intOf(tensor, "permutedHeads")});
  }
  options.numBlocks = intOf(from, "numKvBlocks");
  options.maxSequences = intOf(from, "maxSequences");
  options.maxRows = intOf(from, "maxBatchedTokens");
  options.threads = intOf(from, "threads");
  options.f32 = from.Get("f32").ToBoolean();
  options.isa = from.Get("isa").IsString() ? textOf(from, "isa") : "";
  if (options.numBlocks <= 0 || options.maxSequences <= 0 || options.maxRows <= 0 || options.threads <= 0)
    refuse(env, "numKvBlocks, maxSequences, maxBatchedTokens and threads must be positive");
  return options;
}

class EngineHandle : public Napi::ObjectWrap<EngineHandle> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeEngine",
                       {InstanceMethod<&EngineHandle::load>("load"), InstanceMethod<&EngineHandle::step>("step"),
                        InstanceMethod<&EngineHandle::cancelStep>("cancelStep"), InstanceMethod<&EngineHandle::openSlot>("openSlot"),
                        InstanceMethod<&EngineHandle::closeSlot>("closeSlot"), InstanceMethod<&EngineHandle::logitsRow>("logitsRow"),
                        InstanceMethod<&EngineHandle::sampleRow>("sampleRow"),
                        InstanceMethod<&EngineHandle::close>("close")});
  }

  explicit EngineHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineHandle>(info) {
    const EngineOptions options = optionsOf(info[0].ToObject());
    try {
      engine_ = std::make_unique<Engine>(options);
    } catch (const NativeError& error) {
      throw toJs(info.Env(), error.code, error.what());
    }
  }

private:
  // What a finished step resolves; crosses from the engine thread to JavaScript.
  struct Delivery {
    std::shared_ptr<Napi::Promise::Deferred> deferred;
    EngineHandle* handle;
    StepOutcome outcome;
    bool isLoad;
  };

  Engine& engine(Napi::Env env) {
    if (!engine_) throw toJs(env, "UNAVAILABLE", "the native engine is closed");
    return *engine_;
  }

  Engine& idleEngine(Napi::Env env) {
    Engine& e = engine(env);
    if (!e.loaded()) throw toJs(env, "INVALID_ARGUMENT", "the native engine is not loaded");
    if (running_) throw toJs(env, "INVALID_ARGUMENT", "a step is running");
    return e;
  }

  int slotOf(const Napi::CallbackInfo& info) {
    const int slot = info[0].ToNumber().Int32Value();
    if (slot < 0 || slot >= engine(info.Env()).options().maxSequences) refuse(info.Env(), "slot " + std::to_string(slot) + " does not exist");
    return slot;
  }

  // A promise, and the callback that settles it from the engine thread. The handle stays referenced until then.
  Napi::Value begin(Napi::Env env, bool isLoad, const std::function<void(Engine::Done)>& start) {
    auto deferred = std::make_shared<Napi::Promise::Deferred>(env);
    auto settle = Napi::ThreadSafeFunction::New(env, Napi::Function(), "dyn engine", 1, 1);
    running_ = true;
    Ref();
    start([this, deferred, settle, isLoad](StepOutcome outcome) mutable {
      auto* delivery = new Delivery{deferred, this, std::move(outcome), isLoad};
      if (settle.BlockingCall(delivery, deliver) != napi_ok) delete delivery;
      settle.Release();
    });
    return deferred->Promise();
  }

  static void deliver(Napi::Env env, Napi::Function, Delivery* delivery) {
    const std::unique_ptr<Delivery> owned(delivery);
    if (env == nullptr) return;
    Napi::HandleScope scope(env);
    EngineHandle* handle = owned->handle;
    handle->running_ = false;
    const StepOutcome& outcome = owned->outcome;
    if (!outcome.errorCode.empty()) owned->deferred->Reject(toJs(env, outcome.errorCode, outcome.errorMessage).Value());
    else owned->deferred->Resolve(owned->isLoad ? handle->describe(env) : toJs(env, outcome));
    handle->Unref();
  }

  Napi::Value load(const Napi::CallbackInfo& info) {
    Engine& e = engine(info.Env());
    return begin(info.Env(), true, [&](Engine::Done done) { e.load(std::move(done)); });
  }

  Napi::Value describe(Napi::Env env) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("isa", engine_->model().kernels.name);
    result.Set("threads", engine_->options().threads);
    result.Set("weightBytes", double(engine_->model().weightBytes));
    result.Set("kvBlockBytes", double(engine_->kv().blockBytes()));
    // One buffer for all rows, for the life of the engine: views of it are handed out, none is made per step.
    Forward& forward = engine_->forward();
    const size_t bytes = forward.logitsStride() * size_t(forward.maxOutputs()) * sizeof(float);
    Ref(); // the engine's memory must outlive the buffer
    EngineHandle* self = this;
    result.Set("logits", Napi::ArrayBuffer::New(env, forward.logits(), bytes, [self](Napi::Env, void*) { self->Unref(); }));
    result.Set("logitsStride", double(forward.logitsStride()));
    return result;
  }

  // step(header, tokens, blocks): header holds [slot, position, tokens, blocks, output] per sequence.
  Napi::Value step(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Engine& e = idleEngine(env);
    const Napi::Uint32Array header = idsOf(info[0], "header"), tokens = idsOf(info[1], "tokens"), blocks = idsOf(info[2], "blocks");
    Step step;
    step.tokens.assign(tokens.Data(), tokens.Data() + tokens.ElementLength());
    step.blocks.assign(blocks.Data(), blocks.Data() + blocks.ElementLength());
    validate(env, e, header, step);
    return begin(env, false, [&](Engine::Done done) { e.step(std::move(step), std::move(done)); });
  }

  static void validate(Napi::Env env, Engine& e, const Napi::Uint32Array& header, Step& step) {
    const EngineOptions& options = e.options();
    if (header.ElementLength() == 0 || header.ElementLength() % 5 != 0) refuse(env, "a step needs at least one sequence");
    if (step.tokens.size() > size_t(options.maxRows)) refuse(env, "a step has " + std::to_string(step.tokens.size()) + " rows; the limit is " + std::to_string(options.maxRows));
    size_t row = 0, block = 0;
    std::vector<bool> used(size_t(options.maxSequences));
    for (size_t i = 0; i < header.ElementLength(); i += 5) {
      const uint32_t slot = header[i], position = header[i + 1], count = header[i + 2], blockCount = header[i + 3], output = header[i + 4];
      const std::string who = "sequence in slot " + std::to_string(slot);
      if (slot >= uint32_t(options.maxSequences) || used[slot]) refuse(env, who + ": no such slot, or twice in a step");
      used[slot] = true;
      if (count == 0 || count > step.tokens.size() - row || blockCount > step.blocks.size() - block || output > 2) refuse(env, who + ": malformed share");
      if (uint64_t(position) + count > uint64_t(options.spec.contextLength)) refuse(env, who + ": positions exceed the context");
      if (uint64_t(blockCount) * kKvBlock < uint64_t(position) + count) refuse(env, who + ": blocks do not cover its positions");
      if (output == Share::Sample && !e.slotOpen(int(slot))) refuse(env, who + ": the slot is not open");
      step.shares.push_back({int(slot), int(position), int(row), int(count), block, blockCount, Share::Output(output)});
      row += count;
      block += blockCount;
    }
    if (row != step.tokens.size() || block != step.blocks.size()) refuse(env, "tokens or blocks do not belong to any sequence");
    for (uint32_t token : step.tokens)
      if (token >= uint32_t(options.spec.vocabSize)) refuse(env, "token id " + std::to_string(token) + " is not in the vocabulary");
    for (uint32_t id : step.blocks)
      if (id >= uint32_t(options.numBlocks)) refuse(env, "KV block " + std::to_string(id) + " does not exist");
  }

  void cancelStep(const Napi::CallbackInfo&) {
    if (engine_ && running_) engine_->cancelStep();
  }

  void openSlot(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    const int slot = slotOf(info);
    const Napi::Object from = info[1].ToObject();
    SamplerParams params;
    params.temperature = float(numberOf(from, "temperature"));
    params.topK = intOf(from, "topK");
    params.topP = float(numberOf(from, "topP"));
    params.minP = float(numberOf(from, "minP"));
    params.presencePenalty = float(numberOf(from, "presencePenalty"));
    params.frequencyPenalty = float(numberOf(from, "frequencyPenalty"));
    params.repetitionPenalty = float(numberOf(from, "repetitionPenalty"));
    params.seed = uint64_t(from.Get("seedHigh").ToNumber().Uint32Value()) << 32 | from.Get("seedLow").ToNumber().Uint32Value();
    params.minTokens = intOf(from, "minTokens");
    params.logprobs = intOf(from, "logprobs");
    const auto ids = [&](const char* name) {
      const Napi::Uint32Array array = idsOf(from.Get(name), name);
      for (size_t i = 0; i < array.ElementLength(); i++)
        if (array[i] >= uint32_t(e.options().spec.vocabSize)) refuse(info.Env(), std::string(name) + ": token id " + std::to_string(array[i]) + " is not in the vocabulary");
      return std::vector<uint32_t>(array.Data(), array.Data() + array.ElementLength());
    };
    params.biasIds = ids("biasIds");
    params.suppressIds = ids("suppressIds");
    const Napi::Float32Array values = from.Get("biasValues").As<Napi::Float32Array>();
    params.biasValues.assign(values.Data(), values.Data() + values.ElementLength());
    if (params.biasValues.size() != params.biasIds.size()) refuse(info.Env(), "biasIds and biasValues differ in length");
    const Napi::Uint32Array context = idsOf(info[2], "context");
    const size_t generated = info[3].ToNumber().Uint32Value();
    if (generated > context.ElementLength()) refuse(info.Env(), "more tokens generated than the context holds");
    e.openSlot(slot, std::move(params), context.Data(), context.ElementLength(), generated);
  }

  void closeSlot(const Napi::CallbackInfo& info) { idleEngine(info.Env()).closeSlot(slotOf(info)); }

  // Index of the slot's row in the logits buffer.
  Napi::Value logitsRow(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    try {
      return Napi::Number::New(info.Env(), double(e.logitsOf(slotOf(info)) - e.forward().logits()) / double(e.forward().logitsStride()));
    } catch (const NativeError& error) {
      throw toJs(info.Env(), error.code, error.what());
    }
  }

  Napi::Value sampleRow(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    const int slot = slotOf(info);
    if (!e.slotOpen(slot)) refuse(info.Env(), "slot " + std::to_string(slot) + " is not open");
    try {
      StepOutcome outcome;
      outcome.sampled.push_back(e.sampleRow(slot));
      return toJs(info.Env(), outcome);
    } catch (const NativeError& error) {
      throw toJs(info.Env(), error.code, error.what());
    }
  }

  // Frees the model. The logits buffer dies with it: JavaScript must not read it any more.
  void close(const Napi::CallbackInfo& info) {
    if (running_) refuse(info.Env(), "a step is running: cancel it and wait");
    engine_.reset();
  }

  // {cancelled, elapsedMs, slots, tokenIds, logprobs, topCounts, topIds, topLogprobs}
  static Napi::Value toJs(Napi::Env env, const StepOutcome& outcome) {
    const size_t n = outcome.sampled.size();
    size_t alternatives = 0;
    for (const Sampled& s : outcome.sampled) alternatives += s.topIds.size();
    Napi::Uint32Array slots = Napi::Uint32Array::New(env, n), ids = Napi::Uint32Array::New(env, n), counts = Napi::Uint32Array::New(env, n);
    Napi::Float64Array logprobs = Napi::Float64Array::New(env, n);
    Napi::Uint32Array topIds = Napi::Uint32Array::New(env, alternatives);
    Napi::Float32Array topLogprobs = Napi::Float32Array::New(env, alternatives);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
      const Sampled& s = outcome.sampled[i];
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
    result.Set("cancelled", outcome.cancelled);
    result.Set("elapsedMs", outcome.elapsedMs);
    result.Set("slots", slots);
    result.Set("tokenIds", ids);
    result.Set("logprobs", logprobs);
    result.Set("topCounts", counts);
    result.Set("topIds", topIds);
    result.Set("topLogprobs", topLogprobs);
    return result;
  }
  static Napi::Error toJs(Napi::Env env, const std::string& code, const std::string& message) { return dyn::toJs(env, code, message); }

  std::unique_ptr<Engine> engine_;
  bool running_ = false; // JavaScript thread only
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeEngine", EngineHandle::define(env));
  Napi::Array isas = Napi::Array::New(env);
  for (const char* name : {"avx512", "avx2", "portable"})
    if (selectKernels(name)) isas.Set(isas.Length(), name);
  exports.Set("isas", isas);
  return exports;
}

} // namespace

NODE_API_MODULE(dyn_native, init)

} // namespace dyn
