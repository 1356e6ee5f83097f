// SPDX-License-Identifier: Apache-2.0
#include "thread_pool.h"

#include <system_error>
#include <utility>

#include "native_error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dyn {
namespace {

constexpr int kSpins = 4000; // about 100 us: longer than the gap between two phases, shorter than anyone notices

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

uint32_t phaseOf(uint64_t ticket) { return uint32_t(ticket >> 32); }
uint32_t remainingOf(uint64_t ticket) { return uint32_t(ticket); }

} // namespace

ThreadPool::ThreadPool(int threads) : ranges_(size_t(threads)) {
  try {
    for (int thread = 1; thread < threads; thread++) workers_.emplace_back([this, thread] { workerLoop(thread); });
  } catch (const std::system_error& error) {
    stopWorkers();
    throw NativeError("OUT_OF_MEMORY", std::string("cannot create a worker thread: ") + error.what() + "; use fewer threads");
  }
}

ThreadPool::~ThreadPool() { stopWorkers(); }

void ThreadPool::stopWorkers() {
  stop_ = true;
  { std::lock_guard<std::mutex> lock(mutex_); } // no worker is between its last look at stop_ and its sleep
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Its own range, then those of the others. What a range's chunks come to is told once.
void ThreadPool::takeChunks(uint32_t phase, int thread) {
  std::atomic<uint32_t>& finished = ranges_[size_t(thread)].finished; // which no other thread writes
  for (int i = 0; i < threads(); i++)
    if (const uint32_t taken = takeRange(phase, ranges_[size_t((thread + i) % threads())], thread))
      finished.store(finished.load(std::memory_order_relaxed) + taken, std::memory_order_release);
}

uint32_t ThreadPool::takeRange(uint32_t phase, Range& range, int thread) {
  uint32_t taken = 0;
  uint64_t ticket = range.ticket.load(std::memory_order_acquire);
  while (phaseOf(ticket) == phase && remainingOf(ticket) > 0) {
    if (!range.ticket.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    try {
      range.function(range.context, range.end - int(remainingOf(ticket)), thread);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    taken++;
    ticket = range.ticket.load(std::memory_order_acquire);
  }
  return taken;
}

uint32_t ThreadPool::finished() const {
  uint32_t all = 0;
  for (const Range& range : ranges_) all += range.finished.load(std::memory_order_acquire);
  return all;
}

void ThreadPool::start(int chunks, Function function, const void* context) {
  const int64_t threads = this->threads();
  const auto endOf = [&](int64_t thread) { return int(chunks * (thread + 1) / threads); };
  const uint32_t phase = phaseOf(ranges_[0].ticket.load(std::memory_order_relaxed)) + 1;
  handedOut_ += uint32_t(chunks);
  for (int64_t thread = threads - 1; thread >= 0; thread--) {
    Range& range = ranges_[size_t(thread)];
    range.function = function;
    range.context = context;
    range.end = endOf(thread);
    range.ticket.store(uint64_t(phase) << 32 | uint32_t(endOf(thread) - endOf(thread - 1)), std::memory_order_release);
  }
  if (sleeping_.fetch_add(0, std::memory_order_acq_rel) > 0) { // a change, so that who falls asleep after it sees its ticket
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  takeChunks(phase, 0);
  for (int spins = 0; finished() != handedOut_; spins++) {
    if (spins < kSpins) pause();
    else std::this_thread::yield(); // whoever holds the last chunk needs the core more than we do
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::workerLoop(int thread) {
  const std::atomic<uint64_t>& own = ranges_[size_t(thread)].ticket; // written in every phase
  uint32_t seen = 0;
  for (;;) {
    uint64_t ticket = own.load(std::memory_order_acquire);
    for (int spins = 0; phaseOf(ticket) == seen && spins < kSpins; spins++) {
      pause();
      ticket = own.load(std::memory_order_acquire);
    }
    if (phaseOf(ticket) == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1, std::memory_order_acq_rel);
      wake_.wait(lock, [&] { return stop_ || phaseOf(own.load(std::memory_order_acquire)) != seen; });
      sleeping_.fetch_sub(1, std::memory_order_acq_rel);
      if (stop_) return;
      continue;
    }
    seen = phaseOf(ticket);
    takeChunks(seen, thread);
  }
}

} // namespace dyn
