// SPDX-License-Identifier: Apache-2.0
// 16-bit activations as they are, for AVX2, whose products of bytes overflow: weights are widened once per row tile. The
// products of two neighbours are summed by one instruction, so elements 0 2 1 3 of four stand side by side, as masks and shifts
// widen codes. 8 rows, GOPS of one thread, beside products of bytes: Q4_1 135 and 99, Q8_0 131 and 60.

inline const int32_t* pairsOf(const uint8_t* row) { return reinterpret_cast<const int32_t*>(row); }

// Elements [16 * half, + 16) of a group, already divided by its scale; returns their sum.
inline int32_t storeActivations(uint8_t* row, int group, int half, F scaled) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(scaled.l), _mm256_cvtps_epi32(scaled.h));
  const __m256i inOrder = _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0));
  const __m256i swapped = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(inOrder, _MM_SHUFFLE(3, 1, 2, 0)), _MM_SHUFFLE(3, 1, 2, 0));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + 2 * (group * kQuantGroup + 16 * half)), swapped);
  const __m256i two = _mm256_madd_epi16(packed, _mm256_set1_epi16(1));
  __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
  sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
  return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1))));
}

// A group's codes as u16, two of a lane in each 32 bits: [pair of k][lanes 0..7, lanes 8..15].
template <int Bits>
inline void widenCodes(const uint8_t* codes, __m256i (*wide)[2]) {
  const __m256i mask = _mm256_set1_epi32(Bits == 4 ? 0x000f000f : 0x00ff00ff);
  for (int j = 0; j < (Bits == 4 ? 4 : 8); j++)
    for (int lanes = 0; lanes < 2; lanes++) {
      const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * j + 32 * lanes));
      wide[2 * j][lanes] = _mm256_and_si256(c, mask);
      if constexpr (Bits == 4) {
        wide[2 * j + 1][lanes] = _mm256_and_si256(_mm256_srli_epi16(c, 8), mask);
        wide[2 * j + 8][lanes] = _mm256_and_si256(_mm256_srli_epi16(c, 4), mask);
        wide[2 * j + 9][lanes] = _mm256_srli_epi16(c, 12);
      } else {
        wide[2 * j + 1][lanes] = _mm256_srli_epi16(c, 8);
      }
    }
}

template <class Format, int Rows>
void quantTile(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  for (int g = 0; g < cols / kQuantGroup; g++, panel += Format::recordBytes) {
    fetchAhead<Format::recordBytes>(panel);
    __m256i wide[16][2];
    widenCodes<Format::bits>(panel, wide);
    const uint8_t* values = panel + Format::codeBytes;
    constexpr int pairs = 16 / Format::halves;
    for (int h = 0; h < Format::halves; h++) {
      I dot[Rows]; // at most 32 * 255 * 32,256, which 32 bits hold
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) {
        const int32_t* sums = sumsOf(x + size_t(r) * rowBytes, cols) + 2 * g;
        dot[r] = splatInt(-Format::zeroCode * (Format::halves == 1 ? sums[0] + sums[1] : sums[h]));
      }
      // Half of the lanes at a time: all of them and four rows would not stay in registers.
      const auto addPairs = [&](int lanes, auto sumOf) {
        __m256i sums[Rows];
        for (int r = 0; r < Rows; r++) sums[r] = sumOf(r);
#pragma GCC unroll 2
        for (int p = h * pairs; p < (h + 1) * pairs; p++) {
#pragma GCC unroll 4
          for (int r = 0; r < Rows; r++) {
            const __m256i two = _mm256_set1_epi32(pairsOf(x + size_t(r) * rowBytes)[g * 16 + p]);
            sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(wide[p][lanes], two));
          }
        }
        for (int r = 0; r < Rows; r++) sumOf(r) = sums[r];
      };
      addPairs(0, [&](int r) -> __m256i& { return dot[r].l; });
      addPairs(1, [&](int r) -> __m256i& { return dot[r].h; });
      const F scale = loadScales<Format::wide>(values + size_t(h) * Format::scaleBytes);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) acc[r] = fma(mul(toFloat(dot[r]), splat(scalesOf(x + size_t(r) * rowBytes, cols)[g])), scale, acc[r]);
    }
    if constexpr (Format::hasMin) {
      const F minimum = loadScales<Format::wide>(values + Format::halves * Format::scaleBytes);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) acc[r] = fma(splat(totalsOf(x + size_t(r) * rowBytes, cols)[g]), minimum, acc[r]);
    }
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}
