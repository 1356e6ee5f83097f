// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes as a GCC/Clang vector type, for any processor. Included inside an anonymous namespace.
constexpr int kRowTile = 4;
#define DYN_ACTIVATIONS "activations_s8.inl.h"
constexpr int kQueryTile = 4;
constexpr int kAttentionSums = 4;

typedef float V4 __attribute__((vector_size(16)));
struct F { V4 v[4]; };
struct I { int32_t v[16]; };

template <class Op>
inline F map(F a, F b, Op op) {
  F r;
  for (int i = 0; i < 4; i++) r.v[i] = op(a.v[i], b.v[i]);
  return r;
}
template <class Op>
inline F mapLanes(F a, Op op) {
  F r;
  for (int i = 0; i < 16; i++) r.v[i / 4][i % 4] = op(a.v[i / 4][i % 4], i);
  return r;
}
inline F splat(float x) {
  const V4 v = {x, x, x, x};
  return {{v, v, v, v}};
}
inline F zero() { return splat(0); }
inline F load(const float* p) {
  F r;
  __builtin_memcpy(&r, p, 64);
  return r;
}
inline void store(float* p, F x) { __builtin_memcpy(p, &x, 64); }
inline F loadHalf(const uint16_t* p) {
  return mapLanes(zero(), [p](float, int i) { return halfToFloat(p[i]); });
}
inline void storeHalf(uint16_t* p, F x) {
  for (int i = 0; i < 16; i++) p[i] = floatToHalf(x.v[i / 4][i % 4]);
}
inline F add(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x + y; }); }
inline F sub(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x - y; }); }
inline F mul(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x * y; }); }
inline F divide(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x / y; }); }
inline F fma(F a, F b, F c) { return add(mul(a, b), c); }
inline F max(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x > y ? x : y; }); }
inline F min(F a, F b) { return map(a, b, [](V4 x, V4 y) { return x < y ? x : y; }); }
inline F abs(F a) { return mapLanes(a, [](float x, int) { return __builtin_fabsf(x); }); }
inline F roundNearest(F a) { return mapLanes(a, [](float x, int) { return __builtin_nearbyintf(x); }); }
inline float sum(F a) {
  const V4 s = (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
inline float largest(F a) {
  const F m = max(F{{a.v[0], a.v[1], a.v[0], a.v[1]}}, F{{a.v[2], a.v[3], a.v[2], a.v[3]}});
  float best = m.v[0][0];
  for (int i = 1; i < 8; i++) best = m.v[i / 4][i % 4] > best ? m.v[i / 4][i % 4] : best;
  return best;
}
inline F keepLanes(F a, F b, int count) {
  return mapLanes(a, [&](float x, int i) { return i < count ? x : b.v[i / 4][i % 4]; });
}
inline F scaleByPowerOfTwo(F a, F n) {
  return mapLanes(a, [&](float x, int i) {
    const uint32_t bits = uint32_t(int(n.v[i / 4][i % 4]) + 127) << 23;
    float power;
    __builtin_memcpy(&power, &bits, 4);
    return x * power;
  });
}

inline F toFloat(I a) { return mapLanes(zero(), [&](float, int i) { return float(a.v[i]); }); }
inline int32_t sum(I a) {
  int32_t total = 0;
  for (int32_t x : a.v) total += x;
  return total;
}

struct SplitCodes { I whole, coarse; };
inline SplitCodes splitCodes(F scaled) {
  SplitCodes codes;
  for (int i = 0; i < 16; i++) {
    codes.whole.v[i] = int32_t(__builtin_nearbyintf(scaled.v[i / 4][i % 4]));
    codes.coarse.v[i] = (codes.whole.v[i] + 128) >> 8;
  }
  return codes;
}
inline void storeLowestBytes(int8_t* p, I a) {
  for (int i = 0; i < 16; i++) p[i] = int8_t(a.v[i]);
}

struct Codes { uint8_t v[64]; };
inline Codes loadCodes(const uint8_t* p) {
  Codes c;
  __builtin_memcpy(&c, p, 64);
  return c;
}
inline Codes lowNibbles(Codes c) {
  for (uint8_t& x : c.v) x &= 15;
  return c;
}
inline Codes highNibbles(Codes c) {
  for (uint8_t& x : c.v) x = uint8_t(x >> 4);
  return c;
}
template <int Zero, bool SmallCodes>
inline I dotGroup(const Codes* codes, int from, int to, const int8_t* coarse, const int8_t* fine, int32_t sumOfCodes) {
  I acc;
  for (int32_t& x : acc.v) x = -Zero * sumOfCodes;
  for (int j = from; j < to; j++)
    for (int lane = 0; lane < 16; lane++)
      for (int i = 0; i < 4; i++) acc.v[lane] += int32_t(codes[j].v[lane * 4 + i]) * (256 * coarse[4 * j + i] + fine[4 * j + i]);
  return acc;
}

struct Pairs { uint16_t v[32]; };
inline Pairs loadPairs(const uint16_t* p) {
  Pairs r;
  __builtin_memcpy(&r, p, 64);
  return r;
}
inline float widen(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float x;
  __builtin_memcpy(&x, &wide, 4);
  return x;
}
inline F evenOfPairs(Pairs p) { return mapLanes(zero(), [&](float, int i) { return widen(p.v[2 * i]); }); }
inline F oddOfPairs(Pairs p) { return mapLanes(zero(), [&](float, int i) { return widen(p.v[2 * i + 1]); }); }
