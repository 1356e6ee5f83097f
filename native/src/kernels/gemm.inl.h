// SPDX-License-Identifier: Apache-2.0
// Matrix products over one panel (16 output features in 16 lanes) and a tile of activation rows. Every output element is one
// lane of one accumulator that runs over k in order, so its value does not depend on the tile.

// Where a weight record keeps its parts; see PackedMatrix.
template <int Bits, int Zero, bool HasMin, bool Wide, int Halves>
struct QuantFormat {
  static constexpr int bits = Bits, zeroCode = Zero, halves = Halves;
  static constexpr bool hasMin = HasMin, wide = Wide;
  static constexpr size_t codeBytes = Bits == 4 ? 256 : 512;
  static constexpr size_t scaleBytes = kPanelRows * (Wide ? 4 : 2);
  static constexpr size_t recordBytes = codeBytes + scaleBytes * (Halves + (HasMin ? 1 : 0));
};

// Weights come from memory once per step. So far ahead they arrive in time: the hardware alone looks a page ahead at most, and
// loses its way at every row tile after the first. 16 rows with weights out of memory, GOPS with 8 KiB and with the 1 KiB (bf16:
// nothing) before: Q4_1 308 and 270, Q8_0 335 and 215, bf16 285 and 175.
constexpr size_t kFetchAhead = 8192;
template <size_t Bytes>
inline void fetchAhead(const void* weights) {
#pragma GCC unroll 18
  for (size_t at = 0; at < Bytes; at += 64) __builtin_prefetch(static_cast<const uint8_t*>(weights) + kFetchAhead + at);
}

template <bool Wide>
inline F loadScales(const uint8_t* p) {
  if constexpr (Wide) return load(reinterpret_cast<const float*>(p));
  else return loadHalf(reinterpret_cast<const uint16_t*>(p));
}

struct Output {
  float* out;
  size_t stride;
  const float* bias; // of this panel, or null
  Store store;
};

inline void finish(const Output& o, int row, F acc) {
  float* p = o.out + size_t(row) * o.stride;
  if (o.bias) acc = add(acc, load(o.bias));
  store(p, o.store == Store::Add ? add(load(p), acc) : acc);
}

// Parts of a quantised activation row; see Activations.
inline const float* scalesOf(const uint8_t* row, int cols) { return reinterpret_cast<const float*>(row + 2 * cols); }
inline const int32_t* sumsOf(const uint8_t* row, int cols) { return reinterpret_cast<const int32_t*>(row + 2 * cols + cols / kQuantGroup * 4); }
inline const float* totalsOf(const uint8_t* row, int cols) { return reinterpret_cast<const float*>(sumsOf(row, cols) + cols / kQuantGroup * 2); }

#include DYN_ACTIVATIONS

template <int Rows>
void f32Tile(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  const float* w = reinterpret_cast<const float*>(panel);
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  for (int k = 0; k < cols; k++, w += kPanelRows) {
    fetchAhead<64>(w);
    const F weights = load(w);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) acc[r] = fma(splat(reinterpret_cast<const float*>(x + size_t(r) * rowBytes)[k]), weights, acc[r]);
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}

template <int Rows>
void f16Tile(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  const uint16_t* w = reinterpret_cast<const uint16_t*>(panel);
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  for (int k = 0; k < cols; k++, w += kPanelRows) {
    if (k % 2 == 0) fetchAhead<64>(w);
    const F weights = loadHalf(w);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) acc[r] = fma(splat(reinterpret_cast<const float*>(x + size_t(r) * rowBytes)[k]), weights, acc[r]);
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}

template <int Rows>
void bf16Tile(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  const uint16_t* w = reinterpret_cast<const uint16_t*>(panel);
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  for (int k = 0; k < cols; k += 2, w += 2 * kPanelRows) {
    fetchAhead<64>(w);
    const Pairs pairs = loadPairs(w);
#if DYN_BF16_DOT
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) {
      int32_t two;
      __builtin_memcpy(&two, x + size_t(r) * rowBytes + size_t(k) * 2, 4);
      acc[r] = _mm512_dpbf16_ps(acc[r], (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(two));
    }
#else
    const F even = evenOfPairs(pairs), odd = oddOfPairs(pairs);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) {
      const float* a = reinterpret_cast<const float*>(x + size_t(r) * rowBytes) + k;
      acc[r] = fma(splat(a[1]), odd, fma(splat(a[0]), even, acc[r]));
    }
#endif
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}

// Calls tile.operator()<Rows>(firstRow) until all rows are done, in the largest steps that fit.
template <class Tile>
void overRows(int row0, int row1, const Tile& tile) {
  int row = row0;
  for (; row + kRowTile <= row1; row += kRowTile) tile(std::integral_constant<int, kRowTile>(), row);
  if (kRowTile > 4 && row + 4 <= row1) tile(std::integral_constant<int, 4>(), row), row += 4;
  if (row + 2 <= row1) tile(std::integral_constant<int, 2>(), row), row += 2;
  if (row < row1) tile(std::integral_constant<int, 1>(), row);
}

template <class Format>
void quantGemm(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  for (int p = panel0; p < panel1; p++) {
    overRows(row0, row1, [&](auto rows, int row) {
      const Output o{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store};
      quantTile<Format, decltype(rows)::value>(w.data + size_t(p) * w.panelBytes, w.cols, x.data + size_t(row) * x.rowBytes, x.rowBytes, o);
    });
  }
}

// Calls use(QuantFormat of w).
template <class Use>
void withFormat(const PackedMatrix& w, const Use& use) {
  if (w.type == PackedType::U4) {
    if (w.wideScales) return use(QuantFormat<4, 0, true, true, 1>());  // Q4_K
    if (w.hasMin) return use(QuantFormat<4, 0, true, false, 1>());     // Q4_1
    return use(QuantFormat<4, 8, false, false, 1>());                  // Q4_0
  }
  if (w.scaleGroup == 16) return use(QuantFormat<8, 32, false, true, 2>());         // Q6_K
  if (w.hasMin && w.wideScales) return use(QuantFormat<8, 0, true, true, 1>());     // Q5_K
  if (w.hasMin) return use(QuantFormat<8, 0, true, false, 1>());                    // Q5_1
  if (w.zero == 16) return use(QuantFormat<8, 16, false, false, 1>());              // Q5_0
  return use(QuantFormat<8, 128, false, false, 1>());                               // Q8_0
}

void gemm(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  if (w.quantised())
    return withFormat(w, [&](auto format) { quantGemm<decltype(format)>(w, x, panel0, panel1, row0, row1, out, outStride, bias, store); });
  for (int p = panel0; p < panel1; p++) {
    overRows(row0, row1, [&](auto rows, int row) {
      constexpr int Rows = decltype(rows)::value;
      const Output o{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store};
      const uint8_t* panel = w.data + size_t(p) * w.panelBytes;
      const uint8_t* activations = x.data + size_t(row) * x.rowBytes;
      if (w.type == PackedType::F32) f32Tile<Rows>(panel, w.cols, activations, x.rowBytes, o);
      else if (w.type == PackedType::F16) f16Tile<Rows>(panel, w.cols, activations, x.rowBytes, o);
      else bf16Tile<Rows>(panel, w.cols, activations, x.rowBytes, o);
    });
  }
}
