// SPDX-License-Identifier: Apache-2.0
// Keys and values as whole numbers with a scale per token: of 12 bits, a quarter less to read than f16, or of 8, half of it, for
// models whose weights have lost more already (docs/decisions/0013, 0015). For instruction sets that multiply bytes, and heads of a
// multiple of 32 dimensions; others keep theirs in floating point.

constexpr int kFixedDims = 32;           // a head has a multiple of them
constexpr float kLargestKvUnits = 2039;  // of a token's largest number, which has a signed byte and half of another one, and is rounded
constexpr float kLargestKvByte = 127;    // the same with a byte alone
constexpr float kSmallestScale = 1e-12f; // of values: has a logarithm

inline bool isFixedKv(int headDim, KvPrecision precision) { return precision != KvPrecision::F32 && headDim % kFixedDims == 0; }

// Where a head's storage in a block keeps its parts. High bytes of keys [16 tokens][dim/4][16][4] and of values
// [dim/16][token/4][16][4]. Of 12 bits the lower halves too, two in a byte: keys [16 tokens][dim/8][16][4], of dimensions
// 8 j .. 8 j + 3 below those of 8 j + 4 .. 8 j + 7, values [dim/32][token/4][16][4], of dimensions 32 j + i below 32 j + 16 + i. A
// byte belongs to one token: others may be written meanwhile. Bytes of keys have no sign, but 128 (lower halves 8) more than they
// stand for.
struct FixedHead {
  int dim;
  bool halves; // whether there are lower ones
  size_t keyHigh(int sixteen) const { return size_t(sixteen * dim) * 16; }
  size_t valueHigh(int sixteen) const { return size_t(dim) * 32 + size_t(sixteen) * 512; }
  size_t keyLow(int sixteen) const { return size_t(dim) * 64 + size_t(sixteen * dim) * 8; }
  size_t valueLow(int thirtyTwo) const { return size_t(dim) * 80 + size_t(thirtyTwo) * 512; }
  size_t keyScales() const { return size_t(dim) * (halves ? 96 : 64); } // of 32 tokens, f32
  size_t valueLogs() const { return keyScales() + 4 * kKvBlock; } // base 2, of the values' scales
  size_t valueInverses() const { return keyScales() + 8 * kKvBlock; } // of the values' scales
  size_t bytes() const { return keyScales() + 12 * kKvBlock; }
};

size_t fixedKvHeadBytes(int headDim, KvPrecision precision) {
  return isFixedKv(headDim, precision) ? FixedHead{headDim, precision == KvPrecision::Half}.bytes() : kvHeadBytes(headDim, precision);
}

// x times the Hadamard matrix of 16 * Registers rows, over the square root of their number.
template <int Registers>
inline void rotateChunk(const float* x, float* to) {
  F part[Registers];
#pragma GCC unroll 16
  for (int r = 0; r < Registers; r++) part[r] = load(x + 16 * r);
#pragma GCC unroll 4
  for (int apart = 1; apart < Registers; apart *= 2)
#pragma GCC unroll 16
    for (int r = 0; r < Registers; r++)
      if ((r & apart) == 0) {
        const F a = part[r], b = part[r + apart];
        part[r] = add(a, b);
        part[r + apart] = sub(a, b);
      }
  const F once = splat(1 / __builtin_sqrtf(16 * Registers));
  const auto minusIn = [](__mmask16 lanes) { return _mm512_mask_blend_ps(lanes, splat(1), splat(-1)); };
#pragma GCC unroll 16
  for (int r = 0; r < Registers; r++) {
    F a = part[r];
    a = fma(a, minusIn(0xaaaa), _mm512_permute_ps(a, 0xb1));
    a = fma(a, minusIn(0xcccc), _mm512_permute_ps(a, 0x4e));
    a = fma(a, minusIn(0xf0f0), _mm512_shuffle_f32x4(a, a, 0xb1));
    a = fma(a, minusIn(0xff00), _mm512_shuffle_f32x4(a, a, 0x4e));
    store(to + 16 * r, mul(a, once));
  }
}

