// SPDX-License-Identifier: Apache-2.0
// Checkpoint types: dequantisation (block layouts of GGML, gguf v3) and packing into panels.
#include "kernels.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace dyn {
namespace {

struct SourceLayout {
  int blockValues;
  int blockBytes;
};

SourceLayout layoutOf(TensorType type) {
  switch (type) {
    case TensorType::F32: return {1, 4};
    case TensorType::F16: return {1, 2};
    case TensorType::BF16: return {1, 2};
    case TensorType::Q4_0: return {32, 18};
    case TensorType::Q4_1: return {32, 20};
    case TensorType::Q5_0: return {32, 22};
    case TensorType::Q5_1: return {32, 24};
    case TensorType::Q8_0: return {32, 34};
    case TensorType::Q4_K: return {256, 144};
    case TensorType::Q5_K: return {256, 176};
    case TensorType::Q6_K: return {256, 210};
  }
  return {1, 0};
}

uint16_t load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}
uint32_t load32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
float bitsToFloat(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}
float bf16ToFloat(uint16_t bits) { return bitsToFloat(uint32_t(bits) << 16); }

// 6-bit scale and min number j of a K-quant super-block.
void scaleMinK4(int j, const uint8_t* q, int& scale, int& min) {
  if (j < 4) {
    scale = q[j] & 63;
    min = q[j + 4] & 63;
  } else {
    scale = (q[j + 4] & 15) | ((q[j - 4] >> 6) << 4);
    min = (q[j + 4] >> 4) | ((q[j] >> 6) << 4);
  }
}

// 32 weights of a quantised row: codes, and scale (per 16 for Q6_K) and min as exact f32 values.
struct Group {
  uint8_t code[32];
  float scale[2];
  float min;
};

// Group `g` (32 k-elements) of a row.
void readGroup(TensorType type, const uint8_t* row, int g, Group& out) {
  out.min = 0;
  auto nibbles = [&](const uint8_t* q) {
    for (int i = 0; i < 16; i++) {
      out.code[i] = q[i] & 15;
      out.code[i + 16] = q[i] >> 4;
    }
  };
  auto fifthBits = [&](uint32_t high) {
    for (int i = 0; i < 32; i++) out.code[i] |= ((high >> i) & 1) << 4;
  };
  switch (type) {
    case TensorType::Q4_0: {
      const uint8_t* b = row + size_t(g) * 18;
      out.scale[0] = halfToFloat(load16(b));
      nibbles(b + 2);
      break;
    }
    case TensorType::Q4_1: {
      const uint8_t* b = row + size_t(g) * 20;
      out.scale[0] = halfToFloat(load16(b));
      out.min = halfToFloat(load16(b + 2));
      nibbles(b + 4);
      break;
    }
    case TensorType::Q5_0: {
      const uint8_t* b = row + size_t(g) * 22;
      out.scale[0] = halfToFloat(load16(b));
      nibbles(b + 6);
      fifthBits(load32(b + 2));
      break;
    }
    case TensorType::Q5_1: {
      const uint8_t* b = row + size_t(g) * 24;
      out.scale[0] = halfToFloat(load16(b));
      out.min = halfToFloat(load16(b + 2));
      nibbles(b + 8);
      fifthBits(load32(b + 4));
      break;
    }
    case TensorType::Q8_0: {
      const uint8_t* b = row + size_t(g) * 34;
      out.scale[0] = halfToFloat(load16(b));
      for (int i = 0; i < 32; i++) out.code[i] = uint8_t(b[2 + i] ^ 0x80);
      break;
    }
    case TensorType::Q4_K:
    case TensorType::Q5_K: {
      const bool five = type == TensorType::Q5_K;
      const uint8_t* b = row + size_t(g / 8) * (five ? 176 : 144);
      const int sub = g % 8;
      int scale, min;
      scaleMinK4(sub, b + 4, scale, min);
      out.scale[0] = halfToFloat(load16(b)) * float(scale);
      out.min = -(halfToFloat(load16(b + 2)) * float(min));
      const uint8_t* q = b + (five ? 48 : 16) + (sub / 2) * 32;
      for (int i = 0; i < 32; i++) out.code[i] = sub & 1 ? q[i] >> 4 : q[i] & 15;
      if (five)
        for (int i = 0; i < 32; i++) out.code[i] |= ((b[16 + i] >> sub) & 1) << 4;
      break;
    }
    case TensorType::Q6_K: {
      const uint8_t* b = row + size_t(g / 8) * 210;
      const int sub = g % 8, half = sub / 4, quarter = sub % 4;
      const uint8_t* low = b + half * 64 + (quarter & 1) * 32;
      const uint8_t* high = b + 128 + half * 32;
      const float d = halfToFloat(load16(b + 208));
      for (int i = 0; i < 32; i++) {
        const int bits = quarter < 2 ? low[i] & 15 : low[i] >> 4;
        out.code[i] = uint8_t(bits | (((high[i] >> (2 * quarter)) & 3) << 4));
      }
      const int8_t* scales = reinterpret_cast<const int8_t*>(b + 192) + half * 8 + quarter * 2;
      out.scale[0] = d * float(scales[0]);
      out.scale[1] = d * float(scales[1]);
      break;
    }
    default: break;
  }
}

