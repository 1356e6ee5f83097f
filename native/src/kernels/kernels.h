// SPDX-License-Identifier: Apache-2.0
// The compute kernels: one table of functions per instruction set, one packed weight layout for all of them.
//
// Invariant: the value of every output element depends on its own row of activations and on the weights only, never on
// how many rows or panels are computed together. All implementations of one table accumulate over k (and over KV
// tokens) in one fixed order per element, so logits are bit-identical for every batch, chunking and thread count.
#pragma once
#include <cstddef>
#include <cstdint>

namespace dyn {

// Storage types as they come from a checkpoint. Names and block layouts as in GGML (gguf v3).
enum class TensorType : uint32_t { F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K };

// How a packed matrix is computed.
//  F32:  f32 weights, f32 activations (reference mode).
//  F16:  f16 weights widened to f32, f32 activations.
//  BF16: bf16 weights; bf16 activations where the instruction set has a bf16 dot product, else f32. f32 accumulation.
//  U4:   4-bit codes 0..15, activations 16 bit per group of 32 with an f32 scale, integer dot product.
//  U8:   8-bit codes 0..255, same activations.
// A weight of the last two is scale * (code - zero), or scale * code + min when hasMin; in fixed point it is made a whole number.
enum class PackedType : uint32_t { F32, F16, BF16, U4, U8 };

inline constexpr int kPanelRows = 16;  // output features per panel: one lane each
inline size_t padded(int features) { return size_t((features + kPanelRows - 1) / kPanelRows * kPanelRows); } // to whole panels
inline constexpr int kQuantGroup = 32; // k-elements that share an activation scale
inline constexpr float kLargestFixed = 32600; // units of the largest weight of an output feature: two signed bytes, rounding included
inline constexpr float kLargestCode = 126.0f * 256; // of an activation: two signed bytes, rounding included
inline constexpr int kFixedColumns = 1 << 15; // the most whose sums of bytes' products fit 32 bits
inline constexpr int kKvBlock = 32;    // tokens per KV block
inline constexpr int kKvPartition = 512; // tokens whose attention is computed by itself, then merged: see attention.inl.h
inline constexpr int kBlocksPerPartition = kKvPartition / kKvBlock;

inline int kvBlocksOf(int tokens) { return (tokens + kKvBlock - 1) / kKvBlock; }

// Of keys and values. F32: as computed. Half: f16 or, where a table has it, fixed point of 12 bits. Byte: fixed point of 8 bits where
// a table has it, else as Half.
enum class KvPrecision : uint8_t { F32, Half, Byte };

// A weight matrix [rows x cols] packed into ceil(rows/16) panels; missing rows are zero. Panels are independent, so
// packing and computing may be split over threads by panel.
//
// Panel layout: F32 and F16: [k][16 lanes]. BF16: [k/2][16 lanes][2]. U4 and U8: one record per group of 32 k:
// codes, then scales (16 lanes per scale group), then mins (16 lanes). Scales and mins are f16, as GGML stores them,
// or f32 when wideScales (K-quants, where they are products).
// In fixed point (gemm_fixed.inl.h), where a weight is unit * (scale * (code - 8) + middle), of U8 unit * (scale * code / 128,
// rounded, + middle): instead of scales and mins whole numbers of 16 bits, codes of U8 signed, and filling 8 bits where they
// had 5 or 6, and at the end of the panel the unit, f32, of each lane.
// Codes of U8: [k/4][16 lanes][4]; of U4: the same for k 0..15 in the low nibbles and k 16..31 in the high nibbles.
struct PackedMatrix {
  PackedType type = PackedType::F32;
  int rows = 0, cols = 0;
  int zero = 0;              // subtracted from codes
  bool hasMin = false;
  bool wideScales = false;
  bool fixedPoint = false;
  int scaleGroup = kQuantGroup; // k-elements per weight scale: 32, or 16 (Q6_K)
  size_t panelBytes = 0;     // 0: these dimensions cannot be packed (cols not a multiple of the group)
  uint8_t* data = nullptr;   // 64-byte aligned, owned by the caller
  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  size_t bytes() const { return panelBytes * size_t(panels()); }
  bool quantised() const { return type == PackedType::U4 || type == PackedType::U8; }
};

// Activations prepared for one PackedType: rows of `rowBytes` bytes, 64-byte aligned, owned by the caller, with memory for
// activationRows(rows) of them.
//  U4/U8: 16-bit codes in the order that the instructions want (activations_*.inl.h), x = scale * code; f32 scale [cols/32];
//         i32 sums of codes [cols/16]; f32 sums of x [cols/32]. With 8 bits alone, greedy text of a 135M model left the f32 reference
//         at gaps of 0.5; with 16 it follows it as far as bf16 does (docs/decisions/0004).
//         In fixed point: two bytes per code and a scale per row, sixteen rows together (fixed_point.inl.h).
//  Others: f32 or bf16 values.
struct Activations {
  PackedType type;
  int cols;
  size_t rowBytes; // see activationRowBytes
  uint8_t* data;
  int rows;        // of the whole step: few are prepared and multiplied another way than many
};
inline size_t activationRows(size_t rows) { return (rows + 15) / 16 * 16; }

// How a GEMM's f32 result is stored.
enum class Store : uint32_t { Set, Add };

// Some of a sequence's blocks as one KV head sees them.
struct KvRun {
  const uint8_t* kv = nullptr; // as in AttentionJob
  const uint32_t* blocks = nullptr;
  int count = 0;

