// SPDX-License-Identifier: Apache-2.0
// Products with quantised weights in fixed point, for AMX: tiles add up a whole row of whole numbers, so nothing is left to do
// between them, where weights with a scale per group need a vector operation for every few products.
//
// A weight is unit[n] * W, of 4 bits W = S (code - 8) + M: S and M are a group's scale and middle, rounded to the output
// feature's unit, of which its largest weight has kLargestFixed. 8-bit codes leave no room for a scale in 16 bits: of them
// W = S code / 128, rounded, + M. An activation is scale[row] * code, 16 bits. Both are two signed bytes, sums are exact, and
// rounded once: the same bits whether tiles or vectors made them (docs/decisions/0012).

#include "fixed_point.inl.h"
#include "fixed_rows.inl.h"

constexpr int kFewTiles = 2; // tiles of rows for which panels are not widened ahead

// A panel's weights as bytes the way tiles want them: per block 64 k of high bytes, then of low bytes, these unsigned, [k/4][16 lanes][4].
constexpr size_t kFixedBlockBytes = 2 * kBlock * kPanelRows;
template <class Format>
void widenBlock(const PackedMatrix& w, int p, int block, uint8_t* out) {
  const int groups = w.cols / kQuantGroup;
  const uint8_t* record = w.data + size_t(p) * w.panelBytes + size_t(2 * block) * Format::recordBytes;
  const I lowBytes = _mm512_set1_epi16(0xff);
  for (int g = 0; g < 2; g++, record += Format::recordBytes) {
    uint8_t* high = out + size_t(g) * 512;
    uint8_t* low = high + kBlock * kPanelRows;
    if (2 * block + g == groups) { // an odd number of them
      __builtin_memset(high, 0, 512);
      __builtin_memset(low, 0, 512);
      break;
    }
    fetchAhead<Format::recordBytes>(record);
    const GroupWeights<Format> weights(record, [](I a) { return a; });
    const auto widen = [&](Codes codes, int j) {
      // The first and the third of four k, the second and the fourth.
      const I even = weights.of(Format::bits == 4 ? _mm512_and_si512(codes, lowBytes) : _mm512_slli_epi16(codes, 8), j);
      const I odd = weights.of(Format::bits == 4 ? _mm512_srli_epi16(codes, 8) : _mm512_andnot_si512(lowBytes, codes), j);
      _mm512_store_si512(high + 64 * j, _mm512_ternarylogic_epi32(lowBytes, _mm512_srli_epi16(even, 8), odd, 0xca));
      _mm512_store_si512(low + 64 * j, _mm512_ternarylogic_epi32(lowBytes, even, _mm512_slli_epi16(odd, 8), 0xca));
    };
#pragma GCC unroll 8
    for (int j = 0; j < int(Format::codeBytes / 64); j++) {
      const Codes codes = loadCodes(record + 64 * j);
      if constexpr (Format::bits == 4) widen(lowNibbles(codes), j), widen(highNibbles(codes), j + 4);
      else widen(codes, j);
    }
  }
}

// A panel's blocks, widened one at a time while tiles multiply the one before it: ahead of all products, 16 rows were made at 300
// GOPS instead of 480. Those who want them once keep two, which stay in the nearest cache.
template <class Format>
class WidenedOnTheWay {
public:
  static constexpr int kTwo = 1, kAll = ~0;
  WidenedOnTheWay(const PackedMatrix& w, int panel, uint8_t* bytes, int kept) : w_(w), panel_(panel), kept_(kept), blocks_(blocksOf(w.cols)), bytes_(bytes) { widen(0); }
  const uint8_t* operator[](int block) const { return bytes_ + size_t(block & kept_) * kFixedBlockBytes; }
  void multiplied(int block) {
    if (block + 1 < blocks_) widen(block + 1);
  }

private:
  void widen(int block) { widenBlock<Format>(w_, panel_, block, bytes_ + size_t(block & kept_) * kFixedBlockBytes); }

  const PackedMatrix& w_;
  const int panel_, kept_, blocks_;
  uint8_t* const bytes_;
};

// All of a panel's blocks, for further rows.
struct Widened {
  const uint8_t* bytes;
  const uint8_t* operator[](int block) const { return bytes + size_t(block) * kFixedBlockBytes; }
  void multiplied(int) {}
};

// Tiles of up to 16 rows times one panel, one or two of them. What remains to be done with the sums is done while the next ones
// are multiplied.
class FixedTiles {
public:
  FixedTiles(const PackedMatrix& w, const Activations& x) : w_(w), x_(x), blocks_(blocksOf(w.cols)) {}

  // Products of the four pairs of bytes have a sum each: two of them could share one, but would wait for each other.
  template <class Blocks>
  void multiply(Blocks&& widened, int row, int rows, F units, const Output& o) {
    const uint8_t* a = rowsAt(row);
    zero<0, 1, 2, 3>();
    for (int b = 0; b < blocks_; b++, a += 2 * kBlock) {
      const uint8_t* bytes = widened[b];
      tile::load<4>(a, x_.rowBytes);
      tile::load<6>(bytes, 64);
      tile::multiplySigned<0, 4, 6>();
      tile::load<7>(bytes + kBlock * kPanelRows, 64);
      tile::multiplyCodes<1, 4, 7>();
      tile::load<5>(a + kBlock, x_.rowBytes);
      tile::multiplySigned<2, 5, 6>();
      tile::multiplyCodes<3, 5, 7>();
      widened.multiplied(b);
      finishSome(2);
    }
    finishRows();
    store<0, 1, 2, 3>();
    pend(row, rows, 4, units, o);
  }

