// SPDX-License-Identifier: Apache-2.0
#include "quantise.h"

#include <cstring>
#include <initializer_list>

namespace dyn {
namespace {
constexpr int kLanes = 4;
#include "quantise.inl.h"
} // namespace

#if defined(__x86_64__)
void quantiseAvx2(TensorType type, const float* values, size_t count, uint8_t* out);
#endif

void quantise(TensorType type, const float* values, size_t count, uint8_t* out) {
#if defined(__x86_64__)
  static const bool hasAvx2 = avx2Kernels() != nullptr;
  if (hasAvx2) return quantiseAvx2(type, values, count, out);
#endif
  quantiseLanes(type, values, count, out);
}

} // namespace dyn