float plainValue(TensorType type, const uint8_t* row, int k) {
  switch (type) {
    case TensorType::F32: return bitsToFloat(load32(row + size_t(k) * 4));
    case TensorType::F16: return halfToFloat(load16(row + size_t(k) * 2));
    default: return bf16ToFloat(load16(row + size_t(k) * 2));
  }
}

bool isPlain(TensorType type) { return layoutOf(type).blockValues == 1; }

size_t scaleBytes(const PackedMatrix& m) { return m.wideScales ? 4 : 2; }

size_t groupBytes(const PackedMatrix& m) {
  const size_t codes = m.type == PackedType::U4 ? 256 : 512;
  const size_t values = size_t(kQuantGroup / m.scaleGroup) + (m.hasMin ? 1 : 0);
  return codes + values * kPanelRows * (m.fixedPoint ? sizeof(int16_t) : scaleBytes(m));
}

void storeScale(const PackedMatrix& m, uint8_t* values, int lane, float value) {
  if (m.wideScales) {
    std::memcpy(values + lane * 4, &value, 4);
  } else {
    const uint16_t half = floatToHalf(value);
    std::memcpy(values + lane * 2, &half, 2);
  }
}

float loadScale(const PackedMatrix& m, const uint8_t* values, int lane) {
  return m.wideScales ? bitsToFloat(load32(values + lane * 4)) : halfToFloat(load16(values + lane * 2));
}

// Half the number of codes of a type.
int middleCode(const PackedMatrix& m) { return m.zero != 0 ? m.zero : m.type == PackedType::U4 ? 8 : 16; }

// In fixed point a code of U8 has its middle at 0, and takes the room of 8 bits.
uint8_t fixedCode(const PackedMatrix& m, int code) { return uint8_t((code - middleCode(m)) * (128 / middleCode(m))); }

size_t unitOffset(const PackedMatrix& m, int lane) { return m.panelBytes - size_t(kPanelRows - lane) * sizeof(float); }

// The unit of a row of weights: its largest one, and what U8 has for a scale, is at most kLargestFixed. Not finite where a weight is not, so that no product hides it.
float fixedUnit(TensorType type, const uint8_t* row, const PackedMatrix& m) {
  Group group;
  float largest = 0;
  const int middle = middleCode(m);
  for (int g = 0; g < m.cols / kQuantGroup; g++) {
    readGroup(type, row, g, group);
    for (int h = 0; h < kQuantGroup / m.scaleGroup; h++) {
      const auto weightOf = [&](int code) { return group.scale[h] * float(code - m.zero) + group.min; };
      for (float value : {weightOf(0), weightOf(2 * middle - 1), m.type == PackedType::U8 ? group.scale[h] * float(middle) : 0.0f}) {
        if (std::isnan(value)) return value;
        largest = std::fmax(largest, std::fabs(value));
      }
    }
  }
  return largest / kLargestFixed;
}

void storeFixed(const PackedMatrix& m, uint8_t* values, int lane, const Group& group, float unit) {
  const auto inUnits = [&](float value) { return unit > 0 && std::isfinite(unit) ? int16_t(std::nearbyint(value / unit)) : int16_t(0); };
  const auto put = [&](int index, int value) {
    const int16_t whole = int16_t(value);
    std::memcpy(values + (index * kPanelRows + lane) * 2, &whole, 2);
  };
  if (m.type == PackedType::U4) {
    const int scale = inUnits(group.scale[0]);
    put(0, scale);
    if (m.hasMin) put(1, inUnits(group.min) + 8 * scale);
    return;
  }
  const auto toMiddle = [&](int half) { return group.scale[half] * float(middleCode(m)); }; // from the first code
  for (int h = 0; h < kQuantGroup / m.scaleGroup; h++) put(h, inUnits(toMiddle(h)));
  if (m.hasMin) put(1, inUnits(group.min + toMiddle(0)));
}

