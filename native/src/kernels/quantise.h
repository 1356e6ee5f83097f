// SPDX-License-Identifier: Apache-2.0
// Quantising while a checkpoint is loaded.
#pragma once
#include "kernels.h"

namespace dyn {

inline bool canQuantiseTo(TensorType type) { return type == TensorType::Q8_0 || type == TensorType::Q4_1; }
inline bool canQuantiseFrom(TensorType type) { return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16; }

// Writes `count` values, a whole number of groups of 32, as blocks of `type`, which is Q8_0 or Q4_1. Value by value the
// arithmetic of quantize() in packages/models/src/checkpoint/quantize.ts, so both give the same blocks. A value that
// is not finite spoils no other group.
void quantise(TensorType type, const float* values, size_t count, uint8_t* out);

} // namespace dyn
