// SPDX-License-Identifier: Apache-2.0
// The N-API surface: checks and translates, computes nothing. Declared in packages/trtllm-native/src/native/native-binding.ts.
#include <algorithm>
#include <cstring>
#include <limits>

#include "arguments.h"
#include "results.h"
#include "sampler_arguments.h"
#include "step_arguments.h"

namespace dyn {
namespace {

class EngineHandle : public Napi::ObjectWrap<EngineHandle> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeEngine",
                       {InstanceMethod<&EngineHandle::load>("load"), InstanceMethod<&EngineHandle::share>("share"),
                        InstanceMethod<&EngineHandle::loadAdapter>("loadAdapter"), InstanceMethod<&EngineHandle::unloadAdapter>("unloadAdapter"), InstanceMethod<&EngineHandle::step>("step"),
                        InstanceMethod<&EngineHandle::cancelStep>("cancelStep"), InstanceMethod<&EngineHandle::yieldStep>("yieldStep"), InstanceMethod<&EngineHandle::openSlot>("openSlot"),
                        InstanceMethod<&EngineHandle::closeSlot>("closeSlot"), InstanceMethod<&EngineHandle::logitsRow>("logitsRow"),
                        InstanceMethod<&EngineHandle::sampleRows>("sampleRows"), InstanceMethod<&EngineHandle::hidden>("hidden"), InstanceMethod<&EngineHandle::readBlock>("readBlock"),
                        InstanceMethod<&EngineHandle::writeBlock>("writeBlock"),
                        InstanceMethod<&EngineHandle::close>("close")});
  }

  explicit EngineHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineHandle>(info), env_(info.Env()) {
    EngineOptions options = optionsOf(info[0].ToObject());
    // Only `share` has such a value to give.
    if (info[1].IsExternal()) {
      const Engine& other = *info[1].As<Napi::External<Engine>>().Data();
      options.model = other.sharedModel();
      options.adapters = other.options().adapters;
      options.spec = options.model->spec;
      options.f32 = options.model->f32;
    }
    translated(info.Env(), [&] { engine_ = std::make_unique<Engine>(std::move(options)); });
    settle_ = Settle::New(env_, "dyn engine", 0, 1, this);
    settle_.Unref(env_); // an idle engine does not keep the process alive
    // Hooks run last in, first out: the engine thread is gone before the environment takes `settle_` away.
    napi_add_env_cleanup_hook(env_, stopWithEnvironment, this);
  }

  ~EngineHandle() override { stop(); }

