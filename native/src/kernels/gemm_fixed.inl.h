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

constexpr int kLead = 2; // blocks that are widened ahead: the last one has not left the store buffer yet, for which tiles would wait

// A block's weights as bytes the way tiles want them: 64 k of high bytes, then of low bytes, these unsigned, [k/4][16 lanes][4].
constexpr size_t kFixedBlockBytes = 2 * kBlock * kPanelRows;

// Panels' blocks widened one after the other into a ring of them, in quarters between the products of a block, so that vectors work
// while tiles do: 16 rows of Q4_1 are made at 390 to 480 GOPS with whole blocks in between, one ahead, and a third faster so. Inline
// by order: left to itself g++ calls a function for every vector, and a block of 128 rows takes 46 to 49 ns instead of 44 to 46.
template <class Format>
class Widening {
public:
  // Blocks of the ring, a power of two: one panel's with those ahead of them, or, of weights that are wanted once, so few that they
  // stay in the nearest cache together with the rows.
  static size_t ring(int blocks, bool once) {
    size_t ring = 4;
    while (!once && ring < size_t(blocks + kLead)) ring *= 2;
    return ring;
  }
  Widening(const PackedMatrix& w, int panel0, int panel1, uint8_t* bytes, size_t ring)
      : record_(w.data + size_t(panel0) * w.panelBytes), groups_(w.cols / kQuantGroup), betweenPanels_(w.panelBytes - size_t(groups_) * Format::recordBytes),
        left_(size_t(blocksOf(w.cols)) * size_t(panel1 - panel0)), mask_(ring - 1), bytes_(bytes) {
    for (int i = 0; i < kLead; i++) quarter<0>(), quarter<1>(), quarter<2>(), quarter<3>();
  }
  const uint8_t* at(size_t n) const { return bytes_ + (n & mask_) * kFixedBlockBytes; }

  template <int Quarter>
  __attribute__((always_inline)) void quarter() {
    if (left_ == 0) return;
    constexpr int vectors = int(Format::codeBytes / 64) / 2;
    uint8_t* out = bytes_ + (n_ & mask_) * kFixedBlockBytes + size_t(Quarter / 2) * 512;
    if (Quarter < 2 || group_ < groups_) {
      if (Quarter % 2 == 0) {
        fetchAhead<Format::recordBytes>(record_);
        weights_ = GroupWeights<Format>(record_, [](I a) { return a; });
      }
      const GroupWeights<Format> weights = weights_;
#pragma GCC unroll 8
      for (int j = Quarter % 2 * vectors; j < Quarter % 2 * vectors + vectors; j++) widen(weights, loadCodes(record_ + 64 * j), j, out);
      if (Quarter % 2 == 1) record_ += Format::recordBytes, group_++;
    } else if (Quarter == 2) { // an odd number of groups
      __builtin_memset(out, 0, 512);
      __builtin_memset(out + kBlock * kPanelRows, 0, 512);
    }
    if (Quarter == 3) {
      n_++, left_--;
      if (group_ == groups_) group_ = 0, record_ += betweenPanels_;
    }
  }

private:
  __attribute__((always_inline)) static void widen(const GroupWeights<Format>& weights, Codes codes, int j, uint8_t* out) {
    // Of four k the first and the third, the second and the fourth, as 16 bits each.
    const auto put = [&](I firsts, I seconds, int j) __attribute__((always_inline)) {
      const I neighbour = _mm512_broadcast_i32x4(_mm_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
      constexpr __mmask64 evenBytes = 0x5555555555555555;
      const I even = weights.of(firsts, j), odd = weights.of(seconds, j);
      _mm512_store_si512(out + 64 * j, _mm512_mask_shuffle_epi8(odd, evenBytes, even, neighbour));
      _mm512_store_si512(out + kBlock * kPanelRows + 64 * j, _mm512_mask_shuffle_epi8(even, ~evenBytes, odd, neighbour));
    };
    if constexpr (Format::bits == 4) {
      const I nibble = _mm512_set1_epi16(15);
      put(_mm512_and_si512(codes, nibble), _mm512_and_si512(_mm512_srli_epi16(codes, 8), nibble), j);
      put(_mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble), _mm512_srli_epi16(codes, 12), j + 4);
    } else {
      put(_mm512_slli_epi16(codes, 8), _mm512_andnot_si512(_mm512_set1_epi16(0xff), codes), j);
    }
  }

  const uint8_t* record_;
  const int groups_;
  const size_t betweenPanels_;
  size_t left_, n_ = 0;
  int group_ = 0;
  GroupWeights<Format> weights_{};
  const size_t mask_;
  uint8_t* const bytes_;
};

// Tiles of up to 16 rows times one panel. What remains to be done with the sums is done while the next ones are multiplied.
template <class Format>
class FixedTiles {
public:
  FixedTiles(const PackedMatrix& w, const Activations& x, Widening<Format>& widening) : x_(x), blocks_(blocksOf(w.cols)), widening_(widening) {}

