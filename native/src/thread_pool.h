// SPDX-License-Identifier: Apache-2.0
// The engine's own workers. A phase is a number of chunks taken from a shared counter, so a worker that another process
// pushes off its core costs one chunk, not the phase. Waiting spins briefly, then sleeps.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
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

  int threads() const { return int(workers_.size()) + 1; }

  // Calls work(chunk) for every chunk in [0, chunks), from all threads, and returns when all are done.
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
  void workerLoop();
  bool takeChunk(uint64_t& ticket); // false when the phase of `ticket` has no chunk left

  std::vector<std::thread> workers_;
  // Phase number in the high half, next chunk in the low half: a late worker can never take a chunk of another phase.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> chunks_{0}, finished_{0};
  std::atomic<Function> function_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

} // namespace dyn