private:
  // What a finished step or load resolves; crosses from the engine thread to JavaScript.
  struct Delivery {
    Napi::Promise::Deferred deferred;
    StepOutcome outcome;
    bool isLoad;
  };
  static void deliver(Napi::Env env, Napi::Function, EngineHandle* handle, Delivery* delivery);
  using Settle = Napi::TypedThreadSafeFunction<EngineHandle, Delivery, deliver>;

  static void stopWithEnvironment(void* handle) { static_cast<EngineHandle*>(handle)->engine_.reset(); }

  void stop() {
    if (!engine_) return;
    engine_.reset();
    napi_remove_env_cleanup_hook(env_, stopWithEnvironment, this);
    settle_.Release();
  }

  Engine& engine(Napi::Env env) {
    if (!engine_) throw toJs(env, "UNAVAILABLE", "the native engine is closed");
    return *engine_;
  }

  Engine& loadedEngine(Napi::Env env) {
    Engine& e = engine(env);
    if (!e.loaded()) refuse(env, "the native engine is not loaded");
    return e;
  }

  Engine& idleEngine(Napi::Env env) {
    if (engine_ && running_) refuse(env, "a step is running");
    return loadedEngine(env);
  }

  int slotOf(const Napi::CallbackInfo& info) {
    const int slot = integerOf(info[0], "slot");
    if (slot >= engine(info.Env()).options().maxSequences) refuse(info.Env(), "slot " + std::to_string(slot) + " does not exist");
    return slot;
  }

  // Starts work on the engine thread and returns the promise that it settles. Until then the handle stays referenced
  // and the process alive.
  Napi::Value begin(Napi::Env env, bool isLoad, const std::function<void(Engine::Done)>& start) {
    auto* delivery = new Delivery{Napi::Promise::Deferred::New(env), {}, isLoad};
    const Napi::Value promise = delivery->deferred.Promise();
    running_ = true;
    Ref();
    settle_.Ref(env);
    start([this, delivery](StepOutcome outcome) {
      delivery->outcome = std::move(outcome);
      if (settle_.NonBlockingCall(delivery) != napi_ok) delete delivery;
    });
    return promise;
  }

  Napi::Value load(const Napi::CallbackInfo& info) {
    Engine& e = engine(info.Env());
    if (running_ || e.loaded()) refuse(info.Env(), "the native engine is loaded only once");
    return begin(info.Env(), true, [&](Engine::Done done) { e.load(std::move(done)); });
  }

  // share(options): an engine of its own over this one's weights, to be loaded like any other.
  Napi::Value share(const Napi::CallbackInfo& info) {
    Engine& own = loadedEngine(info.Env());
    const Napi::Function create = info.This().As<Napi::Object>().Get("constructor").As<Napi::Function>();
    return create.New({info[0], Napi::External<Engine>::New(info.Env(), &own)});
  }

  Napi::Value describe(Napi::Env env) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("isa", engine_->model().kernels.name);
    result.Set("threads", engine_->options().threads);
    result.Set("weightBytes", double(engine_->model().weightBytes));
    result.Set("kvBlockBytes", double(engine_->kv().blockBytes()));
    // One buffer for all rows, for the life of the engine: views of it are handed out, none is made per step. It owns a
    // share of the memory, so a view that outlives the engine still reads valid bytes.
    const Forward& forward = engine_->forward();
    const size_t bytes = forward.logitsStride() * size_t(forward.maxOutputs()) * sizeof(float);
    auto* share = new std::shared_ptr<float>(forward.sharedLogits());
    result.Set("logits", Napi::ArrayBuffer::New(env, share->get(), bytes, [](Napi::Env, void*, std::shared_ptr<float>* owned) { delete owned; }, share));
    result.Set("logitsStride", double(forward.logitsStride()));
    return result;
  }

  // step(header, tokens, blocks, targets, passes, withinMs): header holds [slot, position, tokens, blocks, output, drafts, targets, top, adapter] per sequence.
  Napi::Value step(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Engine& e = idleEngine(env);
    const Napi::Uint32Array header = idsOf(info[0], "header"), tokens = idsOf(info[1], "tokens"), blocks = idsOf(info[2], "blocks"), targets = idsOf(info[3], "targets");
    return translated(env, [&] {
      Step step;
      step.tokens.assign(tokens.Data(), tokens.Data() + tokens.ElementLength());
      step.blocks.assign(blocks.Data(), blocks.Data() + blocks.ElementLength());
      step.targets.assign(targets.Data(), targets.Data() + targets.ElementLength());
      step.passes = integerOf(info[4], "passes", 1);
      step.withinMs = numberOf(info[5], "withinMs");
      addShares(env, e, header, step);
      return begin(env, false, [&](Engine::Done done) { e.step(std::move(step), std::move(done)); });
    });
  }

  // loadAdapter(id, parts): what an adapter adds, for this engine and all that share its weights. Also while a step runs.
  void loadAdapter(const Napi::CallbackInfo& info) {
    Engine& e = loadedEngine(info.Env());
    const uint32_t id = integerOf<uint32_t>(info[0], "id", 1);
    if (e.adapters().count(id)) refuse(info.Env(), "adapter " + std::to_string(id) + " is loaded already");
    const ModelSpec& spec = e.model().spec;
    const Napi::Array parts = info[1].As<Napi::Array>();
    const auto adapter = std::make_shared<Adapter>(spec.numLayers);
    for (uint32_t i = 0; i < parts.Length(); i++) {
      const Napi::Object part = parts.Get(i).ToObject();
      const int layer = integerOf(part.Get("layer"), "layer", 0, spec.numLayers - 1);
      const Projection projection = Projection(integerOf(part.Get("projection"), "projection", 0, kProjections - 1));
      const int rank = integerOf(part.Get("rank"), "rank", 1, kMaxAdapterRank);
      const Napi::Float32Array a = floatsOf(part.Get("a"), "a"), b = floatsOf(part.Get("b"), "b");
      if (a.ElementLength() != size_t(rank) * size_t(projectionCols(spec, projection)) || b.ElementLength() != size_t(rank) * size_t(projectionRows(spec, projection)))
        refuse(info.Env(), "a matrix of the adapter has another size than that of layer " + std::to_string(layer));
      translated(info.Env(), [&] { adapter->set(spec, layer, projection, rank, a.Data(), b.Data()); });
    }
    e.adapters()[id] = adapter;
  }

  // A step that runs keeps what it uses.
  void unloadAdapter(const Napi::CallbackInfo& info) { loadedEngine(info.Env()).adapters().erase(integerOf<uint32_t>(info[0], "id", 1)); }

  void cancelStep(const Napi::CallbackInfo&) {
    if (engine_ && running_) engine_->cancelStep();
  }

  void yieldStep(const Napi::CallbackInfo&) {
    if (engine_ && running_) engine_->yieldStep();
  }

  void openSlot(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    const int slot = slotOf(info);
    SamplerParams params = samplerParamsOf(info[1].ToObject(), e.options().spec.vocabSize);
    const Napi::Uint32Array context = idsOf(info[2], "context");
    const size_t generated = integerOf<uint32_t>(info[3], "generated");
    if (generated > context.ElementLength()) refuse(info.Env(), "more tokens generated than the context holds");
    translated(info.Env(), [&] { e.openSlot(slot, std::move(params), context.Data(), context.ElementLength(), generated); });
  }

  int blockOf(const Napi::CallbackInfo& info) {
    const int block = integerOf(info[0], "block");
    if (block >= engine(info.Env()).options().numBlocks) refuse(info.Env(), "KV block " + std::to_string(block) + " does not exist");
    return block;
  }

  // A copy of a block's bytes. Also while a step runs: steps only write blocks that are not full.
  Napi::Value readBlock(const Napi::CallbackInfo& info) {
    const KvPool& kv = loadedEngine(info.Env()).kv();
    const uint8_t* from = kv.block(blockOf(info));
    return Napi::Buffer<uint8_t>::Copy(info.Env(), from, kv.blockBytes());
  }

  // Fills a block that no step uses.
  void writeBlock(const Napi::CallbackInfo& info) {
    const KvPool& kv = loadedEngine(info.Env()).kv();
    const int block = blockOf(info);
    if (!info[1].IsTypedArray()) refuse(info.Env(), "the content of a KV block must be a Uint8Array");
    const Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
    if (data.ByteLength() != kv.blockBytes()) refuse(info.Env(), "a KV block has " + std::to_string(kv.blockBytes()) + " bytes, not " + std::to_string(data.ByteLength()));
    std::memcpy(kv.block(block), data.Data(), kv.blockBytes());
  }

  void closeSlot(const Napi::CallbackInfo& info) { idleEngine(info.Env()).closeSlot(slotOf(info)); }

  // Index of the slot's row in the logits buffer.
  Napi::Value logitsRow(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    return translated(info.Env(), [&] {
      return Napi::Number::New(info.Env(), double(e.logitsOf(slotOf(info)) - e.forward().logits()) / double(e.forward().logitsStride()));
    });
  }

  // hidden(slot): a copy of the final-norm hidden states of the slot's rows, one after the other.
  Napi::Value hidden(const Napi::CallbackInfo& info) {
    Engine& e = idleEngine(info.Env());
    const std::vector<float> rows = translated(info.Env(), [&] { return e.hiddenOf(slotOf(info)); });
    Napi::Float32Array copy = Napi::Float32Array::New(info.Env(), rows.size());
    std::copy(rows.begin(), rows.end(), copy.Data());
    return copy;
  }

  // sampleRows(slots, masks, edited): each mask undefined or a Uint32Array with a bit per token; edited 0 or 1.
  Napi::Value sampleRows(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Engine& e = idleEngine(env);
    const Napi::Uint32Array slots = idsOf(info[0], "slots");
    const Napi::Array masks = info[1].As<Napi::Array>();
    const Napi::Uint32Array edited = idsOf(info[2], "edited");
    if (edited.ElementLength() != slots.ElementLength()) refuse(env, "slots and edited differ in length");
    const size_t words = (size_t(e.vocabSize()) + 31) / 32;
    std::vector<RowToSample> rows;
    std::vector<bool> used(size_t(e.options().maxSequences));
    for (uint32_t i = 0; i < slots.ElementLength(); i++) {
      const uint32_t slot = slots[i];
      const std::string who = "slot " + std::to_string(slot);
      if (slot >= used.size()) refuse(env, who + " does not exist");
      if (!e.slotOpen(int(slot))) refuse(env, who + " is not open");
      if (used[slot]) refuse(env, who + " is there twice");
      used[slot] = true;
      const Napi::Value mask = masks.Get(i);
      if (!mask.IsUndefined() && (!mask.IsTypedArray() || mask.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array || mask.As<Napi::TypedArray>().ElementLength() != words))
        refuse(env, "a mask must be a Uint32Array of " + std::to_string(words) + " words");
      rows.push_back({int(slot), mask.IsUndefined() ? nullptr : mask.As<Napi::Uint32Array>().Data(), edited[i] != 0});
    }
    return translated(env, [&] { return toJs(env, e.sampleRows(rows)); });
  }

  // Frees the model, the KV blocks and the thread. Views of the logits buffer stay valid memory.
  void close(const Napi::CallbackInfo& info) {
    if (running_) refuse(info.Env(), "a step is running: cancel it and wait");
    stop();
  }

  Napi::Env env_;
  std::unique_ptr<Engine> engine_;
  Settle settle_;
  bool running_ = false; // JavaScript thread only
};