  // The panel's blocks are those of the ring from `first` on. First: the panel is multiplied for the first time, while it is being
  // widened. Once: so many rows only; else the nearest cache is to keep the panel, and further rows pass it by.
  //
  // Products with one high and one low byte share a sum, and a row's bytes take turns in one tile: a core whose other hyperthread
  // is busy has few tiles to rename. A block of 128 rows, widening included, takes it 75 ns so, 90 with a tile more, others 44 and 43.
  template <bool First, bool Once>
  void multiply(size_t first, int row, int rows, F units, const Output& o) {
    const FixedRows prepared(x_, row);
    const uint8_t* a = prepared.tiles;
    const int each = finishedPerBlock();
    // Results' lines, which another core may hold, are asked for before the sums are made: prompts of 128 take 2 to 7 % less.
    for (int r = 0; r < rows; r++) __asm__ volatile("prefetchw %0" ::"m"(o.out[size_t(r) * o.stride]));
    const auto loadRows = [](const uint8_t* from) {
      if constexpr (Once) tile::load<4>(from, kBlock);
      else tile::loadPassing<4>(from, kBlock);
    };
    tile::zero<0>();
    tile::zero<1>();
    tile::zero<2>();
    for (int b = 0; b < blocks_; b++, a += 2 * kTileBytes) {
      const uint8_t* bytes = widening_.at(first + size_t(b));
      loadRows(a);
      tile::load<6>(bytes, 64);
      tile::load<7>(bytes + kBlock * kPanelRows, 64);
      tile::multiplySigned<0, 4, 6>();
      if constexpr (First) widening_.template quarter<0>();
      tile::multiplyCodes<1, 4, 7>();
      if constexpr (First) widening_.template quarter<1>();
      loadRows(a + kTileBytes);
      tile::multiplyCodes<2, 4, 7>();
      if constexpr (First) widening_.template quarter<2>();
      tile::multiplySigned<1, 4, 6>();
      if constexpr (First) widening_.template quarter<3>();
      if (b > 0) finishSome(each);
    }
    finishRows();
    tile::store<0>(sums_[0], 64);
    tile::store<1>(sums_[1], 64);
    tile::store<2>(sums_[2], 64);
    pending_ = 0;
    pendingRows_ = rows;
    scales_ = prepared.scales;
    units_ = units;
    output_ = o;
  }

  void finishRows() { finishSome(pendingRows_); }

private:
  // So many after each block but the first, when the sums have only just been stored, that all are done in time.
  int finishedPerBlock() const { return blocks_ > 1 ? (pendingRows_ + blocks_ - 2) / (blocks_ - 1) : 0; }
  __attribute__((always_inline)) void finishSome(int rows) {
    for (; rows > 0 && pending_ < pendingRows_; rows--, pending_++) {
      const auto at = [&](int i) { return _mm512_load_si512(sums_[i][pending_]); };
      finishFixed(output_, pending_, Whole::of(at(0), at(1), at(2)), scales_[pending_], units_);
    }
  }

  const Activations& x_;
  const int blocks_;
  Widening<Format>& widening_;
  int pending_ = 0, pendingRows_ = 0;
  const float* scales_ = nullptr;
  F units_ = splat(0);
  Output output_{};
  alignas(64) int32_t sums_[3][kTileRows][kPanelRows]; // high high; high low and low high; low low
};

template <class Format>
void fixedGemmOf(const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t outStride, const float* bias, Store store) {
  const auto outputOf = [&](int row, int p) { return Output{out + size_t(row) * outStride + size_t(p) * kPanelRows, outStride, bias ? bias + p * kPanelRows : nullptr, store}; };
  const auto endOfSixteen = [&](int row) { return row1 < row / kTileRows * kTileRows + kTileRows ? row1 : row / kTileRows * kTileRows + kTileRows; };
  if (x.rows < Format::rowsWorthTiles) {
    for (int row = row0; row < row1; row = endOfSixteen(row)) fixedRows<Format>(w, x, panel0, panel1, row, endOfSixteen(row), outputOf);
    return;
  }
  const size_t blocks = size_t(blocksOf(w.cols));
  const bool once = endOfSixteen(row0) == row1;
  const size_t ring = Widening<Format>::ring(int(blocks), once);
  Widening<Format> widening(w, panel0, panel1, scratch(ring * kFixedBlockBytes), ring);
  FixedTiles<Format> tiles(w, x, widening);
  int height = 0;
  for (int p = panel0; p < panel1; p++)
    for (int row = row0, count; row < row1; row += count) {
      count = endOfSixteen(row) - row;
      // Rows left behind whole sixteens are multiplied as sixteen too, so that the shape need not change twice a panel.
      const int shape = once || row % kTileRows != 0 ? count : kTileRows;
      if (shape != height) tile::configure(tileShapes(height = shape, kBlock, kBlock / 4));
      const size_t first = size_t(p - panel0) * blocks;
      if (once) tiles.template multiply<true, true>(first, row, count, unitsOf(w, p), outputOf(row, p));
      else if (row == row0) tiles.template multiply<true, false>(first, row, count, unitsOf(w, p), outputOf(row, p));
      else tiles.template multiply<false, false>(first, row, count, unitsOf(w, p), outputOf(row, p));
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
