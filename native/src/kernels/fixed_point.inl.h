// SPDX-License-Identifier: Apache-2.0
// Numbers in fixed point: see gemm_fixed.inl.h. Prepared rows, records of weights, sums.

constexpr int kBlock = 2 * kQuantGroup;  // k-elements of one tile operation
constexpr int kNibbleRowsWorthTiles = 8; // rows of a step that are multiplied by 4-bit weights: fewer go through vectors
constexpr int kFixedDrain = 8;           // blocks whose sums fit 32 bits: 32 * 2 * 8 * 127 * kLargestFixed < 2^31

// Prepared rows, sixteen together: tiles of 16 rows x 64 bytes, of each block the high bytes, then the low ones, so that a tile lies
// in one piece; then the scales of the rows; then of each row and block what vectors need of the sums of these bytes,
// if there are so few rows that vectors multiply them.
struct BlockSums {
  int32_t start[2][2]; // [group][high, low]: -8 times the sum, where a sum of products with unsigned codes begins
  int32_t both[2];     // [high, low]: sums of both groups, 16 bits each
};
constexpr size_t kTileBytes = kTileRows * kBlock;
inline int blocksOf(int cols) { return (cols + kBlock - 1) / kBlock; }
inline size_t fixedRowBytes(int cols) { return size_t(blocksOf(cols)) * (2 * kBlock + sizeof(BlockSums)) + sizeof(float); }

// Some prepared rows, none of a further sixteen.
struct FixedRows {
  int blocks;
  uint8_t* tiles; // the first row's bytes
  float* scales;
  BlockSums* sums;
  FixedRows(const Activations& x, int row) : blocks(blocksOf(x.cols)) {
    uint8_t* sixteen = x.data + size_t(row / kTileRows * kTileRows) * x.rowBytes;
    const size_t scalesAt = size_t(blocks) * 2 * kTileBytes;
    tiles = sixteen + row % kTileRows * kBlock;
    scales = reinterpret_cast<float*>(sixteen + scalesAt) + row % kTileRows;
    sums = reinterpret_cast<BlockSums*>(sixteen + scalesAt + kTileRows * sizeof(float)) + row % kTileRows * blocks;
  }
  // 64 bytes; the low ones lie kTileBytes further.
  uint8_t* high(int row, int block) const { return tiles + size_t(block) * 2 * kTileBytes + size_t(row) * kBlock; }
  BlockSums& sumsOf(int row, int block) const { return sums[row * blocks + block]; }
};

// Of sums of four of a block's high and low bytes each.
inline void storeSums(I high, I low, BlockSums& to) {
  const I ofEight = _mm512_add_epi32(_mm512_unpacklo_epi32(high, low), _mm512_unpackhi_epi32(high, low)); // high, low, high, low
  const I ofSixteen = _mm512_add_epi32(ofEight, _mm512_shuffle_epi32(ofEight, _MM_PERM_BADC));
  const I ofGroups = _mm512_add_epi32(ofSixteen, _mm512_shuffle_i32x4(ofSixteen, ofSixteen, _MM_PERM_CDAB)); // the first in the first half
  const __m128i first = _mm512_castsi512_si128(ofGroups), second = _mm512_extracti32x4_epi32(ofGroups, 2);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to.start), _mm_slli_epi32(_mm_sub_epi32(_mm_setzero_si128(), _mm_unpacklo_epi64(first, second)), 3));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to.both), _mm_mask_blend_epi16(0xaa, first, _mm_slli_epi32(second, 16)));
}

// The lowest byte of each of 64 numbers, in their order.
inline I lowestBytes(const I (&a)[4]) {
  const auto two = [](I a, I b) { return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(a)), _mm512_cvtepi32_epi8(b), 1); };
  return _mm512_inserti64x4(_mm512_castsi256_si512(two(a[0], a[1])), two(a[2], a[3]), 1);
}