  const uint8_t* block(int b, size_t blockStride) const { return kv + size_t(blocks[b]) * blockStride; }
  // Those of a partition, of a sequence of so many tokens.
  KvRun partition(int index, int tokens) const {
    const int first = index * kBlocksPerPartition, left = kvBlocksOf(tokens) - first;
    return {kv, blocks + first, left < kBlocksPerPartition ? left : kBlocksPerPartition};
  }
};

// One attention job: query rows of one sequence against its KV blocks, for one KV head and its group of query heads.
// Layout of a KV block per layer and KV head is the table's own (kvHeadBytes): K and V of 32 tokens.
struct AttentionJob {
  const float* q;        // first query row, after RoPE; row stride qStride floats; query head h of the group at + h*headDim
  size_t qStride;
  float* out;            // same shape and strides as q, with outStride
  size_t outStride;
  int rows;              // query rows; row r sees positions 0 .. position + r
  int position;          // position of the first query row: it sees positions 0 .. position
  int group;             // query heads per KV head
  int headDim;           // multiple of 16, <= 256
  float scale;           // 1/sqrt(headDim)
  const uint32_t* blocks; // physical block ids covering all positions
  const uint8_t* kv;     // start of this layer's and KV head's storage in block 0
  size_t blockStride;    // bytes from one block to the next
  KvRun next;            // where this thread will probably go on, a partition at most
};

struct Kernels {
  const char* name; // "amx", "avx512", "avx2", "portable"
  bool fixedPoint;  // how it wants quantised weights packed
  int rowTile;      // the most activation rows that are best multiplied by some panels together

  size_t (*activationRowBytes)(PackedType type, int cols);
  // Converts `rows` rows of f32 (row r at x + r*stride) into prepared activations, from row firstRow of `out` on.
  void (*prepareRows)(const float* x, size_t stride, int rows, Activations& out, int firstRow);

  // out[r*outStride + n] (=|+=) sum_k w[n][k] * x[r][k] (+ bias[n] when not null), for the output features n of panels
  // [panel0, panel1) and activation rows [row0, row1). outStride and out leave room for whole panels.
  void (*gemm)(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out,
               size_t outStride, const float* bias, Store store);

  // y = x / sqrt(mean(x^2) + eps) * weight
  void (*rmsNorm)(const float* x, const float* weight, float eps, int n, float* y);
  // out = silu(gate) * up, n a multiple of 16; out may be gate
  void (*siluMul)(const float* gate, const float* up, int n, float* out);
  // Rotates the pairs (i, i + headDim/2) of one head in place. cosSin: headDim/2 cosines, then headDim/2 sines.
  void (*rope)(float* head, int headDim, const float* cosSin);

  // Bytes of a head's storage in a block: K and V of 32 tokens.
  size_t (*kvHeadBytes)(int headDim, KvPrecision precision);
  // Writes one token's key and value (f32, headDim each) at `slot` (0..31) of a block. Storage is f32, f16, or fixed point
  // (fixed_kv.inl.h).
  void (*writeKv)(uint8_t* kvHead, int slot, const float* k, const float* v, int headDim, KvPrecision precision);
  void (*attention)(const AttentionJob& job, KvPrecision precision);

  // The same in parts, with the same result: the state of every query of the job, row * group + head, over the tokens
  // [partition * kKvPartition, + kKvPartition), attentionStateFloats(headDim) floats each; and of one query, whose states lie
  // `stride` floats apart, the result (the first state is overwritten).
  void (*attentionPartition)(const AttentionJob& job, int partition, float* states, KvPrecision precision);
  void (*mergeAttention)(float* states, size_t stride, int partitions, int headDim, float* out);
};

inline size_t attentionStateFloats(int headDim) { return size_t(headDim) + 16; }

// The usual storage, f32 or f16. K: [headDim][32 tokens], V: [32 tokens][headDim].
inline size_t kvHeadBytes(int headDim, KvPrecision precision) { return size_t(headDim) * kKvBlock * 2 * (precision == KvPrecision::F32 ? 4 : 2); }

// Everything but data of the matrix that a checkpoint type is packed into. forceF32: reference precision.
// fixedPoint: quantised weights are to be multiplied as whole numbers.
PackedMatrix describePacked(TensorType type, int rows, int cols, bool forceF32, bool fixedPoint = false);
// Bytes of one row of `cols` values in the checkpoint; 0 when cols does not divide into blocks.
size_t sourceRowBytes(TensorType type, int cols);
// `count` values as f32, a whole number of blocks.
void dequantise(TensorType type, const uint8_t* source, size_t count, float* out);
// Packs rows [panel*16, panel*16 + 16) of a row-major source. sourceRow maps a matrix row to a source row (null: identity).
void packPanel(const uint8_t* source, TensorType type, const uint32_t* sourceRow, int panel, PackedMatrix& out);
// One row of a packed matrix as f32 (embedding look-up): what dequantise gives for that row.
void unpackRow(const PackedMatrix& w, int row, float* out);
float halfToFloat(uint16_t half);
uint16_t floatToHalf(float value); // round to nearest even, saturates at the largest finite value

const Kernels& portableKernels();
const Kernels* avx2Kernels();   // null when this CPU (or build) lacks AVX2, FMA and F16C
const Kernels* avx512Kernels(); // null unless AVX-512 F, BW, VL, DQ and VNNI are usable
const Kernels* amxKernels();    // null unless avx512 with bf16 is usable, and the operating system grants tiles
// The best usable table, or the one named ("amx" | "avx512" | "avx2" | "portable"); null when the named one is not usable.
const Kernels* selectKernels(const char* name);

} // namespace dyn
