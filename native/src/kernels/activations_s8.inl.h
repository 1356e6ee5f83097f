// SPDX-License-Identifier: Apache-2.0
// 16-bit activations as two s8 codes, for instructions that multiply bytes: x = scale * (256 * coarse + fine).

inline const int8_t* codesOf(const uint8_t* row) { return reinterpret_cast<const int8_t*>(row); }

// Of so many numbers, a multiple of 16.
inline float largestMagnitude(const float* x, int n) {
  F most[4] = {zero(), zero(), zero(), zero()};
  int i = 0;
  for (; i + 64 <= n; i += 64)
    for (int j = 0; j < 4; j++) most[j] = max(most[j], abs(load(x + i + 16 * j)));
  for (; i < n; i += 16) most[0] = max(most[0], abs(load(x + i)));
  return largest(max(max(most[0], most[1]), max(most[2], most[3])));
}

// Elements [16 * half, + 16) of a group, already divided by its scale; returns their sum.
inline int32_t storeActivations(uint8_t* row, int group, int half, F scaled) {
  int8_t* coarse = reinterpret_cast<int8_t*>(row) + 2 * group * kQuantGroup + 16 * half;
  const SplitCodes codes = splitCodes(scaled);
  storeLowestBytes(coarse, codes.coarse);
  storeLowestBytes(coarse + kQuantGroup, codes.whole);
  return sum(codes.whole);
}

template <class Format, int Rows>
void quantTile(const uint8_t* panel, int cols, const uint8_t* x, size_t rowBytes, const Output& o) {
  F acc[Rows];
  for (int r = 0; r < Rows; r++) acc[r] = zero();
  const int groups = cols / kQuantGroup;
  for (int g = 0; g < groups; g++, panel += Format::recordBytes) {
    fetchAhead<Format::recordBytes>(panel);
    Codes codes[8];
    if constexpr (Format::bits == 4) {
      for (int j = 0; j < 4; j++) {
        const Codes both = loadCodes(panel + 64 * j);
        codes[j] = lowNibbles(both);
        codes[j + 4] = highNibbles(both);
      }
    } else {
      for (int j = 0; j < 8; j++) codes[j] = loadCodes(panel + 64 * j);
    }
    const uint8_t* values = panel + Format::codeBytes;
    F scale[Format::halves];
    for (int h = 0; h < Format::halves; h++) scale[h] = loadScales<Format::wide>(values + size_t(h) * Format::scaleBytes);
    F minimum = zero();
    if constexpr (Format::hasMin) minimum = loadScales<Format::wide>(values + Format::halves * Format::scaleBytes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) {
      const uint8_t* row = x + size_t(r) * rowBytes;
      const int8_t* coarse = codesOf(row) + 2 * g * kQuantGroup;
      const int8_t* fine = coarse + kQuantGroup;
      const int32_t* sums = sumsOf(row, cols) + 2 * g;
      const F activationScale = splat(scalesOf(row, cols)[g]);
      constexpr int perHalf = 8 / Format::halves;
#pragma GCC unroll 2
      for (int h = 0; h < Format::halves; h++) {
        const int32_t sumOfCodes = Format::halves == 1 ? sums[0] + sums[1] : sums[h];
        const I dot = dotGroup<Format::zeroCode, Format::bits == 4>(codes, h * perHalf, (h + 1) * perHalf, coarse, fine, sumOfCodes);
        acc[r] = fma(mul(toFloat(dot), activationScale), scale[h], acc[r]);
      }
      if constexpr (Format::hasMin) acc[r] = fma(splat(totalsOf(row, cols)[g]), minimum, acc[r]);
    }
  }
  for (int r = 0; r < Rows; r++) finish(o, r, acc[r]);
}
