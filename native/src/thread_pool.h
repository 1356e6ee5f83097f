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
#include <vector>

namespace dyn {

class ThreadPool {
public:
  // `threads` counts the calling thread. Throws NativeError OUT_OF_MEMORY if a thread cannot be created.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return int(ranges_.size()); }

  // Calls work(chunk) for every chunk in [0, chunks), from all threads, and returns when all are done. What a call throws
  // is thrown here once the others are done (the first, if several do).
  template <class Work>
  void run(int chunks, const Work& work) {
    if (chunks <= 1 || workers_.empty()) {
      for (int chunk = 0; chunk < chunks; chunk++) work(chunk);
      return;
    }
    start(chunks, [](const void* context, int chunk) { (*static_cast<const Work*>(context))(chunk); }, &work);
  }

private:
  using Function = void (*)(const void* context, int chunk);

  void start(int chunks, Function function, const void* context);
  void workerLoop(int thread);
  void takeChunks(uint32_t phase, int thread);
  void takeRange(uint32_t phase, int thread);
  void stopWorkers();

  struct alignas(64) Range {
    // Phase number in the high half, chunks not yet taken in the low half. Both in one word: who is late for a phase finds
    // either no chunk or another phase, never a chunk of the wrong one.
    std::atomic<uint64_t> ticket{0};
    int end = 0; // of the range; written and read as what describes the phase
  };

  std::vector<std::thread> workers_;
  std::vector<Range> ranges_; // one per thread, the caller's first
  alignas(64) std::atomic<int> finished_{0};
  // Describe the running phase. Written before its tickets, read only by who holds one of its unfinished chunks.
  Function function_ = nullptr;
  const void* context_ = nullptr;
  std::exception_ptr error_; // guarded by mutex_ until the phase ends
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

} // namespace dyn
