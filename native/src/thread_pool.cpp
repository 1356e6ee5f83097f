// SPDX-License-Identifier: Apache-2.0
#include "thread_pool.h"

#include <chrono>
#include <system_error>

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

} // namespace

ThreadPool::ThreadPool(int threads) {
  try {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this] { workerLoop(); });
  } catch (const std::system_error& error) {
    stop_ = true;
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    throw NativeError("OUT_OF_MEMORY", std::string("cannot create a worker thread: ") + error.what() + "; use fewer threads");
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  { std::lock_guard<std::mutex> lock(mutex_); }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::takeChunk(uint64_t& ticket) {
  // The fields below belong to the phase of `ticket` if the exchange succeeds: they change only after every chunk of a
  // phase has finished, and then the phase number has moved on.
  for (;;) {
    const int chunk = int(uint32_t(ticket));
    const Function function = function_.load(std::memory_order_relaxed);
    const void* context = context_.load(std::memory_order_relaxed);
    if (chunk >= chunks_.load(std::memory_order_relaxed)) return false;
    uint64_t expected = ticket;
    if (!ticket_.compare_exchange_weak(expected, ticket + 1, std::memory_order_acq_rel)) {
      if (phaseOf(expected) != phaseOf(ticket)) return false;
      ticket = expected;
      continue;
    }
    function(context, chunk);
    finished_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
    return true;
  }
}

void ThreadPool::start(int chunks, Function function, const void* context) {
  chunks_.store(chunks, std::memory_order_relaxed);
  function_.store(function, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  finished_.store(0, std::memory_order_relaxed);
  uint64_t ticket = uint64_t(phaseOf(ticket_.load(std::memory_order_relaxed)) + 1) << 32;
  const uint32_t phase = phaseOf(ticket);
  ticket_.store(ticket, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  while (phaseOf(ticket) == phase && takeChunk(ticket)) {
  }
  for (int spins = 0; finished_.load(std::memory_order_acquire) != chunks; spins++) {
    if (spins < kSpins) pause();
    else std::this_thread::yield(); // whoever holds the last chunk needs the core more than we do
  }
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
    while (phaseOf(ticket) == seen && takeChunk(ticket)) {
    }
  }
}

} // namespace dyn