void EngineHandle::deliver(Napi::Env env, Napi::Function, EngineHandle* handle, Delivery* delivery) {
  if (env == nullptr) { // the environment is being torn down: nobody waits any more
    delete delivery;
    return;
  }
  Napi::HandleScope scope(env);
  const std::unique_ptr<Delivery> owned(delivery);
  const StepOutcome& outcome = owned->outcome;
  handle->running_ = false;
  handle->settle_.Unref(env);
  if (!outcome.errorCode.empty()) owned->deferred.Reject(toJs(env, outcome.errorCode, outcome.errorMessage).Value());
  else owned->deferred.Resolve(owned->isLoad ? handle->describe(env) : toJs(env, outcome));
  handle->Unref();
}

Napi::Value kvBlockBytes(const Napi::CallbackInfo& info) {
  const EngineOptions options = modelOptionsOf(info[0].ToObject());
  return translated(info.Env(), [&] {
    return Napi::Value(Napi::Number::New(info.Env(), double(KvPool::blockBytes(options.spec, kernelsFor(options.isa), kvPrecisionOf(options.spec, options.tensors, options.f32)))));
  });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeEngine", EngineHandle::define(env));
  exports.Set("kvBlockBytes", Napi::Function::New(env, kvBlockBytes, "kvBlockBytes"));
#if defined(__x86_64__)
  const std::vector<const char*> built = {"amx", "avx512", "avx2", "portable"};
#else
  const std::vector<const char*> built = {"portable"};
#endif
  Napi::Array families = Napi::Array::New(env), isas = Napi::Array::New(env);
  for (const char* name : built) {
    families.Set(families.Length(), name);
    if (selectKernels(name)) isas.Set(isas.Length(), name);
  }
  exports.Set("families", families);
  exports.Set("isas", isas);
  return exports;
}

} // namespace

NODE_API_MODULE(dyn_native, init)

} // namespace dyn
