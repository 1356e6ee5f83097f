// SPDX-License-Identifier: Apache-2.0
// Which tables this CPU and operating system can run.
#include "kernels.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace dyn {

#if defined(__x86_64__)
const Kernels& avx2Table();
const Kernels& avx512Table();
const Kernels& avx512Bf16Table();
const Kernels& amxTable();

namespace {

#if !defined(DYN_TILES) // else they are emulated
// Linux saves tile registers only for processes that asked; threads that are made later inherit the answer.
bool tilesPermitted() {
#if defined(__linux__)
  constexpr long archRequestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM and XTILEDATA of asm/prctl.h
  return syscall(SYS_arch_prctl, archRequestPermission, tileData) == 0;
#else
  return false;
#endif
}
#endif

struct CpuFeatures {
  bool avx2 = false, avx512 = false, bf16 = false, amx = false;

  CpuFeatures() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool osxsave = c & (1u << 27), fma = c & (1u << 12), f16c = c & (1u << 29), avx = c & (1u << 28);
    if (!osxsave || !avx) return;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const bool ymm = (low & 6) == 6, zmm = (low & 0xe6) == 0xe6; // registers that the operating system saves
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    avx2 = ymm && fma && f16c && (b & (1u << 5));
    const bool f = b & (1u << 16), dq = b & (1u << 17), bw = b & (1u << 30), vl = b & (1u << 31), vnni = c & (1u << 11);
    avx512 = avx2 && zmm && f && dq && bw && vl && vnni;
    const bool tiles = (d & (1u << 22)) && (d & (1u << 24)) && (d & (1u << 25)); // AMX bf16, tile, int8
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) bf16 = avx512 && (a & (1u << 5));
#if defined(DYN_TILES)
    amx = bf16;
#else
    amx = bf16 && tiles && (low & 0x60000) == 0x60000 && tilesPermitted();
#endif
  }
};

// Seconds of a product of bf16 weights, the best of several: 32 rows, in the cache.
double bf16Seconds(const Kernels& kernels) {
  constexpr int rows = 32, cols = 512;
  PackedMatrix w = describePacked(TensorType::BF16, 4 * kPanelRows, cols, false);
  const Activations sized{w.type, cols, kernels.activationRowBytes(w.type, cols), nullptr, rows};
  std::vector<uint8_t> weights(w.bytes() + 63), activations(sized.rowBytes * rows + 63);
  const auto aligned = [](std::vector<uint8_t>& bytes) { return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(bytes.data()) + 63) / 64 * 64); };
  w.data = aligned(weights);
  Activations x = sized;
  x.data = aligned(activations);
  std::vector<float> out(size_t(rows) * 4 * kPanelRows);
  double best = 1e9;
  for (int round = 0; round < 10; round++) {
    const auto began = std::chrono::steady_clock::now();
    kernels.gemm(w, x, 0, w.panels(), 0, rows, out.data(), 4 * kPanelRows, nullptr, Store::Set);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  return best;
}

// Some CPUs multiply bf16 at half the speed of f32 (Emerald Rapids: 91 and 183 GFLOPS of a thread), others at twice the speed
// (Zen 5), which the CPU's flags do not tell. The answer changes roundings, so the gap must be wide: noise may not decide it.
bool bf16DotPays() {
  static const bool pays = bf16Seconds(avx512Bf16Table()) < 0.8 * bf16Seconds(avx512Table());
  return pays;
}

const CpuFeatures& cpu() {
  static const CpuFeatures features;
  return features;
}

} // namespace

const Kernels* avx2Kernels() { return cpu().avx2 ? &avx2Table() : nullptr; }
const Kernels* avx512Kernels() { return cpu().bf16 && bf16DotPays() ? &avx512Bf16Table() : cpu().avx512 ? &avx512Table() : nullptr; }
const Kernels* amxKernels() { return cpu().amx ? &amxTable() : nullptr; }
#else
const Kernels* avx2Kernels() { return nullptr; }
const Kernels* avx512Kernels() { return nullptr; }
const Kernels* amxKernels() { return nullptr; }
#endif

const Kernels* selectKernels(const char* name) {
  if (name && std::strcmp(name, "portable") == 0) return &portableKernels();
  if (name && std::strcmp(name, "avx2") == 0) return avx2Kernels();
  if (name && std::strcmp(name, "avx512") == 0) return avx512Kernels();
  if (name && std::strcmp(name, "amx") == 0) return amxKernels();
  if (name) return nullptr;
  if (const Kernels* best = amxKernels()) return best;
  if (const Kernels* best = avx512Kernels()) return best;
  if (const Kernels* best = avx2Kernels()) return best;
  return &portableKernels();
}

} // namespace dyn
