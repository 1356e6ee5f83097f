// SPDX-License-Identifier: Apache-2.0
// One instruction set's table. The including file has defined DYN_TABLE_NAME and DYN_BF16_DOT and the SIMD header to use.
#include "gemm.inl.h"
#include "rows.inl.h"
#include "attention.inl.h"
#if DYN_FIXED_KV
#include "attention_fixed.inl.h"
#define DYN_ATTENTION fixedKvHeadBytes, writeFixedKv, fixedAttention<InVectors>, fixedAttentionPartition<InVectors>
#else
#define DYN_ATTENTION kvHeadBytes, writeKv, attention, attentionPartition
#endif

constexpr int kRows = 64; // stay in the cache while panels stream past

const Kernels table = {DYN_TABLE_NAME, false, kRows, activationRowBytes, prepareRows, gemm, rmsNorm, siluMul, rope, DYN_ATTENTION, mergeAttention};