// Weight of the i-th code of a group; what storeFixed stored. 8 bits: as an instruction rounds a product to its upper half.
float fixedValue(const PackedMatrix& m, const uint8_t* values, int lane, int i, uint8_t code, float unit) {
  const auto whole = [&](int index) { return int(int16_t(load16(values + (index * kPanelRows + lane) * 2))); };
  const int scale = whole(i / m.scaleGroup), middle = m.hasMin ? whole(1) : 0;
  return unit * float((m.type == PackedType::U4 ? scale * (int(code) - 8) : (scale * 256 * int8_t(code) + 0x4000) >> 15) + middle);
}

// Index of k-element i of a lane inside a group's codes.
int codeIndex(int i, int lane) { return (i / 4) * 64 + lane * 4 + i % 4; }

} // namespace

float halfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = (half >> 10) & 31, mantissa = half & 1023;
  if (exponent == 31) return bitsToFloat(sign | 0x7f800000 | (mantissa << 13));
  if (exponent != 0) return bitsToFloat(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float tiny = float(mantissa) * 5.9604644775390625e-8f; // 2^-24
  return sign ? -tiny : tiny;
}

uint16_t floatToHalf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (bits >= 0x477ff000) return uint16_t(sign | 0x7bff); // would round to infinity: saturate
  if (bits < 0x38800000) {                                // subnormal or zero
    const float scaled = bitsToFloat(bits) * 16777216.0f; // 2^24
    return uint16_t(sign | uint16_t(std::nearbyint(scaled)));
  }
  const uint32_t rounded = bits + 0xfff + ((bits >> 13) & 1);
  return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

size_t sourceRowBytes(TensorType type, int cols) {
  const SourceLayout layout = layoutOf(type);
  if (cols <= 0 || cols % layout.blockValues != 0) return 0;
  return size_t(cols / layout.blockValues) * size_t(layout.blockBytes);
}

PackedMatrix describePacked(TensorType type, int rows, int cols, bool forceF32, bool fixedPoint) {
  PackedMatrix m;
  m.rows = rows;
  m.cols = cols;
  if (sourceRowBytes(type, cols) == 0) return m;
  if (forceF32 || type == TensorType::F32) {
    m.type = PackedType::F32;
    m.panelBytes = size_t(cols) * kPanelRows * 4;
    return m;
  }
  switch (type) {
    case TensorType::F16: m.type = PackedType::F16; break;
    case TensorType::BF16: m.type = PackedType::BF16; break;
    case TensorType::Q4_0: m.type = PackedType::U4, m.zero = 8; break;
    case TensorType::Q4_1: m.type = PackedType::U4, m.hasMin = true; break;
    case TensorType::Q4_K: m.type = PackedType::U4, m.hasMin = m.wideScales = true; break;
    case TensorType::Q5_0: m.type = PackedType::U8, m.zero = 16; break;
    case TensorType::Q5_1: m.type = PackedType::U8, m.hasMin = true; break;
    case TensorType::Q5_K: m.type = PackedType::U8, m.hasMin = m.wideScales = true; break;
    case TensorType::Q6_K: m.type = PackedType::U8, m.zero = 32, m.wideScales = true, m.scaleGroup = 16; break;
    default: m.type = PackedType::U8, m.zero = 128; break; // Q8_0
  }
  m.fixedPoint = fixedPoint && m.quantised() && cols <= kFixedColumns;
  if (m.quantised()) {
    if (cols % kQuantGroup == 0) m.panelBytes = size_t(cols / kQuantGroup) * groupBytes(m) + (m.fixedPoint ? kPanelRows * sizeof(float) : 0);
  } else if (cols % 2 == 0) {
    m.panelBytes = size_t(cols) * kPanelRows * 2;
  }
  return m;
}

void dequantise(TensorType type, const uint8_t* source, size_t count, float* out) {
  if (isPlain(type)) {
    for (size_t i = 0; i < count; i++) out[i] = plainValue(type, source, int(i));
    return;
  }
  const PackedMatrix m = describePacked(type, 1, int(count), false);
  Group group;
  for (size_t g = 0; g < count / kQuantGroup; g++) {
    readGroup(type, source, int(g), group);
    for (int i = 0; i < kQuantGroup; i++) {
      const float scale = group.scale[i / m.scaleGroup];
      out[g * kQuantGroup + size_t(i)] = scale * float(int(group.code[i]) - m.zero) + group.min;
    }
  }
}

