// SPDX-License-Identifier: Apache-2.0
// Products with 4-bit weights in fixed point, for AMX: tiles add up a whole row of whole numbers, so nothing is left to do
// between them, where weights with a scale per group need a vector operation for every few products.
//
// A weight is unit[n] * (S (code - 8) + M): S and M are a group's scale and middle, rounded to the output feature's unit, of
// which its largest weight has kLargestFixed. An activation is scale[row] * code, 16 bits. Both are two signed bytes, sums
// are exact, and rounded once: the same bits whether tiles or vectors made them (docs/decisions/0012).

constexpr int kBlock = 2 * kQuantGroup;  // k-elements of one tile operation
constexpr int kFixedDrain = 8;           // blocks whose sums fit 32 bits: 32 * 2 * 8 * 127 * kLargestFixed < 2^31
constexpr int kRowsWorthFixedTiles = 8;  // fewer go through vectors
constexpr int kFewTiles = 2;             // tiles of rows for which panels are not widened ahead

// Prepared rows. Per block: 64 high bytes, 64 low bytes. Then per block what vectors need of the sums of these bytes. Then the scale.
struct BlockSums {
  int32_t start[2][2]; // [group][high, low]: -8 times the sum, where a sum of products with unsigned codes begins
  int32_t both[2];     // [high, low]: sums of both groups, 16 bits each
};
inline int blocksOf(int cols) { return (cols + kBlock - 1) / kBlock; }
inline size_t fixedRowBytes(int cols) { return (size_t(blocksOf(cols)) * (2 * kBlock + sizeof(BlockSums)) + sizeof(float) + 63) / 64 * 64; }
inline const BlockSums* blockSumsOf(const uint8_t* row, int cols) { return reinterpret_cast<const BlockSums*>(row + size_t(blocksOf(cols)) * 2 * kBlock); }
inline float fixedScaleOf(const uint8_t* row, int cols) {
  float scale;
  __builtin_memcpy(&scale, blockSumsOf(row, cols) + blocksOf(cols), sizeof(scale));
  return scale;
}

// |code| <= 126 * 256.
void prepareFixedRow(const float* x, int cols, uint8_t* row) {
  F most = zero();
  for (int k = 0; k < cols; k += 16) most = max(most, abs(load(x + k)));
  const float magnitude = largest(most);
  constexpr float top = 126.0f * 256;
  const F inverse = splat(magnitude > 0 ? top / magnitude : 0.0f);
  const int blocks = blocksOf(cols);
  BlockSums* sums = reinterpret_cast<BlockSums*>(row + size_t(blocks) * 2 * kBlock);
  const I ones = _mm512_set1_epi8(1);
  for (int b = 0; b < blocks; b++) {
    int8_t* high = reinterpret_cast<int8_t*>(row) + size_t(b) * 2 * kBlock;
    int8_t* low = high + kBlock;
    for (int i = 0; i < kBlock; i += 16) {
      const int k = b * kBlock + i;
      splitCodes(k < cols ? mul(load(x + k), inverse) : zero(), high + i, low + i);
    }
    for (int plane = 0; plane < 2; plane++) {
      const I fours = _mm512_dpbusd_epi32(zeroInt(), ones, _mm512_loadu_si512(high + plane * kBlock));
      const int32_t first = _mm512_mask_reduce_add_epi32(0x00ff, fours), second = _mm512_mask_reduce_add_epi32(0xff00, fours);
      sums[b].start[0][plane] = -8 * first;
      sums[b].start[1][plane] = -8 * second;
      sums[b].both[plane] = int32_t(uint32_t(uint16_t(first)) | uint32_t(second) << 16);
    }
  }
  const float scale = magnitude / top;
  __builtin_memcpy(sums + blocks, &scale, sizeof(scale));
}

// Where a record of 32 k keeps its parts: codes, S, M.
template <bool HasMiddle>
struct FixedFormat {
  static constexpr bool hasMiddle = HasMiddle;
  static constexpr size_t codeBytes = 256, wholeBytes = kPanelRows * sizeof(int16_t);
  static constexpr size_t recordBytes = codeBytes + (HasMiddle ? 2 : 1) * wholeBytes;
};

