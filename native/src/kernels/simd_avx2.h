// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes as two AVX2 registers. Included inside an anonymous namespace by one translation unit.
constexpr int kRowTile = 4;
#define DYN_ACTIVATIONS "activations_s16.inl.h"
constexpr int kQueryTile = 4;
constexpr int kAttentionSums = 4;

struct F { __m256 l, h; };
struct I { __m256i l, h; };

inline F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline F splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F x) {
  _mm256_storeu_ps(p, x.l);
  _mm256_storeu_ps(p + 8, x.h);
}
inline F loadHalf(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline F max(F a, F b) { return {_mm256_max_ps(a.l, b.l), _mm256_max_ps(a.h, b.h)}; }
inline F min(F a, F b) { return {_mm256_min_ps(a.l, b.l), _mm256_min_ps(a.h, b.h)}; }
inline void storeHalf(uint16_t* p, F x) {
  x = min(max(x, splat(-65504.0f)), splat(65504.0f));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.l, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.h, _MM_FROUND_TO_NEAREST_INT));
}
inline F add(F a, F b) { return {_mm256_add_ps(a.l, b.l), _mm256_add_ps(a.h, b.h)}; }
inline F sub(F a, F b) { return {_mm256_sub_ps(a.l, b.l), _mm256_sub_ps(a.h, b.h)}; }
inline F mul(F a, F b) { return {_mm256_mul_ps(a.l, b.l), _mm256_mul_ps(a.h, b.h)}; }
inline F divide(F a, F b) { return {_mm256_div_ps(a.l, b.l), _mm256_div_ps(a.h, b.h)}; }
inline F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)}; }
inline F abs(F a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.l), _mm256_andnot_ps(sign, a.h)};
}
inline F roundNearest(F a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.l, mode), _mm256_round_ps(a.h, mode)};
}
inline float sum(F a) {
  const __m256 s = _mm256_add_ps(a.l, a.h);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
inline float largest(F a) {
  const __m256 s = _mm256_max_ps(a.l, a.h);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
inline F keepLanes(F a, F b, int count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), limit = _mm256_set1_epi32(count);
  const __m256 low = _mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, lanes));
  const __m256 high = _mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, _mm256_add_epi32(lanes, _mm256_set1_epi32(8))));
  return {_mm256_blendv_ps(b.l, a.l, low), _mm256_blendv_ps(b.h, a.h, high)};
}
inline __m256 powerOfTwo(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F scaleByPowerOfTwo(F a, F n) { return {_mm256_mul_ps(a.l, powerOfTwo(n.l)), _mm256_mul_ps(a.h, powerOfTwo(n.h))}; }

inline I splatInt(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline F toFloat(I a) { return {_mm256_cvtepi32_ps(a.l), _mm256_cvtepi32_ps(a.h)}; }

struct Pairs { __m256i l, h; };
inline Pairs loadPairs(const uint16_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16))};
}
inline F evenOfPairs(Pairs p) { return {_mm256_castsi256_ps(_mm256_slli_epi32(p.l, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(p.h, 16))}; }
inline F oddOfPairs(Pairs p) {
  const __m256i mask = _mm256_set1_epi32(int(0xffff0000));
  return {_mm256_castsi256_ps(_mm256_and_si256(p.l, mask)), _mm256_castsi256_ps(_mm256_and_si256(p.h, mask))};
}
