// SPDX-License-Identifier: Apache-2.0
// Products in fixed point of a few rows, in vectors: the whole numbers that tiles make.

// A few rows in vectors. Of 4 bits a group's sums of products with the codes fit 16 bits: one instruction multiplies them by S and adds.
template <class Format, int Rows>
void nibbleRows(const PackedMatrix& w, int p, const FixedRows& x, const Output& o) {
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
        const I m = loadWhole(record + Format::middleAt);
        middles = half == 0 ? m : _mm512_or_si512(middles, _mm512_slli_epi32(m, 16));
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; r++) {
        const uint8_t* bytes = x.high(r, b) + half * kQuantGroup;
        const int32_t* start = x.sumsOf(r, b).start[half];
        I highDot = splatInt(start[0]), lowDot = splatInt(start[1]);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
          highDot = _mm512_dpbusd_epi32(highDot, codes[j], fourBytes(bytes + 4 * j));
          lowDot = _mm512_dpbusd_epi32(lowDot, codes[j], fourBytes(bytes + kTileBytes + 4 * j));
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
        const int32_t* both = x.sumsOf(r, b).both;
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
  for (int r = 0; r < Rows; r++) finishFixed(o, r, total[r], x.scales[r], unitsOf(w, p));
}

// Bytes of activations as 16 bits, for byteRows. Per block: 64 high ones, 64 low ones.
constexpr size_t kWideBlockBytes = 4 * kBlock;
inline void widenActivations(const FixedRows& x, int row, uint8_t* out) {
  for (int b = 0; b < x.blocks; b++)
    for (int i = 0; i < 4; i++, out += 64)
      _mm512_store_si512(out, _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.high(row, b) + i / 2 * kTileBytes + i % 2 * kQuantGroup))));
}

// A few rows in vectors, of 8 bits: W times both bytes of the activations. `wide` are these, one row after the other. Unpacking
// puts four k of a lane side by side, for which one load of activations does: loads are what there could be too many of.
template <class Format, int Rows>
void byteRows(const PackedMatrix& w, int p, const FixedRows& x, const uint8_t* wide, const Output& o) {
  const int groups = w.cols / kQuantGroup, blocks = blocksOf(w.cols);
  const uint8_t* record = w.data + size_t(p) * w.panelBytes;
  Whole total[Rows];
  I first[Rows][2], second[Rows][2]; // of half of the lanes each: [high, low]
  const auto clear = [&](int r) { first[r][0] = first[r][1] = second[r][0] = second[r][1] = zeroInt(); };
  for (int r = 0; r < Rows; r++) clear(r);
  for (int g = 0; g < groups; g++, record += Format::recordBytes) {
    fetchAhead<Format::recordBytes>(record);
    const GroupWeights<Format> firstWeights(record, [](I a) { return _mm512_unpacklo_epi32(a, a); });
    const GroupWeights<Format> secondWeights(record, [](I a) { return _mm512_unpackhi_epi32(a, a); });
    const uint8_t* group = wide + size_t(g / 2) * kWideBlockBytes + size_t(g % 2) * 2 * kQuantGroup;
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
      const Codes codes = loadCodes(record + 64 * j);
      const I a = firstWeights.of(_mm512_unpacklo_epi8(zeroInt(), codes), j), b = secondWeights.of(_mm512_unpackhi_epi8(zeroInt(), codes), j);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 2
        for (int plane = 0; plane < 2; plane++) {
          int64_t four;
          __builtin_memcpy(&four, group + size_t(r) * size_t(blocks) * kWideBlockBytes + plane * 2 * kBlock + 8 * j, 8);
          const I x4 = _mm512_set1_epi64(four);
          first[r][plane] = _mm512_dpwssd_epi32(first[r][plane], a, x4);
          second[r][plane] = _mm512_dpwssd_epi32(second[r][plane], b, x4);
        }
    }
    if ((g + 1) % (2 * kFixedDrain) != 0 && g + 1 != groups) continue;
    for (int r = 0; r < Rows; r++) {
      const auto inOrder = [&](int plane) {
        const F a = _mm512_castsi512_ps(first[r][plane]), b = _mm512_castsi512_ps(second[r][plane]);
        return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x88)), _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xdd)));
      };
      total[r].add(inOrder(0), inOrder(1));
      clear(r);
    }
  }
  for (int r = 0; r < Rows; r++) finishFixed(o, r, total[r], x.scales[r], unitsOf(w, p));
}

template <class Format, class OutputOf>
void fixedRows(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, const OutputOf& outputOf) {
  if constexpr (Format::bits == 4) {
    for (int p = panel0; p < panel1; p++)
      overRows(row0, row1, [&](auto rows, int row) { nibbleRows<Format, decltype(rows)::value>(w, p, FixedRows(x, row), outputOf(row, p)); });
  } else {
    const int blocks = blocksOf(w.cols);
    const size_t wideBytes = size_t(blocks) * kWideBlockBytes;
    uint8_t* wide = scratch(wideBytes * size_t(row1 - row0));
    for (int row = row0; row < row1; row++) widenActivations(FixedRows(x, row), 0, wide + size_t(row - row0) * wideBytes);
    for (int p = panel0; p < panel1; p++)
      for (int row = row0; row < row1; row += 3) { // whose sums stay in registers
        const auto few = [&](auto rows) { byteRows<Format, decltype(rows)::value>(w, p, FixedRows(x, row), wide + size_t(row - row0) * wideBytes, outputOf(row, p)); };
        if (row1 - row >= 3) few(std::integral_constant<int, 3>());
        else if (row1 - row == 2) few(std::integral_constant<int, 2>());
        else few(std::integral_constant<int, 1>());
      }
  }
}
