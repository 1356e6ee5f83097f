// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#include <immintrin.h>

#include <type_traits>
#include <vector>

#define DYN_TABLE_NAME "avx512"
#define DYN_BF16_DOT 1

namespace dyn {
namespace {
#include "simd_avx512.h"
#include "table.inl.h"
} // namespace

const Kernels& avx512Bf16Table() { return table; }

} // namespace dyn
