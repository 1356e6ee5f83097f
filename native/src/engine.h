// SPDX-License-Identifier: Apache-2.0
// One engine: model, KV pool, sampler slots, and the single thread that runs steps.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "forward.h"
#include "sampler.h"

namespace dyn {

// Adapters by id; of all engines that share a model, which belong to one JavaScript thread.
using AdapterTable = std::map<uint32_t, std::shared_ptr<const Adapter>>;

struct EngineOptions {
  ModelSpec spec;
  std::shared_ptr<const Model> model; // that of another engine, to share its weights; null: load one
  std::shared_ptr<AdapterTable> adapters = std::make_shared<AdapterTable>(); // shared with it
  std::vector<TensorSource> tensors;
  int numBlocks, maxSequences, maxRows, maxDrafts, threads;
  bool f32;
  std::string isa; // empty: the best usable
};

struct StepOutcome {
  bool cancelled = false;
  double elapsedMs = 0;
  std::vector<Sampled> sampled;
  std::vector<Sampled> scores; // one per target of the step
  std::string errorCode, errorMessage; // errorCode empty: no error
};

// `mask`, `edited`: see Sampler::sample; no mask: null.
struct RowToSample {
  int slot;
  const uint32_t* mask;
  bool edited;
};

// Throws NativeError INVALID_ARGUMENT when this CPU cannot run them. Empty: the best usable.
const Kernels& kernelsFor(const std::string& isa);

class Engine {
public:
  using Done = std::function<void(StepOutcome)>;

  explicit Engine(EngineOptions options);
  ~Engine(); // stops the running step or load and joins the thread; `done` has been called by then

  // Loads the model on the engine thread, then calls `done` there.
  void load(Done done);
  // Runs one validated step on the engine thread, then calls `done` there. One at a time.
  void step(Step step, Done done);
  void cancelStep() { cancel_ = true; }
  void yieldStep() { yield_ = true; } // ends it after the pass that runs

  // The following are for the owner's thread while no step runs.
  void openSlot(int slot, SamplerParams params, const uint32_t* context, size_t length, size_t generated);
  void closeSlot(int slot);
  // Samples rows that were left for this by the last step, side by side. Throws NativeError, with nothing sampled, when a slot had none.
  std::vector<Sampled> sampleRows(const std::vector<RowToSample>& rows);
  float* logitsOf(int slot) { return logitsOf(slot, 0); } // of the last step; throws NativeError when the slot had none
  // Copies the hidden states of the slot's rows of the last step; throws NativeError when the slot had none.
  std::vector<float> hiddenOf(int slot) const;

  bool loaded() const { return forward_ != nullptr; }
  int vocabSize() const { return options_.spec.vocabSize; }
  bool slotOpen(int slot) const { return slots_[size_t(slot)].has_value(); }
  const EngineOptions& options() const { return options_; }
  const Model& model() const { return *model_; }
  AdapterTable& adapters() const { return *options_.adapters; }
  const std::shared_ptr<const Model>& sharedModel() const { return model_; }
  const KvPool& kv() const { return *kv_; }
  Forward& forward() { return *forward_; }

private:
  void threadLoop();
  void submit(std::function<void()> task);
  StepOutcome runStep(Step& step);
  StepOutcome runPass(const Step& step);
  bool advance(Step& step, const std::vector<Sampled>& sampled) const;
  float* logitsOf(int slot, int output);
  Sampled sampleRow(const RowToSample& row, int output);
  bool scoreTargets(const Step& step, std::vector<Sampled>& scores);
  void sampleShare(const Step& step, const Share& share, std::vector<Sampled>& sampled);

  EngineOptions options_;
  std::unique_ptr<ThreadPool> pool_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<KvPool> kv_;
  std::unique_ptr<Forward> forward_;
  std::vector<std::optional<Sampler>> slots_;
  std::vector<int> logitsRow_; // by slot, the first of its outputs; -1: none
  std::vector<Share> hidden_;  // of the last step

  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::function<void()> task_;
  bool stop_ = false;
  std::atomic<bool> cancel_{false}, yield_{false};
};

} // namespace dyn
