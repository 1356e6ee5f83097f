// SPDX-License-Identifier: Apache-2.0
#include "quantise.h"

#include <cstring>
#include <initializer_list>

namespace dyn {
namespace {

typedef float V4 __attribute__((vector_size(16)));
typedef int32_t I4 __attribute__((vector_size(16)));
constexpr int kVectors = kQuantGroup / 4;

// 32 values; every operation on them goes lane by lane, and sums add up the same four lanes in the same order.
struct Values {
  V4 v[kVectors];
};

V4 splat(float x) { return V4{x, x, x, x}; }
float sum(V4 a) { return (a[0] + a[2]) + (a[1] + a[3]); }
// The bounds win over NaN.
V4 clamp(V4 a, V4 low, V4 high) {
  a = a > low ? a : low;
  return a < high ? a : high;
}
I4 truncated(V4 a) { return __builtin_convertvector(a, I4); }

void storeHalf(uint8_t* to, float value) {
  const uint16_t half = floatToHalf(value);
  std::memcpy(to, &half, 2);
}
float asHalf(float value) { return halfToFloat(floatToHalf(value)) + 0.0f; } // never -0
float inverse(float scale) { return scale > 0 ? 1.0f / scale : 0.0f; }

// Codes -127..127 of one scale, which maps the largest magnitude to the last code.
void toQ8_0(const Values& x, uint8_t* block) {
  V4 most = splat(0);
  for (const V4& v : x.v) {
    const V4 magnitude = v < 0 ? -v : v;
    most = magnitude > most ? magnitude : most;
  }
  float largest = 0;
  for (int i = 0; i < 4; i++) largest = most[i] > largest ? most[i] : largest;
  const float scale = asHalf(largest / 127.0f);
  storeHalf(block, scale);
  const V4 factor = splat(inverse(scale));
  for (int j = 0; j < kVectors; j++) {
    const I4 code = truncated(clamp(x.v[j] * factor, splat(-127), splat(127)) + splat(128.5f)) - 128;
    for (int i = 0; i < 4; i++) block[2 + j * 4 + i] = uint8_t(code[i]);
  }
}

// A weight is scale * code + min.
struct Line {
  float scale, min;
};

I4 codesOf(V4 x, V4 min, V4 factor) { return truncated(clamp((x - min) * factor, splat(0), splat(15)) + splat(0.5f)); }

// The least-squares line through the values over their codes for `line`; a scale of 0 when all codes are one.
Line refit(const Values& x, float total, Line line) {
  const V4 min = splat(line.min), factor = splat(inverse(line.scale));
  V4 sumC = splat(0), sumCC = splat(0), sumCX = splat(0);
  for (const V4& v : x.v) {
    const V4 code = __builtin_convertvector(codesOf(v, min, factor), V4);
    sumC += code;
    sumCC += code * code;
    sumCX += code * v;
  }
  const float c = sum(sumC), cc = sum(sumCC), cx = sum(sumCX), n = float(kQuantGroup);
  const float spread = n * cc - c * c;
  if (!(spread > 0)) return {0, line.min};
  const float scale = (n * cx - c * total) / spread;
  return {scale, (total - scale * c) / n};
}

// Squared error of the values' codes for `line`.
float errorOf(const Values& x, Line line) {
  const V4 min = splat(line.min), scale = splat(line.scale), factor = splat(inverse(line.scale));
  V4 error = splat(0);
  for (const V4& v : x.v) {
    const V4 off = scale * __builtin_convertvector(codesOf(v, min, factor), V4) + min - v;
    error += off * off;
  }
  return sum(error);
}

// Of the line from the smallest to the largest value, and of lines that began as a share of it, cutting off both ends, and
// were refitted: the one with the least error, scale and min being f16.
Line bestLine(const Values& x) {
  V4 low = x.v[0], high = x.v[0], total = splat(0);
  for (const V4& v : x.v) {
    low = v < low ? v : low;
    high = v > high ? v : high;
    total += v;
  }
  float least = low[0], most = high[0];
  for (int i = 1; i < 4; i++) {
    least = low[i] < least ? low[i] : least;
    most = high[i] > most ? high[i] : most;
  }
  const float range = most - least, all = sum(total);
  Line best = {asHalf(range / 15.0f), asHalf(least)};
  float bestError = errorOf(x, best);
  for (const float share : {1.0f, 0.9f, 0.8f}) {
    const float part = range * share;
    Line line = {part / 15.0f, least + (range - part) * 0.5f};
    for (int round = 0; round < 3; round++) line = refit(x, all, line);
    line = {asHalf(line.scale), asHalf(line.min)};
    const float error = errorOf(x, line);
    if (error < bestError) {
      best = line;
      bestError = error;
    }
  }
  return best;
}

void toQ4_1(const Values& x, uint8_t* block) {
  const Line line = bestLine(x);
  storeHalf(block, line.scale);
  storeHalf(block + 2, line.min);
  const V4 min = splat(line.min), factor = splat(inverse(line.scale));
  for (int j = 0; j < kVectors / 2; j++) {
    const I4 codes = codesOf(x.v[j], min, factor) | (codesOf(x.v[j + kVectors / 2], min, factor) << 4);
    for (int i = 0; i < 4; i++) block[4 + j * 4 + i] = uint8_t(codes[i]);
  }
}

} // namespace

void quantise(TensorType type, const float* values, size_t count, uint8_t* out) {
  const size_t blockBytes = sourceRowBytes(type, kQuantGroup);
  Values x;
  for (size_t at = 0; at < count; at += kQuantGroup, out += blockBytes) {
    std::memcpy(&x, values + at, sizeof x);
    if (type == TensorType::Q8_0) toQ8_0(x, out);
    else toQ4_1(x, out);
  }
}

} // namespace dyn
