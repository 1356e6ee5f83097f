// SPDX-License-Identifier: Apache-2.0
// The engine's own workers. A phase is a number of chunks. Each thread begins with a range of them of its own, the same in every
// phase of as many rows, so that it finds in its cache what it left there; then it takes what others have not begun, so that a
// worker that another process pushes off its core costs one chunk, not the phase. Waiting spins briefly, then sleeps.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace dyn {

class ThreadPool {
public:
  // `threads` counts the calling thread. Throws NativeError OUT_OF_MEMORY if a thread cannot be created.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return int(ranges_.size()); }

  // Calls work(chunk), or work(chunk, thread), for every chunk in [0, chunks), from all threads, and returns when all are done.
  // What a call throws is thrown here once the others are done (the first, if several do). The caller is thread 0.
  template <class Work>
  void run(int chunks, const Work& work) {
    if (chunks <= 1 || workers_.empty()) {
      for (int chunk = 0; chunk < chunks; chunk++) call(work, chunk, 0);
      return;
    }
    start(chunks, [](const void* context, int chunk, int thread) { call(*static_cast<const Work*>(context), chunk, thread); }, &work);
  }

private:
  using Function = void (*)(const void* context, int chunk, int thread);

  template <class Work>
  static void call(const Work& work, int chunk, int thread) {
    if constexpr (std::is_invocable_v<Work, int, int>) work(chunk, thread);
    else work(chunk);
  }

  // A thread's share of the running phase. What one core wrote and another reads takes both a while, so all that a thread needs to
  // begin lies in the one line that it watches, and what it says back as well: two cores of Emerald Rapids begin and end a phase
  // in 1.0 us, in 1.6 with what describes it elsewhere and a common count of finished chunks.
  struct alignas(64) Range {
    // Phase number in the high half, chunks not yet taken in the low half. Both in one word: who is late for a phase finds
    // either no chunk or another phase, never a chunk of the wrong one.
    std::atomic<uint64_t> ticket{0};
    // Describe the running phase. Written before the ticket, read only by who holds one of its unfinished chunks.
    Function function = nullptr;
    const void* context = nullptr;
    int end = 0;
    std::atomic<uint32_t> finished{0}; // chunks, of any range, that this range's thread has ever finished
  };

  void start(int chunks, Function function, const void* context);
  void workerLoop(int thread);
  void takeChunks(uint32_t phase, int thread);
  uint32_t takeRange(uint32_t phase, Range& range, int thread);
  uint32_t finished() const;
  void stopWorkers();

  std::vector<std::thread> workers_;
  std::vector<Range> ranges_; // one per thread, the caller's first
  uint32_t handedOut_ = 0;    // chunks, ever
  std::exception_ptr error_;  // guarded by mutex_ until the phase ends
  alignas(64) std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

} // namespace dyn
