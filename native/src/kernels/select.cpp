// SPDX-License-Identifier: Apache-2.0
// Which tables this CPU and operating system can run.
#include "kernels.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace dyn {

#if defined(__x86_64__)
const Kernels& avx2Table();
const Kernels& avx512Table();
const Kernels& avx512Bf16Table();

namespace {

struct CpuFeatures {
  bool avx2 = false, avx512 = false, bf16 = false;

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
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) bf16 = avx512 && (a & (1u << 5));
  }
};

const CpuFeatures& cpu() {
  static const CpuFeatures features;
  return features;
}

} // namespace

const Kernels* avx2Kernels() { return cpu().avx2 ? &avx2Table() : nullptr; }
const Kernels* avx512Kernels() { return cpu().bf16 ? &avx512Bf16Table() : cpu().avx512 ? &avx512Table() : nullptr; }
#else
const Kernels* avx2Kernels() { return nullptr; }
const Kernels* avx512Kernels() { return nullptr; }
#endif

const Kernels* selectKernels(const char* name) {
  if (name && std::strcmp(name, "portable") == 0) return &portableKernels();
  if (name && std::strcmp(name, "avx2") == 0) return avx2Kernels();
  if (name && std::strcmp(name, "avx512") == 0) return avx512Kernels();
  if (name) return nullptr;
  if (const Kernels* best = avx512Kernels()) return best;
  if (const Kernels* best = avx2Kernels()) return best;
  return &portableKernels();
}

} // namespace dyn
