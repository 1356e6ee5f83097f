// SPDX-License-Identifier: Apache-2.0
// Matrix products on AMX tiles, of bf16 weights (quantised ones: gemm_fixed.inl.h). A few rows repeat in vectors, step by step,
// what a tile does.

constexpr int kTileRows = 16;

// The tiles of both kinds of product: results 0..3, activations 4 and 5, weights 6 and 7.
inline tile::Shapes tileShapes(int rows, int activationBytes, int weightRows) {
  tile::Shapes shapes;
  for (int t = 0; t < 4; t++) shapes.set(t, rows, 64);
  for (int t = 4; t < 6; t++) shapes.set(t, rows, activationBytes);
  for (int t = 6; t < 8; t++) shapes.set(t, weightRows, 64);
  return shapes;
}

// One thread's memory, 64-byte aligned.
inline uint8_t* scratch(size_t bytes) {
  static thread_local std::vector<uint8_t> memory;
  if (memory.size() < bytes + 63) memory.resize(bytes + 63);
  return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
}

// MTiles x NPanels tiles of results at once; `rows` of the last tile of rows count. Fetch: the weights are not in the cache yet.
template <int MTiles, int NPanels, bool Fetch>
inline void bf16Tiles(const PackedMatrix& w, int p, const uint8_t* x, size_t rowBytes, int rows, float* out, size_t outStride, const float* bias, Store store) {
  const uint8_t* first = w.data + size_t(p) * w.panelBytes;
  const uint8_t* second = first + w.panelBytes;
  tile::zero<0>();
  if constexpr (NPanels == 2) tile::zero<1>();
  if constexpr (MTiles == 2) tile::zero<2>();
  if constexpr (MTiles == 2 && NPanels == 2) tile::zero<3>();
  for (int k = 0; k < w.cols; k += 32) {
    if constexpr (Fetch) {
      fetchAhead<1024>(first + size_t(k) * 32);
      if constexpr (NPanels == 2) fetchAhead<1024>(second + size_t(k) * 32);
    }
    // Loads before products: see FixedTiles.
    tile::load<4>(x + size_t(k) * 2, rowBytes);
    tile::load<6>(first + size_t(k) * 32, 64);
    if constexpr (NPanels == 2) tile::load<7>(second + size_t(k) * 32, 64);
    if constexpr (MTiles == 2) tile::load<5>(x + kTileRows * rowBytes + size_t(k) * 2, rowBytes);
    tile::multiplyBf16<0, 4, 6>();
    if constexpr (NPanels == 2) tile::multiplyBf16<1, 4, 7>();
    if constexpr (MTiles == 2) tile::multiplyBf16<2, 5, 6>();
    if constexpr (MTiles == 2 && NPanels == 2) tile::multiplyBf16<3, 5, 7>();
  }
  alignas(64) float results[2 * kTileRows][2 * kPanelRows];
  tile::store<0>(results[0], sizeof(results[0]));
  if constexpr (NPanels == 2) tile::store<1>(results[0] + kPanelRows, sizeof(results[0]));
  if constexpr (MTiles == 2) tile::store<2>(results[kTileRows], sizeof(results[0]));
  if constexpr (MTiles == 2 && NPanels == 2) tile::store<3>(results[kTileRows] + kPanelRows, sizeof(results[0]));
  const int total = (MTiles - 1) * kTileRows + rows;
  for (int n = 0; n < NPanels; n++) {
    const Output o{out + size_t(p + n) * kPanelRows, outStride, bias ? bias + (p + n) * kPanelRows : nullptr, store};
    for (int r = 0; r < total; r++) finish(o, r, load(results[r] + n * kPanelRows));
  }
}

template <int MTiles, bool Fetch>
void bf16TileRows(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row, int rows, float* out, size_t outStride, const float* bias, Store store) {
  const uint8_t* activations = x.data + size_t(row) * x.rowBytes;
  float* to = out + size_t(row) * outStride;
  int p = panel0;
  for (; p + 2 <= panel1; p += 2) bf16Tiles<MTiles, 2, Fetch>(w, p, activations, x.rowBytes, rows, to, outStride, bias, store);
  if (p < panel1) bf16Tiles<MTiles, 1, Fetch>(w, p, activations, x.rowBytes, rows, to, outStride, bias, store);
}

// What multiplyBf16 does, in vectors: for fewer rows than a tile is worth.
template <int Rows>
void bf16FewRows(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  const uint16_t* w = reinterpret_cast<const uint16_t*>(panel);
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  for (int k = 0; k < cols; k += 32) {
    F even[Rows], odd[Rows];
    for (int r = 0; r < Rows; r++) even[r] = odd[r] = zero();
#pragma GCC unroll 4
    for (int pair = 0; pair < 16; pair++, w += 2 * kPanelRows) {
      fetchAhead<64>(w);
      const Pairs weights = loadPairs(w);
      const F evenWeights = evenOfPairs(weights), oddWeights = oddOfPairs(weights);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) {
        int32_t two;
        __builtin_memcpy(&two, x + size_t(r) * rowBytes + size_t(k + 2 * pair) * 2, 4);
        const Pairs both = splatInt(two);
        even[r] = fma(evenOfPairs(both), evenWeights, even[r]);
        odd[r] = fma(oddOfPairs(both), oddWeights, odd[r]);
      }
    }
    for (int r = 0; r < Rows; r++) acc[r] = add(acc[r], add(even[r], odd[r]));
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}

constexpr int kBf16RowsWorthTiles = 4;

void bf16Gemm(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040); // denormals are zero, as they are for tiles
  int row = row0;
  if (row1 - row >= kTileRows) {
    tile::configure(tileShapes(kTileRows, 64, 16));
    for (; row + 2 * kTileRows <= row1; row += 2 * kTileRows) {
      if (row == row0) bf16TileRows<2, true>(w, x, panel0, panel1, row, kTileRows, out, outStride, bias, store);
      else bf16TileRows<2, false>(w, x, panel0, panel1, row, kTileRows, out, outStride, bias, store);
    }
    if (row + kTileRows <= row1) {
      if (row == row0) bf16TileRows<1, true>(w, x, panel0, panel1, row, kTileRows, out, outStride, bias, store);
      else bf16TileRows<1, false>(w, x, panel0, panel1, row, kTileRows, out, outStride, bias, store);
      row += kTileRows;
    }
  }
  const int rest = row1 - row;
  if (rest >= kBf16RowsWorthTiles) {
    tile::configure(tileShapes(rest, 64, 16));
    bf16TileRows<1, true>(w, x, panel0, panel1, row, rest, out, outStride, bias, store);
  }
  if (row1 - row0 >= kBf16RowsWorthTiles) tile::release();
  if (rest < kBf16RowsWorthTiles)
    for (int p = panel0; p < panel1; p++) {
      const uint8_t* panel = w.data + size_t(p) * w.panelBytes;
      const uint8_t* activations = x.data + size_t(row) * x.rowBytes;
      const Output o{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store};
      if (rest == 3) bf16FewRows<3>(panel, w.cols, activations, x.rowBytes, o);
      if (rest == 2) bf16FewRows<2>(panel, w.cols, activations, x.rowBytes, o);
      if (rest == 1) bf16FewRows<1>(panel, w.cols, activations, x.rowBytes, o);
    }
  _mm_setcsr(before);
}
