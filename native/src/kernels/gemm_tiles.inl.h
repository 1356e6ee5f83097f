// SPDX-License-Identifier: Apache-2.0
// Matrix products on AMX tiles, of bf16 and 8-bit weights (4-bit ones: gemm_fixed.inl.h). 8-bit weights: integer products of a
// group are exact however they are made, and what follows is done in the order of quantTile, so results equal those of the
// avx512 table bit by bit, and a few rows may go that way. bf16: a few rows repeat in vectors, step by step, what a tile does.

constexpr int kTileRows = 16;

// The tiles of both kinds of product: results 0..3, activations 4 and 5, weights 6 and 7.
inline tile::Shapes tileShapes(int rows, int activationBytes, int weightRows) {
  tile::Shapes shapes;
  for (int t = 0; t < 4; t++) shapes.set(t, rows, 64);
  for (int t = 4; t < 6; t++) shapes.set(t, rows, activationBytes);
  for (int t = 6; t < 8; t++) shapes.set(t, weightRows, 64);
  return shapes;
}

// Dot products of one group: of the coarse and of the fine codes of `Rows` rows.
template <int Rows>
struct alignas(64) GroupDots {
  int32_t coarse[Rows][kPanelRows], fine[Rows][kPanelRows];
};

// Tiles of consecutive groups differ, so that one group's products need not wait for another's to be stored.
template <int Parity, int Rows>
inline void multiplyGroup(const uint8_t* codes, const uint8_t* x, size_t rowBytes, GroupDots<Rows>& dots) {
  constexpr int coarse = 2 * Parity, fine = 2 * Parity + 1, weights = 6 + Parity;
  tile::zero<coarse>();
  tile::zero<fine>();
  tile::load<weights>(codes, 64);
  tile::load<4>(x, rowBytes);
  tile::load<5>(x + kQuantGroup, rowBytes);
  tile::multiplyCodes<coarse, 4, weights>();
  tile::multiplyCodes<fine, 5, weights>();
  tile::store<coarse>(dots.coarse, 64);
  tile::store<fine>(dots.fine, 64);
}

// What a group of one tile's rows is multiplied by and added, side by side.
template <int Rows>
struct GroupFactors {
  float scale[Rows];
  float total[Rows]; // of the activations: what a weight's minimum is multiplied by
  int32_t zero[Rows]; // of the codes, times the weights' zero point: what is subtracted
};

template <class Format, int Rows>
void gatherFactors(const uint8_t* x, size_t rowBytes, int cols, GroupFactors<Rows>* factors) {
  for (int r = 0; r < Rows; r++) {
    const uint8_t* row = x + size_t(r) * rowBytes;
    const float* scales = scalesOf(row, cols);
    const float* totals = totalsOf(row, cols);
    const int32_t* sums = sumsOf(row, cols);
    for (int g = 0; g < cols / kQuantGroup; g++) {
      factors[g].scale[r] = scales[g];
      if constexpr (Format::hasMin) factors[g].total[r] = totals[g];
      if constexpr (Format::zeroCode != 0) factors[g].zero[r] = Format::zeroCode * (sums[2 * g] + sums[2 * g + 1]);
    }
  }
}

// `Rows` rows times one panel. All uses of a sum name it by a constant: g++ leaves arrays that a loop indexes in memory.
// Fetch: the weights are not in the cache yet.
template <class Format, int Rows, bool Fetch, int... R>
void quantRows(std::integer_sequence<int, R...>, const uint8_t* panel, int groups, const uint8_t* x, size_t rowBytes,
               const GroupFactors<Rows>* factors, const Output& o) {
  GroupDots<Rows> even, odd;
  F acc[Rows] = {((void)R, zero())...};
  const auto addRow = [](F sum, const int32_t* coarse, const int32_t* fine, F scale, F minimum, float rowScale, float rowTotal, int32_t rowZero) __attribute__((always_inline)) {
    I dot = _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(coarse), 8), _mm512_load_si512(fine));
    if constexpr (Format::zeroCode != 0) dot = _mm512_sub_epi32(dot, splatInt(rowZero));
    sum = fma(mul(toFloat(dot), splat(rowScale)), scale, sum);
    if constexpr (Format::hasMin) sum = fma(splat(rowTotal), minimum, sum);
    return sum;
  };
