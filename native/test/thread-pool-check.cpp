// SPDX-License-Identifier: Apache-2.0
// Hammers the thread pool with short phases: every chunk must run exactly once, on any schedule.
// Built and run by packages/trtllm-native/src/native/thread-pool.test.ts. Usage: thread-pool-check THREADS PHASES
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "../src/thread_pool.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int threads = std::atoi(argv[1]), phases = std::atoi(argv[2]);
  constexpr int kMostChunks = 24, kBurst = 64;
  dyn::ThreadPool pool(threads);
  std::vector<std::atomic<int>> runs(kMostChunks);
  for (int phase = 0; phase < phases; phase += kBurst) {
    // Back to back, and the count changes every time: a worker late for one phase must not mistake the next for it.
    std::vector<int> expected(kMostChunks);
    for (int i = 0; i < kBurst; i++) {
      const int chunks = 2 + (phase + i) * 7 % (kMostChunks - 1);
      for (int chunk = 0; chunk < chunks; chunk++) expected[size_t(chunk)]++;
      pool.run(chunks, [&runs](int chunk) { runs[size_t(chunk)].fetch_add(1, std::memory_order_relaxed); });
    }
    for (int chunk = 0; chunk < kMostChunks; chunk++) {
      const int count = runs[size_t(chunk)].exchange(0, std::memory_order_relaxed);
      if (count == expected[size_t(chunk)]) continue;
      std::printf("phases from %d: chunk %d ran %d times, not %d\n", phase, chunk, count, expected[size_t(chunk)]);
      return 1;
    }
  }
  // Whatever a thread has for itself no other one touches meanwhile: plain counters lose nothing.
  struct alignas(64) Own {
    int chunks = 0;
  };
  std::vector<Own> own(static_cast<size_t>(threads));
  for (int phase = 0; phase < phases; phase++) pool.run(kMostChunks, [&own](int, int thread) { own[size_t(thread)].chunks++; });
  int counted = 0;
  for (const Own& each : own) counted += each.chunks;
  if (counted != phases * kMostChunks) return std::printf("threads counted %d chunks, not %d\n", counted, phases * kMostChunks), 1;
  // What a chunk throws reaches the caller, whichever thread ran it, and the pool stays usable.
  for (int bad = 0; bad < 8; bad++) {
    try {
      pool.run(8, [bad](int chunk) {
        if (chunk == bad) throw std::runtime_error("expected");
      });
      std::printf("the exception of chunk %d was lost\n", bad);
      return 1;
    } catch (const std::runtime_error&) {
    }
  }
  std::printf("ok\n");
}