// Spreads what a few dimensions of a key have far more of than others over all, so that one scale does for them: by the largest
// power of two that divides their number. Rotated queries and keys have the products that they had.
inline void rotate(const float* x, int dim, float* to) {
  const int chunk = dim & -dim;
  for (int d = 0; d < dim; d += chunk) switch (chunk) {
    case 32: rotateChunk<2>(x + d, to + d); break;
    case 64: rotateChunk<4>(x + d, to + d); break;
    case 128: rotateChunk<8>(x + d, to + d); break;
    default: rotateChunk<16>(x + d, to + d);
  }
}

// x = scale * (16 * high + low), low -8 .. 7; returns the scale. Without halves x = scale * high.
inline float encodeKv(const float* x, int dim, bool halves, int8_t* high, int8_t* low) {
  const float magnitude = largestMagnitude(x, dim), most = halves ? kLargestKvUnits : kLargestKvByte;
  const F inverse = splat(magnitude > 0 ? most / magnitude : 0.0f);
  for (int d = 0; d < dim; d += 16) {
    const I whole = _mm512_cvtps_epi32(mul(load(x + d), inverse));
    const I upper = halves ? _mm512_srai_epi32(_mm512_add_epi32(whole, splatInt(8)), 4) : whole;
    storeLowestBytes(high + d, upper);
    if (halves) storeLowestBytes(low + d, _mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 4)));
  }
  return magnitude / most;
}

void writeFixedKv(uint8_t* kvHead, int slot, const float* k, const float* v, int headDim, KvPrecision precision) {
  if (!isFixedKv(headDim, precision)) return writeKv(kvHead, slot, k, v, headDim, precision);
  const FixedHead at{headDim, precision == KvPrecision::Half};
  alignas(64) int8_t high[kLargestHeadDim], low[kLargestHeadDim];
  const auto four = [](const int8_t* from) {
    uint32_t bytes;
    __builtin_memcpy(&bytes, from, 4);
    return bytes;
  };
  const auto put = [](uint8_t* to, auto value) { __builtin_memcpy(to, &value, sizeof(value)); };

  alignas(64) float rotated[kLargestHeadDim];
  rotate(k, headDim, rotated);
  const float keyScale = encodeKv(rotated, headDim, at.halves, high, low);
  uint8_t* keyHigh = kvHead + at.keyHigh(slot / 16) + slot % 16 * 4;
  for (int d = 0; d < headDim; d += 4) put(keyHigh + d * 16, four(high + d) ^ 0x80808080u);
  const auto nibbles = [&](int d) { return (four(low + d) ^ 0x08080808u) & 0x0f0f0f0fu; };
  uint8_t* keyLow = kvHead + at.keyLow(slot / 16) + slot % 16 * 4;
  for (int d = 0; at.halves && d < headDim; d += 8) put(keyLow + d * 8, nibbles(d) | nibbles(d + 4) << 4);

  if (!at.halves) rotate(v, headDim, rotated);
  const float valueScale = __builtin_fmaxf(encodeKv(at.halves ? v : rotated, headDim, at.halves, high, low), kSmallestScale);
  const size_t token = size_t(slot / 4) * 64 + size_t(slot % 4);
  for (int d = 0; d < headDim; d++) kvHead[at.valueHigh(d / 16) + token + size_t(d % 16) * 4] = uint8_t(high[d]);
  for (int d = 0; at.halves && d < headDim; d += 32)
    for (int i = d; i < d + 16; i++) kvHead[at.valueLow(d / 32) + token + size_t(i - d) * 4] = uint8_t((low[i] & 15) | uint8_t(low[i + 16]) << 4);
  put(kvHead + at.keyScales() + slot * 4, keyScale);
  put(kvHead + at.valueLogs() + slot * 4, __builtin_log2f(valueScale));
  put(kvHead + at.valueInverses() + slot * 4, 1 / valueScale);
}