  // 32 rows: half as many loads of weights, which come from further away than activations.
  template <class Blocks>
  void multiplyPair(Blocks&& widened, int row, F units, const Output& o) {
    const uint8_t *a = rowsAt(row), *c = rowsAt(row + kTileRows);
    zero<0, 1, 2, 3, 4, 5>();
    for (int b = 0; b < blocks_; b++, a += 2 * kBlock, c += 2 * kBlock) {
      const uint8_t* bytes = widened[b];
      tile::load<6>(bytes, 64);
      tile::load<7>(a, x_.rowBytes);
      tile::multiplySigned<0, 7, 6>();
      tile::load<7>(c, x_.rowBytes);
      tile::multiplySigned<3, 7, 6>();
      tile::load<7>(a + kBlock, x_.rowBytes);
      tile::multiplySigned<1, 7, 6>();
      tile::load<7>(c + kBlock, x_.rowBytes);
      tile::multiplySigned<4, 7, 6>();
      tile::load<6>(bytes + kBlock * kPanelRows, 64);
      tile::multiplyCodes<5, 7, 6>();
      tile::load<7>(a + kBlock, x_.rowBytes);
      tile::multiplyCodes<2, 7, 6>();
      tile::load<7>(a, x_.rowBytes);
      tile::multiplyCodes<1, 7, 6>();
      tile::load<7>(c, x_.rowBytes);
      tile::multiplyCodes<4, 7, 6>();
      widened.multiplied(b);
      finishSome(4);
    }
    finishRows();
    store<0, 1, 2, 3, 4, 5>();
    pend(row, 2 * kTileRows, 3, units, o);
  }

  void finishRows() { finishSome(pendingRows_); }

private:
  const uint8_t* rowsAt(int row) const { return x_.data + size_t(row) * x_.rowBytes; }
  template <int... T> static void zero() { (tile::zero<T>(), ...); }
  template <int... T> void store() { (tile::store<T>(sums_[T], 64), ...); }

  void pend(int row, int rows, int sums, F units, const Output& o) {
    pending_ = 0;
    pendingRows_ = rows;
    sumsOfRow_ = sums;
    activations_ = rowsAt(row);
    units_ = units;
    output_ = o;
  }

  void finishSome(int rows) {
    for (; rows > 0 && pending_ < pendingRows_; rows--, pending_++) {
      const int32_t(*sums)[kTileRows][kPanelRows] = sums_ + pending_ / kTileRows * sumsOfRow_;
      const auto at = [&](int i) { return _mm512_load_si512(sums[i][pending_ % kTileRows]); };
      Whole total{at(0)};
      if (sumsOfRow_ == 4) total.add(_mm512_add_epi32(at(1), at(2)), at(3));
      else total.add(at(1), at(2));
      finishFixed(output_, pending_, total, fixedScaleOf(activations_ + size_t(pending_) * x_.rowBytes, w_.cols), units_);
    }
  }

  const PackedMatrix& w_;
  const Activations& x_;
  const int blocks_;
  int pending_ = 0, pendingRows_ = 0, sumsOfRow_ = 4;
  const uint8_t* activations_ = nullptr;
  F units_ = splat(0);
  Output output_{};
  // Of a tile of rows: high high, high low, low high, low low, or with the two in the middle as one.
  alignas(64) int32_t sums_[6][kTileRows][kPanelRows];
};

template <class Format>
void fixedGemmOf(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const auto outputOf = [&](int row, int p) { return Output{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store}; };
  if (row1 - row0 < Format::rowsWorthTiles) return fixedRows<Format>(w, x, panel0, panel1, row0, row1, outputOf);
  // Few rows leave a panel's bytes in the nearest cache, many take all panels' from the next one, and have theirs near.
  const int rows = row1 - row0, together = rows <= kFewTiles * kTileRows ? 1 : panel1 - panel0;
  const bool once = rows <= kTileRows;
  const size_t panelBytes = size_t(once ? 2 : blocksOf(w.cols)) * kFixedBlockBytes;
  uint8_t* bytes = scratch(panelBytes * size_t(together));
  FixedTiles tiles(w, x);
  int height = 0;
  for (int first = panel0; first < panel1; first += together)
    for (int row = row0, count; row < row1; row += count) {
      count = row1 - row >= 2 * kTileRows ? 2 * kTileRows : row1 - row < kTileRows ? row1 - row : kTileRows;
      const int tall = count < kTileRows ? count : kTileRows;
      if (tall != height) tile::configure(tileShapes(height = tall, kBlock, kBlock / 4));
      for (int p = first; p < first + together; p++) {
        uint8_t* panel = bytes + size_t(p - first) * panelBytes;
        const auto multiply = [&](auto&& blocks) {
          if (count > kTileRows) tiles.multiplyPair(blocks, row, unitsOf(w, p), outputOf(row, p));
          else tiles.multiply(blocks, row, count, unitsOf(w, p), outputOf(row, p));
        };
        if (row == row0) multiply(WidenedOnTheWay<Format>(w, p, panel, once ? WidenedOnTheWay<Format>::kTwo : WidenedOnTheWay<Format>::kAll));
        else multiply(Widened{panel});
      }
    }
  tile::release();
  tiles.finishRows();
}

void fixedGemm(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const auto as = [&](auto format) { fixedGemmOf<decltype(format)>(w, x, panel0, panel1, row0, row1, out, outStride, bias, store); };
  if (w.type == PackedType::U4) return w.hasMin ? as(FixedFormat<4, true>()) : as(FixedFormat<4, false>());
  if (w.scaleGroup != kQuantGroup) return as(FixedFormat<8, false, 2>());
  w.hasMin ? as(FixedFormat<8, true>()) : as(FixedFormat<8, false>());
}
