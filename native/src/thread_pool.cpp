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

ThreadPool::ThreadPool(int threads) {
  try {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this] { workerLoop(); });
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

void ThreadPool::takeChunks(uint64_t ticket) {
  const uint32_t phase = phaseOf(ticket);
  while (phaseOf(ticket) == phase && remainingOf(ticket) > 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    try {
      function_(context_, chunks_ - int(remainingOf(ticket)));
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    finished_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadPool::start(int chunks, Function function, const void* context) {
  chunks_ = chunks;
  function_ = function;
  context_ = context;
  finished_.store(0, std::memory_order_relaxed);
  const uint64_t phase = phaseOf(ticket_.load(std::memory_order_relaxed)) + 1;
  const uint64_t ticket = phase << 32 | uint32_t(chunks);
  ticket_.store(ticket, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  takeChunks(ticket);
  for (int spins = 0; finished_.load(std::memory_order_acquire) != chunks; spins++) {
    if (spins < kSpins) pause();
    else std::this_thread::yield(); // whoever holds the last chunk needs the core more than we do
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::workerLoop() {
  uint32_t seen = 0;
  for (;;) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (int spins = 0; phaseOf(ticket) == seen && spins < kSpins && !stop_; spins++) {
      pause();
      ticket = ticket_.load(std::memory_order_acquire);
    }
    if (phaseOf(ticket) == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] { return stop_ || phaseOf(ticket_.load(std::memory_order_seq_cst)) != seen; });
      sleeping_.fetch_sub(1, std::memory_order_seq_cst);
      if (stop_) return;
      continue;
    }
    seen = phaseOf(ticket);
    takeChunks(ticket);
  }
}

} // namespace dyn
