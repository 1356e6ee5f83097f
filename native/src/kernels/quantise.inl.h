// SPDX-License-Identifier: Apache-2.0
// Quantising kLanes groups side by side, a lane each: what is done for a group is done in one order, without sums across
// lanes, so the blocks do not depend on the number of lanes. Included inside an anonymous namespace.
typedef float V __attribute__((vector_size(kLanes * 4)));
typedef int32_t I __attribute__((vector_size(kLanes * 4)));

struct Groups {
  V v[kQuantGroup];
};

V splat(float x) { return V{} + x; }
V smaller(V a, V b) { return a < b ? a : b; }
V larger(V a, V b) { return a > b ? a : b; }
V clamp(V a, float low, float high) { return smaller(larger(a, splat(low)), splat(high)); } // NaN becomes `low`
I truncated(V a) { return __builtin_convertvector(a, I); }

void storeHalf(uint8_t* to, float value) {
  const uint16_t half = floatToHalf(value);
  std::memcpy(to, &half, 2);
}
V asHalf(V a) {
  for (int i = 0; i < kLanes; i++) a[i] = halfToFloat(floatToHalf(a[i])) + 0.0f; // never -0
  return a;
}
V inverse(V scale) { return scale > 0 ? 1.0f / scale : splat(0); }

// Codes -127..127 of one scale, which maps the largest magnitude to the last code.
void toQ8_0(const Groups& x, uint8_t* const* blocks) {
  V largest = splat(0);
  for (const V& v : x.v) largest = larger(v < 0 ? -v : v, largest);
  const V scale = asHalf(largest / 127.0f), factor = inverse(scale);
  for (int lane = 0; lane < kLanes; lane++) storeHalf(blocks[lane], scale[lane]);
  for (int i = 0; i < kQuantGroup; i++) {
    const I code = truncated(clamp(x.v[i] * factor, -127, 127) + 128.5f) - 128;
    for (int lane = 0; lane < kLanes; lane++) blocks[lane][2 + i] = uint8_t(code[lane]);
  }
}

// A weight is scale * code + min.
struct Line {
  V scale, min;
};

I codesOf(V x, V min, V factor) { return truncated(clamp((x - min) * factor, 0, 15) + 0.5f); }

// The least-squares line through the values over their codes for `line`; a scale of 0 where all codes are one.
Line refit(const Groups& x, V total, Line line) {
  const V factor = inverse(line.scale);
  V c = splat(0), cc = splat(0), cx = splat(0);
  for (const V& v : x.v) {
    const V code = __builtin_convertvector(codesOf(v, line.min, factor), V);
    c += code;
    cc += code * code;
    cx += code * v;
  }
  const float n = float(kQuantGroup);
  const V spread = n * cc - c * c;
  const V scale = (n * cx - c * total) / spread;
  return {spread > 0 ? scale : splat(0), spread > 0 ? (total - scale * c) / n : line.min};
}

// Squared error of the values' codes for `line`.
V errorOf(const Groups& x, Line line) {
  const V factor = inverse(line.scale);
  V error = splat(0);
  for (const V& v : x.v) {
    const V off = line.scale * __builtin_convertvector(codesOf(v, line.min, factor), V) + line.min - v;
    error += off * off;
  }
  return error;
}

// Of the line from the smallest to the largest value, and of lines that began as a share of it, cutting off both ends, and
// were refitted: the one with the least error, scale and min being f16.
Line bestLine(const Groups& x) {
  V least = x.v[0], most = x.v[0], total = splat(0);
  for (const V& v : x.v) {
    least = smaller(v, least);
    most = larger(v, most);
    total += v;
  }
  const V range = most - least;
  Line best = {asHalf(range / 15.0f), asHalf(least)};
  V bestError = errorOf(x, best);
  for (const float share : {1.0f, 0.9f, 0.8f}) {
    const V part = range * share;
    Line line = {part / 15.0f, least + (range - part) * 0.5f};
    for (int round = 0; round < 3; round++) line = refit(x, total, line);
    line = {asHalf(line.scale), asHalf(line.min)};
    const V error = errorOf(x, line);
    best = {error < bestError ? line.scale : best.scale, error < bestError ? line.min : best.min};
    bestError = smaller(error, bestError);
  }
  return best;
}

void toQ4_1(const Groups& x, uint8_t* const* blocks) {
  const Line line = bestLine(x);
  for (int lane = 0; lane < kLanes; lane++) {
    storeHalf(blocks[lane], line.scale[lane]);
    storeHalf(blocks[lane] + 2, line.min[lane]);
  }
  const V factor = inverse(line.scale);
  for (int i = 0; i < kQuantGroup / 2; i++) {
    const I codes = codesOf(x.v[i], line.min, factor) | (codesOf(x.v[i + kQuantGroup / 2], line.min, factor) << 4);
    for (int lane = 0; lane < kLanes; lane++) blocks[lane][4 + i] = uint8_t(codes[lane]);
  }
}

void quantiseLanes(TensorType type, const float* values, size_t count, uint8_t* out) {
  const size_t blockBytes = sourceRowBytes(type, kQuantGroup), groups = count / kQuantGroup;
  uint8_t unused[64]; // the block of a lane without a group
  Groups x;
  for (size_t first = 0; first < groups; first += kLanes) {
    uint8_t* blocks[kLanes];
    for (size_t lane = 0; lane < kLanes; lane++) {
      const bool used = first + lane < groups;
      const float* from = values + (used ? first + lane : first) * kQuantGroup;
      for (int i = 0; i < kQuantGroup; i++) x.v[i][lane] = from[i];
      blocks[lane] = used ? out + (first + lane) * blockBytes : unused;
    }
    if (type == TensorType::Q8_0) toQ8_0(x, blocks);
    else toQ4_1(x, blocks);
  }
}
