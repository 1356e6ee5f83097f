// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <initializer_list>

#include "quantise.h"

namespace dyn {
namespace {
constexpr int kLanes = 8;
#include "quantise.inl.h"
} // namespace

void quantiseAvx2(TensorType type, const float* values, size_t count, uint8_t* out) { quantiseLanes(type, values, count, out); }

} // namespace dyn
