// SPDX-License-Identifier: Apache-2.0
// The avx512 table with bf16, and matrix products on AMX tiles.
#include "kernels.h"

#include <immintrin.h>

#include <type_traits>
#include <utility>
#include <vector>

#define DYN_BF16_DOT 1
#ifndef DYN_TILES
#define DYN_TILES "tiles_amx.h"
#endif

namespace dyn {
namespace {
#include DYN_TILES
#include "simd_avx512.h"
#include "gemm.inl.h"
#include "gemm_tiles.inl.h"
#include "rows.inl.h"
#include "attention.inl.h"

const Kernels table = {"amx", activationRowBytes, prepareRows, gemmInTiles, rmsNorm, siluMul, rope, writeKv, attention, attentionPartition, mergeAttention};
} // namespace

const Kernels& amxTable() { return table; }

} // namespace dyn