// 16 bits of each lane, above them zeros.
inline I loadWhole(const uint8_t* p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }

inline F unitsOf(const PackedMatrix& w, int panel) { return load(reinterpret_cast<const float*>(w.data + size_t(panel + 1) * w.panelBytes) - kPanelRows); }

// A sum of whole numbers in 16 lanes, high * 65536 + low. What is rounded in the end is the sum, however it was put together.
struct Whole {
  I high = zeroInt(), low = zeroInt();
  // this += 256 * a + b
  inline void add(I a, I b) {
    high = _mm512_add_epi32(high, _mm512_add_epi32(_mm512_srai_epi32(a, 8), _mm512_srai_epi32(b, 16)));
    low = _mm512_add_epi32(low, _mm512_add_epi32(_mm512_slli_epi32(_mm512_and_si512(a, splatInt(255)), 8), _mm512_and_si512(b, splatInt(65535))));
  }
  inline F rounded() const {
    const I carried = _mm512_add_epi32(high, _mm512_srai_epi32(low, 16));
    return fma(toFloat(carried), splat(65536), toFloat(_mm512_and_si512(low, splatInt(65535))));
  }
};

inline void finishFixed(const Output& o, int row, const Whole& sum, float rowScale, F units) { finish(o, row, mul(mul(sum.rounded(), splat(rowScale)), units)); }

// A few rows in vectors: a group's sums of products with the codes fit 16 bits, so one instruction multiplies them by S and adds.
template <class Format, int Rows>
void fixedRows(const PackedMatrix& w, int p, const uint8_t* x, size_t rowBytes, const Output& o) {
  const int groups = w.cols / kQuantGroup, blocks = blocksOf(w.cols);
  const uint8_t* record = w.data + size_t(p) * w.panelBytes;
  Whole total[Rows];
  I high[Rows], low[Rows];
  for (int r = 0; r < Rows; r++) high[r] = low[r] = zeroInt();
  for (int b = 0; b < blocks; b++) {
    I middles = zeroInt();
    const auto addGroup = [&](auto which) __attribute__((always_inline)) {
      constexpr int half = decltype(which)::value;
      fetchAhead<Format::recordBytes>(record);
      Codes codes[8];
      for (int j = 0; j < 4; j++) {
        const Codes both = loadCodes(record + 64 * j);
        codes[j] = lowNibbles(both);
        codes[j + 4] = highNibbles(both);
      }
      const I s = loadWhole(record + Format::codeBytes);
      if constexpr (Format::hasMiddle) {
        const I m = loadWhole(record + Format::codeBytes + Format::wholeBytes);
        middles = half == 0 ? m : _mm512_or_si512(middles, _mm512_slli_epi32(m, 16));
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; r++) {
        const uint8_t* row = x + size_t(r) * rowBytes;
        const uint8_t* bytes = row + size_t(b) * 2 * kBlock + half * kQuantGroup;
        const int32_t* start = blockSumsOf(row, w.cols)[b].start[half];
        I highDot = splatInt(start[0]), lowDot = splatInt(start[1]);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
          int32_t four, lowFour;
          __builtin_memcpy(&four, bytes + 4 * j, 4);
          __builtin_memcpy(&lowFour, bytes + kBlock + 4 * j, 4);
          highDot = _mm512_dpbusd_epi32(highDot, codes[j], splatInt(four));
          lowDot = _mm512_dpbusd_epi32(lowDot, codes[j], splatInt(lowFour));
        }
        high[r] = _mm512_dpwssd_epi32(high[r], highDot, s);
        low[r] = _mm512_dpwssd_epi32(low[r], lowDot, s);
      }
      record += Format::recordBytes;
    };
    addGroup(std::integral_constant<int, 0>());
    if (2 * b + 1 < groups) addGroup(std::integral_constant<int, 1>());
    if constexpr (Format::hasMiddle) {
#pragma GCC unroll 8
      for (int r = 0; r < Rows; r++) {
        const int32_t* both = blockSumsOf(x + size_t(r) * rowBytes, w.cols)[b].both;
        high[r] = _mm512_dpwssd_epi32(high[r], splatInt(both[0]), middles);
        low[r] = _mm512_dpwssd_epi32(low[r], splatInt(both[1]), middles);
      }
    }
    if ((b + 1) % kFixedDrain == 0 || b + 1 == blocks)
#pragma GCC unroll 8
      for (int r = 0; r < Rows; r++) {
        total[r].add(high[r], low[r]);
        high[r] = low[r] = zeroInt();
      }
  }
  for (int r = 0; r < Rows; r++) finishFixed(o, r, total[r], fixedScaleOf(x + size_t(r) * rowBytes, w.cols), unitsOf(w, p));
}

