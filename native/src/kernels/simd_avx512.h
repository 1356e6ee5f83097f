// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes as one AVX-512 register. Included inside an anonymous namespace by one translation unit per table.
constexpr int kRowTile = 8;   // activation rows computed together
#define DYN_ACTIVATIONS "activations_s8.inl.h"
#define DYN_FIXED_KV 1
constexpr int kQueryTile = 8; // attention queries computed together
constexpr int kAttentionSums = 16; // of attention that stay in registers

using F = __m512;  // 16 floats
using I = __m512i; // 16 i32

inline F zero() { return _mm512_setzero_ps(); }
inline F splat(float x) { return _mm512_set1_ps(x); }
inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F x) { _mm512_storeu_ps(p, x); }
inline F loadHalf(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void storeHalf(uint16_t* p, F x) {
  const F largest = _mm512_set1_ps(65504.0f);
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_sub_ps(zero(), largest)), largest);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F divide(F a, F b) { return _mm512_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm512_max_ps(a, b); }
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F abs(F a) { return _mm512_abs_ps(a); }
inline F roundNearest(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline float sum(F a) { return _mm512_reduce_add_ps(a); }
inline float largest(F a) { return _mm512_reduce_max_ps(a); }
inline __mmask16 firstLanes(int count) { return count >= 16 ? __mmask16(0xffff) : count <= 0 ? __mmask16(0) : __mmask16((1u << count) - 1); }
// a where lane < count, else b
inline F keepLanes(F a, F b, int count) { return _mm512_mask_blend_ps(firstLanes(count), b, a); }
inline F scaleByPowerOfTwo(F a, F n) { return _mm512_scalef_ps(a, n); }

inline I zeroInt() { return _mm512_setzero_si512(); }
inline I splatInt(int32_t x) { return _mm512_set1_epi32(x); }
inline F toFloat(I a) { return _mm512_cvtepi32_ps(a); }
inline int32_t sum(I a) { return _mm512_reduce_add_epi32(a); }

// Numbers as whole ones, whole = 256 * coarse + fine: two bytes with a sign, of which the lowest of `whole` is the fine one.
struct SplitCodes { I whole, coarse; };
inline SplitCodes splitCodes(F scaled) {
  const I whole = _mm512_cvtps_epi32(scaled);
  return {whole, _mm512_srai_epi32(_mm512_add_epi32(whole, splatInt(128)), 8)};
}
inline void storeLowestBytes(int8_t* p, I a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a)); }

// 64 unsigned codes: 4 consecutive k of each lane.
using Codes = __m512i;
inline Codes loadCodes(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline Codes lowNibbles(Codes c) { return _mm512_and_si512(c, _mm512_set1_epi8(15)); }
inline Codes highNibbles(Codes c) { return _mm512_and_si512(_mm512_srli_epi16(c, 4), _mm512_set1_epi8(15)); }

// The same four bytes in each lane.
inline I fourBytes(const void* from) {
  int32_t four;
  __builtin_memcpy(&four, from, 4);
  return splatInt(four);
}

// codes . (256 * coarse + fine) over the 4-k vectors [from, to), less the zero point.
template <int Zero, bool SmallCodes>
inline I dotGroup(const Codes* codes, int from, int to, const int8_t* coarse, const int8_t* fine, int32_t sumOfCodes) {
  I high = zeroInt(), low = splatInt(-Zero * sumOfCodes);
  for (int j = from; j < to; j++) {
    high = _mm512_dpbusd_epi32(high, codes[j], fourBytes(coarse + 4 * j));
    low = _mm512_dpbusd_epi32(low, codes[j], fourBytes(fine + 4 * j));
  }
  return _mm512_add_epi32(_mm512_slli_epi32(high, 8), low);
}

// 16 lanes of (k, k+1) bf16 pairs.
using Pairs = __m512i;
inline Pairs loadPairs(const uint16_t* p) { return _mm512_loadu_si512(p); }
inline F evenOfPairs(Pairs p) { return _mm512_castsi512_ps(_mm512_slli_epi32(p, 16)); }
inline F oddOfPairs(Pairs p) { return _mm512_castsi512_ps(_mm512_and_si512(p, _mm512_set1_epi32(int(0xffff0000)))); }
