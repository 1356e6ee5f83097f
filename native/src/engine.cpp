// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <system_error>

#include "native_error.h"

namespace dyn {
namespace {

double nowMs() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Runs `work` and turns whatever it throws into the outcome's error.
template <class Work>
StepOutcome guarded(const Work& work) {
  StepOutcome outcome;
  try {
    work(outcome);
  } catch (const NativeError& error) {
    outcome.errorCode = error.code;
    outcome.errorMessage = error.what();
  } catch (const std::bad_alloc&) {
    outcome.errorCode = "OUT_OF_MEMORY";
    outcome.errorMessage = "not enough memory; use a smaller model or fewer rows per step";
  } catch (const std::exception& error) {
    outcome.errorCode = "INTERNAL";
    outcome.errorMessage = error.what();
  }
  return outcome;
}

} // namespace

Engine::Engine(EngineOptions options) : options_(std::move(options)), slots_(size_t(options_.maxSequences)), logitsRow_(size_t(options_.maxSequences), -1) {
  try {
    thread_ = std::thread([this] { threadLoop(); });
  } catch (const std::system_error& error) {
    throw NativeError("OUT_OF_MEMORY", std::string("cannot create the engine thread: ") + error.what());
  }
}

Engine::~Engine() {
  cancel_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Engine::threadLoop() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || task_; });
    if (!task_) return;
    std::function<void()> task = std::move(task_);
    task_ = nullptr;
    lock.unlock();
    task();
    lock.lock();
  }
}

void Engine::submit(std::function<void()> task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task_ = std::move(task);
  }
  wake_.notify_one();
}

const Kernels& kernelsFor(const std::string& isa) {
  const Kernels* kernels = selectKernels(isa.empty() ? nullptr : isa.c_str());
  if (!kernels) throw NativeError("INVALID_ARGUMENT", "this CPU cannot run the instruction set " + isa + "; choose avx512, avx2 or portable");
  return *kernels;
}

void Engine::load(Done done) {
  submit([this, done = std::move(done)] {
    StepOutcome outcome = guarded([this](StepOutcome&) {
      const Kernels& kernels = kernelsFor(options_.isa);
      pool_ = std::make_unique<ThreadPool>(options_.threads);
      model_ = options_.model ? options_.model : std::make_shared<const Model>(options_.spec, options_.tensors, kernels, options_.f32, *pool_, cancel_);
      kv_ = std::make_unique<KvPool>(options_.spec, kernels, options_.numBlocks, model_->kvPrecision);
      forward_ = std::make_unique<Forward>(*model_, *kv_, *pool_, options_.maxRows, options_.maxSequences + options_.maxDrafts);
    });
    done(std::move(outcome));
  });
}

void Engine::step(Step step, Done done) {
  cancel_ = false;
  yield_ = false;
  submit([this, step = std::move(step), done = std::move(done)]() mutable {
    const double began = nowMs();
    StepOutcome outcome = guarded([&](StepOutcome& result) { result = runStep(step); });
    outcome.elapsedMs = nowMs() - began;
    done(std::move(outcome));
  });
}

StepOutcome Engine::runStep(Step& step) {
  const double began = nowMs();
  StepOutcome outcome = runPass(step);
  const auto another = [&](int done) {
    return done < step.passes && !outcome.cancelled && !yield_ && (nowMs() - began) / done * (done + 1) <= step.withinMs;
  };
  for (int done = 1; another(done) && advance(step, outcome.sampled); done++) {
    StepOutcome next = runPass(step);
    if (next.cancelled) break; // what was chosen before it stays
    std::move(next.sampled.begin(), next.sampled.end(), std::back_inserter(outcome.sampled));
  }
  return outcome;
}

// Makes of a step the one that computes the tokens which were chosen last; false when nothing can follow one of them.
bool Engine::advance(Step& step, const std::vector<Sampled>& sampled) const {
  const Sampled* chosen = sampled.data() + sampled.size() - step.shares.size();
  for (Share& share : step.shares) {
    const uint32_t token = (chosen++)->tokenId;
    if (token >= uint32_t(options_.spec.vocabSize) || slots_[size_t(share.slot)]->ends(token)) return false;
    step.tokens[size_t(share.firstRow)] = token;
    share.position++;
  }
  return true;
}