// A panel's weights as bytes the way tiles want them: per block 64 k of high bytes, then of low bytes, [k/4][16 lanes][4].
constexpr size_t kFixedBlockBytes = 2 * kBlock * kPanelRows;
template <class Format>
void widenFixed(const PackedMatrix& w, int p, uint8_t* out) {
  const int groups = w.cols / kQuantGroup;
  const uint8_t* record = w.data + size_t(p) * w.panelBytes;
  const I none = zeroInt(), lowBytes = _mm512_set1_epi16(0xff), sign = _mm512_set1_epi8(char(0x80));
  const auto twice = [](I a) { return _mm512_or_si512(a, _mm512_slli_epi32(a, 16)); };
  for (int g = 0; g < groups; g++, record += Format::recordBytes) {
    fetchAhead<Format::recordBytes>(record);
    const I s = twice(loadWhole(record + Format::codeBytes));
    // Of a code of 0, and 128 more, so that the low byte is one that was rounded to.
    I offset = _mm512_sub_epi16(_mm512_set1_epi16(128), _mm512_slli_epi16(s, 3));
    if constexpr (Format::hasMiddle) offset = _mm512_add_epi16(offset, twice(loadWhole(record + Format::codeBytes + Format::wholeBytes)));
    // Four words of a lane side by side, as unpacking bytes leaves them.
    const I sEven = _mm512_unpacklo_epi32(s, s), sOdd = _mm512_unpackhi_epi32(s, s);
    const I offsetEven = _mm512_unpacklo_epi32(offset, offset), offsetOdd = _mm512_unpackhi_epi32(offset, offset);
    uint8_t* high = out + size_t(g / 2) * kFixedBlockBytes + size_t(g % 2) * 512;
    uint8_t* low = high + kBlock * kPanelRows;
    const auto widen = [&](Codes codes, int j) {
      const I even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_unpacklo_epi8(codes, none), sEven), offsetEven);
      const I odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_unpackhi_epi8(codes, none), sOdd), offsetOdd);
      _mm512_store_si512(high + 64 * j, _mm512_packs_epi16(_mm512_srai_epi16(even, 8), _mm512_srai_epi16(odd, 8)));
      _mm512_store_si512(low + 64 * j, _mm512_xor_si512(_mm512_packus_epi16(_mm512_and_si512(even, lowBytes), _mm512_and_si512(odd, lowBytes)), sign));
    };
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      const Codes both = loadCodes(record + 64 * j);
      widen(lowNibbles(both), j);
      widen(highNibbles(both), j + 4);
    }
  }
  if (groups % 2 == 1)
    for (int plane = 0; plane < 2; plane++) __builtin_memset(out + size_t(groups / 2) * kFixedBlockBytes + size_t(plane) * kBlock * kPanelRows + 512, 0, 512);
}

// Sums of products of the four pairs of bytes for a tile: high high, high low, low high, low low.
struct alignas(64) ByteSums {
  int32_t of[4][kTileRows][kPanelRows];
};

// Tiles of up to 16 rows times one panel. What remains to be done with a tile's sums is done while the next one is multiplied.
class FixedTiles {
public:
  FixedTiles(const PackedMatrix& w, const Activations& x) : w_(w), x_(x), blocks_(blocksOf(w.cols)) {}