void packPanel(const uint8_t* source, TensorType type, const uint32_t* sourceRow, int panel, PackedMatrix& m) {
  uint8_t* data = m.data + size_t(panel) * m.panelBytes;
  std::memset(data, 0, m.panelBytes);
  const size_t rowBytes = sourceRowBytes(type, m.cols);
  std::vector<float> values;
  for (int lane = 0; lane < kPanelRows; lane++) {
    const int n = panel * kPanelRows + lane;
    if (n >= m.rows) break;
    const uint8_t* row = source + size_t(sourceRow ? sourceRow[n] : uint32_t(n)) * rowBytes;
    if (m.type == PackedType::F32) {
      values.resize(size_t(m.cols));
      dequantise(type, row, size_t(m.cols), values.data());
      for (int k = 0; k < m.cols; k++) std::memcpy(data + (size_t(k) * kPanelRows + size_t(lane)) * 4, &values[size_t(k)], 4);
    } else if (m.type == PackedType::F16) {
      for (int k = 0; k < m.cols; k++) std::memcpy(data + (size_t(k) * kPanelRows + size_t(lane)) * 2, row + size_t(k) * 2, 2);
    } else if (m.type == PackedType::BF16) {
      for (int k = 0; k < m.cols; k++)
        std::memcpy(data + ((size_t(k / 2) * kPanelRows + size_t(lane)) * 2 + size_t(k % 2)) * 2, row + size_t(k) * 2, 2);
    } else {
      Group group;
      const size_t bytes = groupBytes(m);
      const float unit = m.fixedPoint ? fixedUnit(type, row, m) : 0;
      if (m.fixedPoint) std::memcpy(data + unitOffset(m, lane), &unit, sizeof(unit));
      for (int g = 0; g < m.cols / kQuantGroup; g++) {
        readGroup(type, row, g, group);
        uint8_t* codes = data + size_t(g) * bytes;
        uint8_t* scales = codes + (m.type == PackedType::U4 ? 256 : 512);
        if (m.type == PackedType::U4)
          for (int i = 0; i < 16; i++) codes[codeIndex(i, lane)] = uint8_t(group.code[i] | (group.code[i + 16] << 4));
        else
          for (int i = 0; i < 32; i++) codes[codeIndex(i, lane)] = m.fixedPoint ? fixedCode(m, group.code[i]) : group.code[i];
        if (m.fixedPoint) {
          storeFixed(m, scales, lane, group, unit);
          continue;
        }
        const int halves = kQuantGroup / m.scaleGroup;
        for (int h = 0; h < halves; h++) storeScale(m, scales + size_t(h) * kPanelRows * scaleBytes(m), lane, group.scale[h]);
        if (m.hasMin) storeScale(m, scales + size_t(halves) * kPanelRows * scaleBytes(m), lane, group.min);
      }
    }
  }
}

void unpackRow(const PackedMatrix& m, int row, float* out) {
  const uint8_t* data = m.data + size_t(row / kPanelRows) * m.panelBytes;
  const int lane = row % kPanelRows;
  for (int k = 0; k < m.cols; k++) {
    if (m.type == PackedType::F32) {
      out[k] = bitsToFloat(load32(data + (size_t(k) * kPanelRows + size_t(lane)) * 4));
    } else if (m.type == PackedType::F16) {
      out[k] = halfToFloat(load16(data + (size_t(k) * kPanelRows + size_t(lane)) * 2));
    } else if (m.type == PackedType::BF16) {
      out[k] = bf16ToFloat(load16(data + ((size_t(k / 2) * kPanelRows + size_t(lane)) * 2 + size_t(k % 2)) * 2));
    } else {
      const uint8_t* codes = data + size_t(k / kQuantGroup) * groupBytes(m);
      const uint8_t* scales = codes + (m.type == PackedType::U4 ? 256 : 512);
      const int i = k % kQuantGroup;
      const int code = m.type == PackedType::U8 ? codes[codeIndex(i, lane)]
                       : i < 16                 ? codes[codeIndex(i, lane)] & 15
                                                : codes[codeIndex(i - 16, lane)] >> 4;
      if (m.fixedPoint) {
        const float unit = bitsToFloat(load32(data + unitOffset(m, lane)));
        out[k] = fixedValue(m, scales, lane, i, uint8_t(code), unit);
        continue;
      }
      const int halves = kQuantGroup / m.scaleGroup;
      const float scale = loadScale(m, scales + size_t(i / m.scaleGroup) * kPanelRows * scaleBytes(m), lane);
      const float min = m.hasMin ? loadScale(m, scales + size_t(halves) * kPanelRows * scaleBytes(m), lane) : 0.0f;
      out[k] = scale * float(code - m.zero) + min;
    }
  }
}

} // namespace dyn