#define DYN_ADD_GROUP(dots, values, factor)                                                                                              \
  {                                                                                                                                      \
    const F scale = loadScales<Format::wide>(values);                                                                                    \
    const F minimum = Format::hasMin ? loadScales<Format::wide>((values) + Format::scaleBytes) : zero();                                 \
    ((acc[R] = addRow(acc[R], dots.coarse[R], dots.fine[R], scale, minimum, (factor).scale[R], (factor).total[R], (factor).zero[R])), ...); \
  }
  const uint8_t* values = panel + Format::codeBytes;
  // A group's sums are added while the tiles work on the next one.
  multiplyGroup<0>(panel, x, rowBytes, even);
  int g = 1;
  for (; g + 1 < groups; g += 2, values += 2 * Format::recordBytes) {
    if constexpr (Fetch) fetchAhead<2 * Format::recordBytes>(values);
    multiplyGroup<1>(panel + size_t(g) * Format::recordBytes, x + 2 * g * kQuantGroup, rowBytes, odd);
    DYN_ADD_GROUP(even, values, factors[g - 1])
    multiplyGroup<0>(panel + size_t(g + 1) * Format::recordBytes, x + 2 * (g + 1) * kQuantGroup, rowBytes, even);
    DYN_ADD_GROUP(odd, values + Format::recordBytes, factors[g])
  }
  if (g < groups) multiplyGroup<1>(panel + size_t(g) * Format::recordBytes, x + 2 * g * kQuantGroup, rowBytes, odd);
  DYN_ADD_GROUP(even, values, factors[g - 1])
  if (g < groups) DYN_ADD_GROUP(odd, values + Format::recordBytes, factors[g])
#undef DYN_ADD_GROUP
  (finish(o, R, acc[R]), ...);
}

// One thread's memory, 64-byte aligned.
inline uint8_t* scratch(size_t bytes) {
  static thread_local std::vector<uint8_t> memory;
  if (memory.size() < bytes + 63) memory.resize(bytes + 63);
  return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
}

// All rows of [row0, row1) in tiles of `Rows`; their number is a multiple of it.
template <class Format, int Rows>
void quantTiles(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const int groups = w.cols / kQuantGroup, tiles = (row1 - row0) / Rows;
  GroupFactors<Rows>* factors = reinterpret_cast<GroupFactors<Rows>*>(scratch(size_t(tiles) * size_t(groups) * sizeof(GroupFactors<Rows>)));
  const auto rowsOf = [&](int t) { return x.data + size_t(row0 + t * Rows) * x.rowBytes; };
  for (int t = 0; t < tiles; t++) gatherFactors<Format>(rowsOf(t), x.rowBytes, w.cols, factors + t * groups);
  tile::configure(tileShapes(Rows, kQuantGroup, kQuantGroup / 4));
  for (int p = panel0; p < panel1; p++) {
    const uint8_t* panel = w.data + size_t(p) * w.panelBytes;
    const auto multiply = [&](auto fetch, int t) {
      const Output o{out + size_t(row0 + t * Rows) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store};
      quantRows<Format, Rows, decltype(fetch)::value>(std::make_integer_sequence<int, Rows>(), panel, groups, rowsOf(t), x.rowBytes, factors + t * groups, o);
    };
    multiply(std::true_type(), 0);
    for (int t = 1; t < tiles; t++) multiply(std::false_type(), t);
  }
  tile::release();
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
    tile::load<4>(x + size_t(k) * 2, rowBytes);
    tile::load<6>(first + size_t(k) * 32, 64);
    tile::multiplyBf16<0, 4, 6>();
    if constexpr (NPanels == 2) {
      tile::load<7>(second + size_t(k) * 32, 64);
      tile::multiplyBf16<1, 4, 7>();
    }
    if constexpr (MTiles == 2) {
      tile::load<5>(x + kTileRows * rowBytes + size_t(k) * 2, rowBytes);
      tile::multiplyBf16<2, 5, 6>();
      if constexpr (NPanels == 2) tile::multiplyBf16<3, 5, 7>();
    }
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

// Tiles of 16 rows, then of 8; up to 7 rows are left to the vectors.
template <class Format>
void quantGemmInTiles(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const int after16 = row0 + (row1 - row0) / 16 * 16, after8 = after16 + (row1 - after16) / 8 * 8;
  if (after16 > row0) quantTiles<Format, 16>(w, x, panel0, panel1, row0, after16, out, outStride, bias, store);
  if (after8 > after16) quantTiles<Format, 8>(w, x, panel0, panel1, after16, after8, out, outStride, bias, store);
  if (row1 > after8) quantGemm<Format>(w, x, panel0, panel1, after8, row1, out, outStride, bias, store);
}

void gemmInTiles(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  if (w.type == PackedType::BF16 && w.cols % 32 == 0) return bf16Gemm(w, x, panel0, panel1, row0, row1, out, outStride, bias, store);
  if (w.type != PackedType::U8 || w.scaleGroup != kQuantGroup) return gemm(w, x, panel0, panel1, row0, row1, out, outStride, bias, store);
  withFormat(w, [&](auto format) {
    if constexpr (decltype(format)::bits == 8) quantGemmInTiles<decltype(format)>(w, x, panel0, panel1, row0, row1, out, outStride, bias, store);
  });
}