  void multiply(const uint8_t* widened, int row, int rows, F units, const Output& o) {
    const uint8_t* a = x_.data + size_t(row) * x_.rowBytes;
    tile::zero<0>();
    tile::zero<1>();
    tile::zero<2>();
    tile::zero<3>();
    for (int b = 0; b < blocks_; b++, widened += kFixedBlockBytes) {
      tile::load<4>(a + size_t(b) * 2 * kBlock, x_.rowBytes);
      tile::load<6>(widened, 64);
      tile::multiplySigned<0, 4, 6>();
      tile::load<7>(widened + kBlock * kPanelRows, 64);
      tile::multiplySigned<1, 4, 7>();
      tile::load<5>(a + size_t(b) * 2 * kBlock + kBlock, x_.rowBytes);
      tile::multiplySigned<2, 5, 6>();
      tile::multiplySigned<3, 5, 7>();
      if (pending_ < pendingRows_) finishRow();
      if (pending_ < pendingRows_) finishRow();
    }
    finishRows();
    tile::store<0>(sums_.of[0], 64);
    tile::store<1>(sums_.of[1], 64);
    tile::store<2>(sums_.of[2], 64);
    tile::store<3>(sums_.of[3], 64);
    pending_ = 0;
    pendingRows_ = rows;
    activations_ = a;
    units_ = units;
    output_ = o;
  }

  void finishRows() {
    while (pending_ < pendingRows_) finishRow();
  }

private:
  void finishRow() {
    const int r = pending_++;
    const auto at = [&](int i) { return _mm512_load_si512(sums_.of[i][r]); };
    Whole total{at(0)};
    total.add(_mm512_add_epi32(at(1), at(2)), at(3));
    finishFixed(output_, r, total, fixedScaleOf(activations_ + size_t(r) * x_.rowBytes, w_.cols), units_);
  }

  const PackedMatrix& w_;
  const Activations& x_;
  const int blocks_;
  int pending_ = 0, pendingRows_ = 0;
  const uint8_t* activations_ = nullptr;
  F units_ = zero();
  Output output_{};
  ByteSums sums_;
};

template <class Format>
void fixedGemmOf(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const auto outputOf = [&](int row, int p) { return Output{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store}; };
  if (row1 - row0 < kRowsWorthFixedTiles) {
    for (int p = panel0; p < panel1; p++)
      overRows(row0, row1, [&](auto rows, int row) { fixedRows<Format, decltype(rows)::value>(w, p, x.data + size_t(row) * x.rowBytes, x.rowBytes, outputOf(row, p)); });
    return;
  }
  // Few rows leave a panel's bytes in the nearest cache, many take all panels' from the next one, and have theirs near.
  const int together = row1 - row0 <= kFewTiles * kTileRows ? 1 : panel1 - panel0;
  const size_t panelBytes = size_t(blocksOf(w.cols)) * kFixedBlockBytes;
  uint8_t* widened = scratch(panelBytes * size_t(together));
  FixedTiles tiles(w, x);
  int height = 0;
  for (int first = panel0; first < panel1; first += together) {
    for (int p = first; p < first + together; p++) widenFixed<Format>(w, p, widened + size_t(p - first) * panelBytes);
    for (int row = row0; row < row1; row += kTileRows) {
      const int rows = row1 - row < kTileRows ? row1 - row : kTileRows;
      if (rows != height) tile::configure(tileShapes(height = rows, kBlock, kBlock / 4));
      for (int p = first; p < first + together; p++) tiles.multiply(widened + size_t(p - first) * panelBytes, row, rows, unitsOf(w, p), outputOf(row, p));
    }
  }
  tile::release();
  tiles.finishRows();
}

void fixedGemm(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  w.hasMin ? fixedGemmOf<FixedFormat<true>>(w, x, panel0, panel1, row0, row1, out, outStride, bias, store)
           : fixedGemmOf<FixedFormat<false>>(w, x, panel0, panel1, row0, row1, out, outStride, bias, store);
}
