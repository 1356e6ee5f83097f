// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured now: machine-limits THREADS amx|avx512|avx2 MEBIBYTES...
// One line each, the best of seven runs: `read MEBIBYTES bytes/s`, `fp32 operations/s`, `bf16 ...`, `int8 ...` (a
// multiplication and an addition are two operations). Reading: every thread reads its part of so much memory again and again,
// so that what fits a cache comes from there. Vectors: independent sums in registers, no loads. AMX: sums of two by two tiles
// whose operands are loaded from the nearest cache, as a product of matrices has to.
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int runs = 7;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/** Work per second of all threads together, which begin together, in the best run. */
double best(int threads, double workOfThread, const std::function<void(int)>& work) {
  double most = 0;
  for (int run = 0; run < runs; run++) {
    std::atomic<int> ready{0};
    std::vector<double> begin(threads), end(threads);
    std::vector<std::thread> pool;
    for (int index = 0; index < threads; index++)
      pool.emplace_back([&, index] {
        for (ready++; ready < threads;) _mm_pause();
        begin[index] = seconds();
        work(index);
        end[index] = seconds();
      });
    for (auto& thread : pool) thread.join();
    const double took = *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
    most = std::max(most, workOfThread * threads / took);
  }
  return most;
}

// Twelve sums, registers 0 to 11, are more than latency times throughput of any CPU asks for.
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define SUMS 12
#define LOOP(name, body)                                                                                                  \
  void name(long times) {                                                                                                  \
    asm volatile(".p2align 5\n1:\n" TWELVE(body) "dec %0\njnz 1b\n"                                                      \
                 : "+r"(times)                                                                                             \
                 :                                                                                                         \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
                   "xmm12", "xmm13", "xmm14", "xmm15");                                                                    \
    asm volatile("vzeroupper");                                                                                            \
  }
#define FMA_512(n) "vfmadd231ps %%zmm15,%%zmm14,%%zmm" #n "\n"
#define BF16_512(n) "vdpbf16ps %%zmm15,%%zmm14,%%zmm" #n "\n"
#define INT8_512(n) "vpdpbusd %%zmm15,%%zmm14,%%zmm" #n "\n"
#define FMA_256(n) "vfmadd231ps %%ymm15,%%ymm14,%%ymm" #n "\n"
// Without VNNI: products of bytes to pairs, pairs to quadruples, added.
#define INT8_256(n)                      \
  "vpmaddubsw %%ymm15,%%ymm14,%%ymm12\n" \
  "vpmaddwd %%ymm15,%%ymm12,%%ymm13\n"   \
  "vpaddd %%ymm13,%%ymm" #n ",%%ymm" #n "\n"
LOOP(fma512, FMA_512)
LOOP(bf16Of512, BF16_512)
LOOP(int8Of512, INT8_512)
LOOP(fma256, FMA_256)
LOOP(int8Of256, INT8_256)

/** Rows of 64 bytes and 16 of them, as large as a tile may be. */
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytesOfRow[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr int tilePairs = 9; // of each operand: 36 KiB for both, as 576 columns of bytes and two times 32 rows

#define TILES(name, product)                                                                                             \
  __attribute__((target("amx-tile,amx-int8,amx-bf16"))) void name(long times, const uint8_t* memory) {                   \
    const TileConfiguration configuration;                                                                               \
    /* g++ 12 takes the instruction to read 8 bytes of it, and leaves the rest unwritten without this. */                \
    asm volatile("" : : "r"(&configuration) : "memory");                                                                 \
    _tile_loadconfig(&configuration);                                                                                    \
    for (long time = 0; time < times; time++) {                                                                          \
      _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);                                                        \
      const uint8_t *left = memory, *right = memory + tilePairs * 2048;                                                  \
      for (int pair = 0; pair < tilePairs; pair++, left += 2048, right += 2048) {                                        \
        _tile_loadd(4, left, 64); _tile_loadd(5, left + 1024, 64);                                                       \
        _tile_loadd(6, right, 64); _tile_loadd(7, right + 1024, 64);                                                     \
        product(0, 4, 6); product(1, 4, 7); product(2, 5, 6); product(3, 5, 7);                                          \
      }                                                                                                                  \
      alignas(64) float sums[256];                                                                                       \
      _tile_stored(0, sums, 64); _tile_stored(1, sums, 64); _tile_stored(2, sums, 64); _tile_stored(3, sums, 64);        \
    }                                                                                                                    \
    _tile_release();                                                                                                     \
  }
TILES(tilesOfBf16, _tile_dpbf16ps)
TILES(tilesOfInt8, _tile_dpbssd)

__attribute__((target("avx2"))) void read(const uint8_t* memory, size_t size) {
  __m256i sums[4] = {};
  for (size_t at = 0; at + 128 <= size; at += 128)
    for (int lane = 0; lane < 4; lane++)
      sums[lane] = _mm256_xor_si256(sums[lane], _mm256_load_si256((const __m256i*)(memory + at + 32 * lane)));
  asm volatile("" : : "x"(_mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]))));
}

uint8_t* pages(size_t size) {
  constexpr size_t huge = 2 << 20;
  void* memory = std::aligned_alloc(huge, (size + huge - 1) / huge * huge);
  madvise(memory, size, MADV_HUGEPAGE);
  return (uint8_t*)std::memset(memory, 0, size);
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("usage: machine-limits THREADS amx|avx512|avx2 MEBIBYTES...\n", stderr), 2;
  const int threads = std::max(1, std::atoi(argv[1]));
  const std::string isa = argv[2];
  const auto vectors = [&](const char* what, double operations, void (*loop)(long)) {
    const long times = 4'000'000;
    std::printf("%s %.4g\n", what, best(threads, operations * SUMS * times, [&](int) { loop(times); }));
  };
  if (isa == "avx2") {
    vectors("fp32", 16, fma256);
    vectors("int8", 64, int8Of256);
  } else {
    vectors("fp32", 32, fma512);
    if (__builtin_cpu_supports("avx512bf16")) vectors("bf16", 64, bf16Of512);
    vectors("int8", 128, int8Of512);
  }
  if (isa == "amx") {
    // Linux saves tiles only for processes that asked: ARCH_REQ_XCOMP_PERM and XTILEDATA of asm/prctl.h.
    if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) return std::fputs("no permission to use AMX\n", stderr), 1;
    const uint8_t* memory = pages(tilePairs * 4096);
    const auto tiles = [&](const char* what, double operations, void (*products)(long, const uint8_t*)) {
      const long times = 60'000;
      const auto work = [&](int) { products(times, memory); };
      std::printf("%s %.4g\n", what, best(threads, operations * 4 * tilePairs * times, work));
    };
    tiles("bf16", 16384, tilesOfBf16);
    tiles("int8", 32768, tilesOfInt8);
  }
  for (int index = 3; index < argc; index++) {
    const long mebibytes = std::max(1, std::atoi(argv[index]));
    const size_t part = (size_t)mebibytes * (1 << 20) / threads / 128 * 128;
    uint8_t* memory = pages(part * threads);
    const long times = std::max(1L, 512 / mebibytes);
    const double bytes = best(threads, (double)part * times, [&](int thread) {
      for (long time = 0; time < times; time++) read(memory + thread * part, part);
    });
    std::printf("read %ld %.4g\n", mebibytes, bytes);
    std::free(memory);
  }
}
