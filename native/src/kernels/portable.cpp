// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#include <type_traits>

#define DYN_TABLE_NAME "portable"
#define DYN_BF16_DOT 0

namespace dyn {
namespace {
#include "simd_portable.h"
#include "table.inl.h"
} // namespace

const Kernels& portableKernels() { return table; }

} // namespace dyn