// |code| <= kLargestCode. No low byte is -128: a group of them, times -8, would not fit the 16 bits that vectors have for it.
void prepareFixedRow(const float* x, Activations& out, int row) {
  const FixedRows to(out, row);
  const bool few = out.rows < kNibbleRowsWorthTiles, sumsNeeded = few && out.type == PackedType::U4;
  // Other cores hold what they multiplied by last, where rows are shared. Stores ask it back line by line, and few rows leave
  // nothing to do meanwhile.
  for (int b = 0; few && b < to.blocks; b++)
    for (int plane = 0; plane < 2; plane++) __asm__ volatile("prefetchw %0" ::"m"(to.high(0, b)[plane * kTileBytes]));
  const float magnitude = largestMagnitude(x, out.cols);
  const F inverse = splat(magnitude > 0 ? kLargestCode / magnitude : 0.0f);
  for (int b = 0; b < to.blocks; b++) {
    I coarse[4], whole[4];
    for (int i = 0; i < 4; i++) {
      const int k = b * kBlock + 16 * i;
      const SplitCodes codes = splitCodes(k < out.cols ? mul(load(x + k), inverse) : zero());
      coarse[i] = codes.coarse;
      whole[i] = codes.whole;
    }
    const I high = lowestBytes(coarse), low = _mm512_max_epi8(lowestBytes(whole), _mm512_set1_epi8(-127));
    _mm512_storeu_si512(to.high(0, b), high);
    _mm512_storeu_si512(to.high(0, b) + kTileBytes, low);
    const auto fours = [](I bytes) { return _mm512_dpbusd_epi32(zeroInt(), _mm512_set1_epi8(1), bytes); };
    if (sumsNeeded) storeSums(fours(high), fours(low), to.sumsOf(0, b));
  }
  to.scales[0] = magnitude / kLargestCode;
}

// Where a record of 32 k keeps its parts: codes, S of all k or of each half, M.
template <int Bits, bool HasMiddle, int Halves = 1>
struct FixedFormat {
  static constexpr int bits = Bits, halves = Halves;
  static constexpr bool hasMiddle = HasMiddle;
  static constexpr size_t codeBytes = Bits == 4 ? 256 : 512, wholeBytes = kPanelRows * sizeof(int16_t), middleAt = codeBytes + Halves * wholeBytes;
  static constexpr size_t recordBytes = middleAt + (HasMiddle ? wholeBytes : 0);
  static constexpr int rowsWorthTiles = Bits == 4 ? kNibbleRowsWorthTiles : 4;
};

// 16 bits of each lane, above them zeros.
inline I loadWhole(const uint8_t* p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }

inline F unitsOf(const PackedMatrix& w, int panel) { return load(reinterpret_cast<const float*>(w.data + size_t(panel + 1) * w.panelBytes) - kPanelRows); }

// A sum of whole numbers in 16 lanes, high * 65536 + low. What is rounded in the end is the sum, however it was put together.
struct Whole {
  I high = zeroInt(), low = zeroInt();
  // 65536 * a + 256 * b + c
  static inline Whole of(I a, I b, I c) {
    const I carried = _mm512_add_epi32(b, _mm512_srai_epi32(c, 8));
    return {_mm512_add_epi32(a, _mm512_srai_epi32(carried, 8)),
            _mm512_and_si512(_mm512_ternarylogic_epi32(splatInt(255), c, _mm512_slli_epi32(carried, 8), 0xca), splatInt(65535))};
  }
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

// What makes W of a group's codes, 16 bits each, of which arrange puts S and M side by side: given twice in each lane.
template <class Format>
class GroupWeights {
public:
  GroupWeights() = default;
  template <class Arrange>
  GroupWeights(const uint8_t* record, const Arrange& arrange) {
    const auto values = [&](size_t at) {
      const I a = loadWhole(record + at);
      return arrange(_mm512_or_si512(a, _mm512_slli_epi32(a, 16)));
    };
    for (int h = 0; h < Format::halves; h++) scale_[h] = values(Format::codeBytes + size_t(h) * Format::wholeBytes);
    if constexpr (Format::bits == 4) offset_ = _mm512_sub_epi16(zeroInt(), _mm512_slli_epi16(scale_[0], 3));
    if constexpr (Format::hasMiddle) offset_ = _mm512_add_epi16(offset_, values(Format::middleAt));
  }

  // Of codes, or of 256 times 8-bit ones, of the j-th four k.
  inline I of(I codes, int j) const {
    const I s = scale_[j * Format::halves / 8];
    const I product = Format::bits == 4 ? _mm512_mullo_epi16(codes, s) : _mm512_mulhrs_epi16(codes, s);
    return Format::bits == 4 || Format::hasMiddle ? _mm512_add_epi16(product, offset_) : product;
  }

private:
  I scale_[Format::halves], offset_ = zeroInt();
};
