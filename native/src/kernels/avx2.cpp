// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#include <immintrin.h>

#include <type_traits>

#define DYN_TABLE_NAME "avx2"
#define DYN_BF16_DOT 0

namespace dyn {
namespace {
#include "simd_avx2.h"
#include "table.inl.h"
} // namespace

const Kernels& avx2Table() { return table; }

} // namespace dyn
