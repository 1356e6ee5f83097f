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
//  BF16: bf16 weights and activations, f32 accumulation. F16 checkpoints stay 16 bit as F16.
//  U4:   4-bit codes 0..15, activations s8 per group of 32 with an f32 scale.   w = scale * code + min
//  U8:   8-bit codes 0..255, same activations.                                  w = scale * (code - zero)
enum class PackedType : uint32_t { F32, F16, BF16, U4, U8 };

inline constexpr int kPanelRows = 16;  // output features per panel: one lane each
inline constexpr int kQuantGroup = 32; // k-elements that share an activation scale
inline constexpr int kKvBlock = 32;    // tokens per KV block

// A weight matrix [rows x cols] packed into ceil(rows/16) panels; missing rows are zero. Panels are independent, so
// packing and computing may be split over threads by panel.
struct PackedMatrix {
  PackedType type = PackedType::F32;
  int rows = 0, cols = 0;
  int scaleGroup = kQuantGroup; // k-elements per weight scale: 32, or 16 (Q6_K)
  size_t panelBytes = 0;
  uint8_t* data = nullptr;      // 64-byte aligned, owned by the caller
  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  size_t bytes() const { return panelBytes * panels(); }
};

// Activations prepared for a PackedType: `rows` rows of `cols` values. Memory owned by the caller.
//  F32/F16: f32 rows. BF16: bf16 rows (or f32 where the instruction set has no bf16 dot product).
//  U4/U8:   per row s8[cols], then f32 scale[cols/32], then per-group sums of the s8 codes i32[cols/32] (exact layout is the kernels' own).
struct Activations {
  PackedType type;
  int rows, cols;
  size_t rowBytes; // see activationRowBytes
  uint8_t* data;   // 64-byte aligned rows
};

// How a GEMM's f32 result is stored.
enum class Store : uint32_t { Set, Add };

// One attention job: query rows of one sequence against its KV blocks, for one KV head and its group of query heads.
// Layout of a KV block per layer and KV head is the kernels' own (kvHeadBytes): K and V of 32 tokens.
struct AttentionJob {
  const float* q;        // first query row, after RoPE; row stride qStride floats; query head h of the group at + h*headDim
  size_t qStride;
  float* out;            // same shape and strides as q, with outStride
  size_t outStride;
  int rows;              // query rows; row r sees positions 0 .. position + r
  int position;          // position of the first query row
  int group;             // query heads per KV head
  int headDim;           // multiple of 16, <= 256
  float scale;           // 1/sqrt(headDim)
  const uint32_t* blocks; // physical block ids covering all positions
  const uint8_t* kv;     // start of this layer's and KV head's storage in block 0
  size_t blockStride;    // bytes from one block to the next
  float* scratch;        // attentionScratchFloats(rows, group, headDim) floats
};

struct Kernels {
  const char* name; // "avx512", "avx2", "portable"

  // What `type` becomes, given the precision asked for ("f32" forces F32).
  // Packs rows [panel*16, panel*16+16) of `source` (row-major in `type`, GGML blocks or plain) into out.data.
  // rowIndex maps a matrix row to a row of the source (nullptr = identity).
  void (*packPanel)(const uint8_t* source, TensorType type, const uint32_t* rowIndex, int panel, PackedMatrix& out);

  size_t (*activationRowBytes)(PackedType type, int cols);
  // Converts rows of f32 into prepared activations. Row r reads x + r*stride.
  void (*prepareRows)(const float* x, size_t stride, int rows, Activations& out, int firstRow);

  // out[r*outStride + n] (=|+=) sum_k w[n][k] * x[r][k] (+ bias[n] when not null), for output features n of panels [panel0, panel1)
  // and activation rows [row0, row1).
  void (*gemm)(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store);

  // y = x / sqrt(mean(x^2) + eps) * weight
  void (*rmsNorm)(const float* x, const float* weight, float eps, int n, float* y);
  // y = silu(gate) * up
  void (*siluMul)(const float* gate, const float* up, int n, float* y);
  // Rotates pairs (i, i + headDim/2) of one head in place. cosSin: headDim/2 cosines, then headDim/2 sines.
  void (*rope)(float* head, int headDim, const float* cosSin);
  // One row of a packed matrix as f32 (embedding look-up): exact inverse of packing.
  void (*unpackRow)(const PackedMatrix& w, int row, float* out);

  // KV storage of one layer and KV head in one block, bytes. kvF32: f32 (reference mode), else bf16.
  size_t (*kvHeadBytes)(int headDim, bool kvF32);
  // Writes one token's key and value (f32, headDim each) at `slot` (0..31) of a block.
  void (*writeKv)(uint8_t* kvHead, int slot, const float* k, const float* v, int headDim, bool kvF32);
  // Reads them back (tests, export).
  void (*readKv)(const uint8_t* kvHead, int slot, float* k, float* v, int headDim, bool kvF32);
  size_t (*attentionScratchFloats)(int rows, int group, int headDim);
  void (*attention)(const AttentionJob& job, bool kvF32);
};

// How a checkpoint type is packed. forceF32: reference precision.
PackedType packedTypeFor(TensorType type, bool forceF32);
// Fills type, rows, cols, scaleGroup and panelBytes; data stays null.
PackedMatrix describePacked(TensorType type, int rows, int cols, bool forceF32);
// Bytes of one row of `cols` values in the checkpoint; 0 when cols does not divide into blocks.
size_t sourceRowBytes(TensorType type, int cols);

const Kernels& portableKernels();
const Kernels* avx2Kernels();   // null when this CPU (or build) lacks AVX2, FMA and F16C
const Kernels* avx512Kernels(); // null unless AVX-512 F, BW, VL, DQ and VNNI are usable
// The best usable table, or the one named ("avx512" | "avx2" | "portable"); null when the named one is not usable.
const Kernels* selectKernels(const char* name);

} // namespace dyn
