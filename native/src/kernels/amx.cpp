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
#include "gemm_fixed.inl.h"
#include "rows.inl.h"
#include "attention.inl.h"
#include "attention_fixed.inl.h"
#include "attention_tiles.inl.h"

bool isFixed(PackedType type, int cols) { return (type == PackedType::U4 || type == PackedType::U8) && cols <= kFixedColumns; }

size_t preparedBytes(PackedType type, int cols) { return isFixed(type, cols) ? fixedRowBytes(cols) : activationRowBytes(type, cols); }

void prepare(const float* x, size_t stride, int rows, Activations& out, int firstRow) {
  if (!isFixed(out.type, out.cols)) return prepareRows(x, stride, rows, out, firstRow);
  for (int r = 0; r < rows; r++) prepareFixedRow(x + size_t(r) * stride, out, firstRow + r);
}

constexpr int kRows = 256;     // so many make what widening quantised weights costs small
constexpr int kOtherRows = 64; // stay in the cache while panels stream past

void multiply(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  if (w.fixedPoint) return fixedGemm(w, x, panel0, panel1, row0, row1, out, outStride, bias, store);
  const auto others = w.type == PackedType::BF16 && w.cols % 32 == 0 ? bf16Gemm : gemm;
  for (int row = row0; row < row1; row += kOtherRows)
    others(w, x, panel0, panel1, row, row + kOtherRows < row1 ? row + kOtherRows : row1, out, outStride, bias, store);
}

const Kernels table = {"amx", true, kRows, preparedBytes, prepare, multiply, rmsNorm, siluMul, rope,
                       fixedKvHeadBytes, writeFixedKv, fixedAttention<InTiles>, fixedAttentionPartition<InTiles>, mergeAttention};
} // namespace

const Kernels& amxTable() { return table; }

} // namespace dyn