StepOutcome Engine::runPass(const Step& step) {
  StepOutcome outcome;
  for (int& row : logitsRow_) row = -1;
  hidden_.clear();
  if (!forward_->run(step, cancel_) || !scoreTargets(step, outcome.scores)) {
    outcome.cancelled = true;
    return outcome;
  }
  std::vector<const Share*> toSample;
  int row = 0;
  for (const Share& share : step.shares) {
    if (share.output == Share::Hidden) hidden_.push_back(share);
    if (!share.hasLogits()) continue;
    logitsRow_[size_t(share.slot)] = row;
    row += share.outputs();
    if (share.output == Share::Sample) toSample.push_back(&share);
  }
  std::vector<std::vector<Sampled>> sampled(toSample.size());
  pool_->run(int(toSample.size()), [&](int i) { sampleShare(step, *toSample[size_t(i)], sampled[size_t(i)]); });
  for (std::vector<Sampled>& tokens : sampled)
    for (Sampled& token : tokens) outcome.sampled.push_back(std::move(token));
  return outcome;
}

// False when the step was cancelled meanwhile: a long prompt has as many rows of logits as tokens.
bool Engine::scoreTargets(const Step& step, std::vector<Sampled>& scores) {
  scores.resize(step.targets.size());
  std::vector<int> rows, tops;
  for (const Share& share : step.shares)
    for (int i = 0; i < share.targets; i++) {
      rows.push_back(share.firstRow + i);
      tops.push_back(share.top);
    }
  for (size_t at = 0; at < rows.size(); at += Forward::kScoreRows) {
    if (cancel_.load(std::memory_order_relaxed)) return false;
    const int count = int(std::min(size_t(Forward::kScoreRows), rows.size() - at));
    const float* logits = forward_->scoreRows(rows.data() + at, count);
    pool_->run(count, [&](int i) {
      const size_t target = at + size_t(i);
      scores[target] = scoreToken(logits + size_t(i) * forward_->logitsStride(), options_.spec.vocabSize, step.targets[target], tops[target]);
    });
  }
  for (const Share& share : step.shares)
    for (int i = 0; i < share.targets; i++) scores[share.firstTarget + size_t(i)].slot = uint32_t(share.slot);
  return true;
}

// One token after each row, up to the first that is not the guess in the next row: what follows that was computed from a
// token that is not there. So every token is chosen from the logits, and after the tokens, that it would have without guesses.
void Engine::sampleShare(const Step& step, const Share& share, std::vector<Sampled>& sampled) {
  const uint32_t* guess = step.tokens.data() + share.firstRow + share.rows - share.drafts;
  for (int i = 0; i <= share.drafts; i++) {
    sampled.push_back(sampleRow({share.slot, nullptr, false}, i));
    if (i < share.drafts && sampled.back().tokenId != guess[i]) return;
  }
}

void Engine::openSlot(int slot, SamplerParams params, const uint32_t* context, size_t length, size_t generated) {
  slots_[size_t(slot)].emplace(std::move(params), context, length, generated);
}

void Engine::closeSlot(int slot) { slots_[size_t(slot)].reset(); }

float* Engine::logitsOf(int slot, int output) {
  const int row = logitsRow_[size_t(slot)];
  if (row < 0) throw NativeError("INVALID_ARGUMENT", "slot " + std::to_string(slot) + " has no logits from the last step");
  return forward_->logits() + size_t(row + output) * forward_->logitsStride();
}

std::vector<float> Engine::hiddenOf(int slot) const {
  for (const Share& share : hidden_) {
    if (share.slot != slot) continue;
    const size_t size = size_t(options_.spec.hiddenSize), stride = forward_->hiddenStride();
    std::vector<float> rows(size_t(share.rows) * size);
    for (size_t r = 0; r < size_t(share.rows); r++) std::copy_n(forward_->hidden(share) + r * stride, size, rows.data() + r * size);
    return rows;
  }
  throw NativeError("INVALID_ARGUMENT", "slot " + std::to_string(slot) + " has no hidden states from the last step");
}

std::vector<Sampled> Engine::sampleRows(const std::vector<RowToSample>& rows) {
  for (const RowToSample& row : rows) logitsOf(row.slot);
  std::vector<Sampled> sampled(rows.size());
  pool_->run(int(rows.size()), [&](int i) { sampled[size_t(i)] = sampleRow(rows[size_t(i)], 0); });
  return sampled;
}

Sampled Engine::sampleRow(const RowToSample& row, int output) {
  Sampled sampled = slots_[size_t(row.slot)]->sample(logitsOf(row.slot, output), options_.spec.vocabSize, row.mask, row.edited);
  sampled.slot = uint32_t(row.slot);
  return sampled;
}

} // namespace dyn
