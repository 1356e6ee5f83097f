// SPDX-License-Identifier: Apache-2.0
// Every usable kernel table against plain double-precision arithmetic, and against itself in other tiles, bit by bit.
#include "../src/kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace dyn;

namespace {

int failures = 0, checks = 0;
std::mt19937 rng(20261121);

void expect(bool ok, const std::string& what) {
  checks++;
  if (ok) return;
  failures++;
  std::printf("FAILED %s\n", what.c_str());
}

float normal() { return std::normal_distribution<float>(0, 1)(rng); }

const struct { TensorType type; const char* name; } kTypes[] = {
    {TensorType::F32, "F32"}, {TensorType::F16, "F16"}, {TensorType::BF16, "BF16"}, {TensorType::Q4_0, "Q4_0"}, {TensorType::Q4_1, "Q4_1"}, {TensorType::Q5_0, "Q5_0"},
    {TensorType::Q5_1, "Q5_1"}, {TensorType::Q8_0, "Q8_0"}, {TensorType::Q4_K, "Q4_K"}, {TensorType::Q5_K, "Q5_K"}, {TensorType::Q6_K, "Q6_K"}};

// Random rows of a type; every f16 scale is made small and finite.
std::vector<uint8_t> randomSource(TensorType type, int rows, int cols) {
  std::vector<uint8_t> bytes(sourceRowBytes(type, cols) * size_t(rows));
  const bool plain = type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16;
  if (plain) {
    for (size_t i = 0; i < size_t(rows) * size_t(cols); i++) {
      const float value = normal() * 0.05f;
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      const uint16_t half = floatToHalf(value), brain = uint16_t(bits >> 16);
      if (type == TensorType::F32) std::memcpy(&bytes[i * 4], &value, 4);
      else std::memcpy(&bytes[i * 2], type == TensorType::F16 ? &half : &brain, 2);
    }
    return bytes;
  }
  for (uint8_t& b : bytes) b = uint8_t(rng());
  struct { size_t block, scales[2]; int count; } layout{};
  switch (type) {
    case TensorType::Q4_0: layout = {18, {0, 0}, 1}; break;
    case TensorType::Q4_1: layout = {20, {0, 2}, 2}; break;
    case TensorType::Q5_0: layout = {22, {0, 0}, 1}; break;
    case TensorType::Q5_1: layout = {24, {0, 2}, 2}; break;
    case TensorType::Q8_0: layout = {34, {0, 0}, 1}; break;
    case TensorType::Q4_K: layout = {144, {0, 2}, 2}; break;
    case TensorType::Q5_K: layout = {176, {0, 2}, 2}; break;
    default: layout = {210, {208, 0}, 1}; break;
  }
  for (size_t at = 0; at < bytes.size(); at += layout.block)
    for (int i = 0; i < layout.count; i++) {
      const uint16_t half = floatToHalf(normal() * 0.01f);
      std::memcpy(&bytes[at + layout.scales[i]], &half, 2);
    }
  return bytes;
}

struct Aligned {
  explicit Aligned(size_t bytes) : data(static_cast<uint8_t*>(aligned_alloc(64, (bytes + 63) / 64 * 64 + 64))) { std::memset(data, 0, (bytes + 63) / 64 * 64 + 64); }
  ~Aligned() { free(data); }
  Aligned(const Aligned&) = delete;
  uint8_t* data;
};

std::vector<float> multiply(const Kernels& kernels, const PackedMatrix& w, const std::vector<float>& x, int rows, int tile, const float* bias, Store store, int panels = 1) {
  Activations a{w.type, w.cols, kernels.activationRowBytes(w.type, w.cols), nullptr, std::min(rows, tile)}; // as if in steps of so many
  Aligned memory(a.rowBytes * activationRows(size_t(rows)));
  a.data = memory.data;
  kernels.prepareRows(x.data(), size_t(w.cols), rows, a, 0);
  const size_t stride = size_t(w.panels()) * kPanelRows;
  std::vector<float> out(size_t(rows) * stride, 1.0f);
  for (int row = 0; row < rows; row += tile)
    for (int panel = 0; panel < w.panels(); panel += panels)
      kernels.gemm(w, a, panel, std::min(w.panels(), panel + panels), row, std::min(rows, row + tile), out.data(), stride, bias, store);
  return out;
}

void testMatrices(const Kernels& kernels, int cols) {
  for (auto [type, name] : kTypes) {
    const std::string who = std::string(kernels.name) + " " + name + " of " + std::to_string(cols) + " columns";
    const int rows = 41, xs = 33; // 41: the last panel is not full
    if (sourceRowBytes(type, cols) == 0) continue;
    const std::vector<uint8_t> source = randomSource(type, rows, cols);
    PackedMatrix w = describePacked(type, rows, cols, false, kernels.fixedPoint);
    Aligned memory(w.bytes());
    w.data = memory.data;
    for (int p = 0; p < w.panels(); p++) packPanel(source.data(), type, nullptr, p, w);
    std::vector<float> dense(size_t(rows) * cols), row(cols);
    dequantise(type, source.data(), dense.size(), dense.data());
    for (int r = 0; r < rows; r++) {
      unpackRow(w, r, row.data());
      if (!w.fixedPoint) expect(std::memcmp(row.data(), &dense[size_t(r) * cols], cols * 4) == 0, who + ": unpackRow differs from dequantise in row " + std::to_string(r));
      // Half a unit of a scale for each of 8 steps between codes, and half a unit, or three halves for 8 bits, which a code that
      // does not occur may make twice as large as the largest weight says. It is what the product is made with from here on.
      const float most = std::fabs(*std::max_element(row.begin(), row.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
      bool isClose = true;
      for (int k = 0; k < cols; k++) isClose &= std::fabs(row[size_t(k)] - dense[size_t(r) * cols + k]) <= (w.type == PackedType::U4 ? 17 : 3) / kLargestFixed * most;
      expect(isClose, who + ": unpackRow is off in row " + std::to_string(r));
      if (w.fixedPoint) std::memcpy(&dense[size_t(r) * cols], row.data(), size_t(cols) * 4);
    }
    std::vector<float> x(size_t(xs) * cols), bias(size_t(w.panels()) * kPanelRows);
    for (float& v : x) v = normal();
    for (float& v : bias) v = normal();
    const std::vector<float> got = multiply(kernels, w, x, xs, xs, bias.data(), Store::Add);
    // bf16 activations carry 8 bits; the others are exact but for f32 sums.
    const double tolerance = type == TensorType::BF16 ? 6e-3 : 3e-5;
    double worst = 0;
    for (int r = 0; r < xs; r++)
      for (int n = 0; n < rows; n++) {
        double sum = 0, magnitude = 1e-9;
        for (int k = 0; k < cols; k++) {
          const double product = double(dense[size_t(n) * cols + k]) * x[size_t(r) * cols + k];
          sum += product;
          magnitude += std::fabs(product);
        }
        worst = std::max(worst, std::fabs(got[size_t(r) * w.panels() * 16 + n] - (sum + bias[n] + 1.0)) / (magnitude + 2));
      }
    expect(worst < tolerance, who + ": product is off by " + std::to_string(worst));
    expect(multiply(kernels, w, x, xs, xs, bias.data(), Store::Add, 3) == got, who + ": panels together give other bits");
    for (int tile : {1, 2, 3, 5, 8, 24, 32})
      expect(multiply(kernels, w, x, xs, tile, bias.data(), Store::Add) == got, who + ": rows in tiles of " + std::to_string(tile) + " give other bits");
  }
  expect(describePacked(TensorType::Q4_0, 16, 48, false).panelBytes == 0, "48 columns of Q4_0 are accepted");
}

// Sums as large as they get, of so many columns as fixed point takes: all weights are the largest, all activations but one the
// code of which both bytes are largest, or the lower one lowest.
void testLargest(const Kernels& kernels, int code) {
  const int cols = kFixedColumns, xs = 17;
  const struct { TensorType type; const char* name; uint8_t byte; } kinds[] = {{TensorType::Q4_0, "Q4_0", 0x00}, {TensorType::Q8_0, "Q8_0", 0x80}};
  for (auto [type, name, byte] : kinds) {
    const std::string who = std::string(kernels.name) + " " + name + ", the largest weights, activations " + std::to_string(code);
    std::vector<uint8_t> source(sourceRowBytes(type, cols) * kPanelRows, byte);
    const uint16_t sixteenth = 0x2c00;
    for (size_t at = 0; at < source.size(); at += sourceRowBytes(type, kQuantGroup)) std::memcpy(&source[at], &sixteenth, 2);
    PackedMatrix w = describePacked(type, kPanelRows, cols, false, kernels.fixedPoint);
    Aligned memory(w.bytes());
    w.data = memory.data;
    packPanel(source.data(), type, nullptr, 0, w);
    std::vector<float> x(size_t(xs) * cols, float(code) / (126 * 256)), row(cols);
    for (int r = 0; r < xs; r++) x[size_t(r) * cols] = 1;
    unpackRow(w, 0, row.data());
    double sum = 0;
    for (int k = 0; k < cols; k++) sum += double(row[size_t(k)]) * x[size_t(k)];
    const std::vector<float> got = multiply(kernels, w, x, xs, xs, nullptr, Store::Set);
    expect(std::fabs(got[0] / sum - 1) < 4e-5, who + ": product is " + std::to_string(got[0]) + " instead of " + std::to_string(sum));
    expect(multiply(kernels, w, x, xs, 1, nullptr, Store::Set) == got, who + ": one row alone gives other bits");
  }
}

void testRows(const Kernels& kernels) {
  const int n = 144;
  std::vector<float> x(n), w(n), y(n);
  for (int i = 0; i < n; i++) x[i] = normal() * 3, w[i] = normal();
  kernels.rmsNorm(x.data(), w.data(), 1e-5f, n, y.data());
  double squares = 0;
  for (float v : x) squares += double(v) * v;
  for (int i = 0; i < n; i++) expect(std::fabs(y[i] - x[i] / std::sqrt(squares / n + 1e-5) * w[i]) < 1e-5, std::string(kernels.name) + ": rmsNorm");
  std::vector<float> gate = x;
  gate[0] = -200, gate[1] = 200;
  const std::vector<float> before = gate;
  kernels.siluMul(gate.data(), w.data(), n, gate.data());
  for (int i = 0; i < n; i++) {
    const double expected = before[i] / (1 + std::exp(-double(before[i]))) * w[i];
    expect(std::fabs(gate[i] - expected) <= 2e-6 * (std::fabs(expected) + 1), std::string(kernels.name) + ": siluMul");
  }
  for (int dim : {16, 48, 64, 128}) {
    std::vector<float> head(dim), cosSin(dim);
    for (float& v : head) v = normal();
    for (int i = 0; i < dim / 2; i++) cosSin[i] = std::cos(float(i)), cosSin[dim / 2 + i] = std::sin(float(i));
    std::vector<float> rotated = head;
    kernels.rope(rotated.data(), dim, cosSin.data());
    for (int i = 0; i < dim / 2; i++) {
      const double a = head[i], b = head[dim / 2 + i], c = cosSin[i], s = cosSin[dim / 2 + i];
      expect(std::fabs(rotated[i] - (a * c - b * s)) < 1e-5 && std::fabs(rotated[dim / 2 + i] - (b * c + a * s)) < 1e-5, std::string(kernels.name) + ": rope");
    }
  }
}

// x times an orthonormal Hadamard matrix, chunk by chunk.
void rotate(float* x, int dim) {
  const int chunk = dim & -dim;
  for (int apart = 1; apart < chunk; apart *= 2)
    for (int d = 0; d < dim; d++)
      if (!(d & apart)) {
        const float a = x[d], b = x[d + apart];
        x[d] = (a + b) * std::sqrt(0.5f);
        x[d + apart] = (a - b) * std::sqrt(0.5f);
      }
}

// How far one query's attention to the first tokens is off at most.
double attentionError(const float* out, const float* q, const std::vector<float>& keys, const std::vector<float>& values, size_t tokens, int dim, float scale) {
  std::vector<double> p(tokens);
  double top = -1e30, total = 0, worst = 0;
  for (size_t t = 0; t < tokens; t++) {
    for (int d = 0; d < dim; d++) p[t] += double(q[d]) * keys[t * size_t(dim) + size_t(d)];
    top = std::max(top, p[t] *= scale);
  }
  for (double& x : p) total += x = std::exp(x - top);
  for (int d = 0; d < dim; d++) {
    double sum = 0;
    for (size_t t = 0; t < tokens; t++) sum += p[t] / total * values[t * size_t(dim) + size_t(d)];
    const double error = std::fabs(out[d] - sum);
    worst = error <= worst ? worst : error; // NaN stays
  }
  return worst;
}

// Keys of which one dimension has far more than the others, as those of some models, and queries that have little of it.
void testOutlier(const Kernels& kernels, int dim) {
  const size_t blockBytes = kernels.kvHeadBytes(dim, KvPrecision::Half);
  Aligned kv(blockBytes);
  std::memset(kv.data, 0, blockBytes);
  std::vector<float> keys(size_t(kKvBlock) * dim), values(keys.size()), q(static_cast<size_t>(dim)), out(q.size());
  for (std::vector<float>* all : {&keys, &values, &q})
    for (float& x : *all) x = normal();
  for (int t = 0; t < kKvBlock; t++) keys[size_t(t) * dim + 5] = 400 + normal();
  q[5] = 0.01f;
  for (int t = 0; t < kKvBlock; t++) kernels.writeKv(kv.data, t, &keys[size_t(t) * dim], &values[size_t(t) * dim], dim, KvPrecision::Half);
  const uint32_t block = 0;
  const float scale = 1 / std::sqrt(float(dim));
  kernels.attention({q.data(), size_t(dim), out.data(), size_t(dim), 1, kKvBlock - 1, 1, dim, scale, &block, kv.data, blockBytes}, KvPrecision::Half);
  const double worst = attentionError(out.data(), q.data(), keys, values, kKvBlock, dim, scale);
  expect(worst < 0.012, std::string(kernels.name) + " attention with an outlier, dim " + std::to_string(dim) + ", is off by " + std::to_string(worst));
}

// The last `rows` of so many tokens.
void testAttention(const Kernels& kernels, int dim, int group, KvPrecision precision, int tokens, int rows) {
  const bool kvF32 = precision == KvPrecision::F32;
  const std::string who = std::string(kernels.name) + " attention dim " + std::to_string(dim) + " group " + std::to_string(group) + (kvF32 ? " f32" : precision == KvPrecision::Byte ? " bytes" : "") + " of " + std::to_string(tokens);
  const int blocks = kvBlocksOf(tokens), position = tokens - rows;
  const size_t blockBytes = kernels.kvHeadBytes(dim, precision);
  Aligned kv(blockBytes * size_t(blocks + 2));
  // Garbage where no token is: another sequence's numbers, even NaN, must not matter.
  if (kvF32) {
    for (size_t i = 0; i < blockBytes * size_t(blocks + 2) / 4; i++) reinterpret_cast<float*>(kv.data)[i] = std::numeric_limits<float>::quiet_NaN();
  } else {
    std::memset(kv.data, 0xff, blockBytes * size_t(blocks + 2)); // NaN in f16 and f32
  }
  std::vector<uint32_t> table(static_cast<size_t>(blocks)); // backwards, two blocks are somebody else's
  for (int b = 0; b < blocks; b++) table[size_t(b)] = uint32_t(blocks + 1 - b);
  std::vector<float> keys(size_t(tokens) * dim), values(keys.size());
  // Numbers that the storage keeps as they are.
  const bool isFixed = blockBytes != kvHeadBytes(dim, precision);
  for (std::vector<float>* all : {&keys, &values})
    for (size_t t = 0; t < all->size(); t += size_t(dim)) {
      float* one = all->data() + t;
      float most = 0;
      for (int d = 0; d < dim; d++) {
        one[d] = kvF32 || isFixed ? normal() : halfToFloat(floatToHalf(normal()));
        most = std::max(most, std::fabs(one[d]));
      }
      const float units = precision == KvPrecision::Byte ? 127 : 2039;
      for (int d = 0; isFixed && d < dim; d++) one[d] = std::nearbyint(one[d] * (units / most)) * (most / units);
      if (isFixed && (all == &keys || precision == KvPrecision::Byte)) rotate(one, dim); // and back, when they are written
    }
  for (int t = 0; t < tokens; t++) kernels.writeKv(kv.data + table[t / kKvBlock] * blockBytes, t % kKvBlock, &keys[size_t(t) * dim], &values[size_t(t) * dim], dim, precision);
  const size_t stride = size_t(group) * dim;
  std::vector<float> q(size_t(rows) * stride), out(q.size());
  for (float& v : q) v = normal();
  const float scale = 1 / std::sqrt(float(dim));
  // What follows is asked for meanwhile and must not matter: here the context once more.
  const KvRun next{kv.data, table.data(), std::min(blocks, kBlocksPerPartition)};
  AttentionJob job{q.data(), stride, out.data(), stride, rows, position, group, dim, scale, table.data(), kv.data, blockBytes, next};
  kernels.attention(job, precision);
  double worst = 0;
  for (int r = 0; r < rows; r++)
    for (int h = 0; h < group; h++) {
      const size_t at = size_t(r) * stride + size_t(h) * dim;
      const double error = attentionError(&out[at], &q[at], keys, values, size_t(position + r + 1), dim, scale);
      worst = error <= worst ? worst : error; // NaN stays
    }
  expect(worst < (isFixed ? 4e-4 : 1e-5), who + " is off by " + std::to_string(worst));
  for (int tile : {1, 7, 16}) {
    std::vector<float> pieces(out.size());
    for (int row = 0; row < rows; row += tile) {
      AttentionJob piece = job;
      piece.q = q.data() + size_t(row) * stride;
      piece.out = pieces.data() + size_t(row) * stride;
      piece.rows = std::min(tile, rows - row);
      piece.position = position + row;
      kernels.attention(piece, precision);
    }
    expect(pieces == out, who + " in pieces of " + std::to_string(tile) + " gives other bits");
  }
  const int partitions = (tokens + kKvPartition - 1) / kKvPartition;
  const size_t floats = attentionStateFloats(dim), apart = size_t(rows * group) * floats;
  std::vector<float> states(size_t(partitions) * apart), parts(out.size());
  for (int p = partitions - 1; p >= 0; p--) kernels.attentionPartition(job, p, &states[size_t(p) * apart], precision);
  for (int i = 0; i < rows * group; i++) kernels.mergeAttention(&states[size_t(i) * floats], apart, partitions, dim, &parts[size_t(i) * size_t(dim)]);
  expect(parts == out, who + " in partitions gives other bits");
}

} // namespace

int main() {
  for (const char* name : {"portable", "avx2", "avx512", "amx"}) {
    const Kernels* kernels = selectKernels(name);
    if (!kernels) {
      std::printf("not tested here, this CPU cannot run it: %s\n", name);
      continue;
    }
    for (int cols : {512, 544, 2080}) testMatrices(*kernels, cols); // an odd number of groups, more than 32 bits hold the sums of
    for (int code : {125 * 256 + 127, 125 * 256 + 128}) testLargest(*kernels, code);
    testRows(*kernels);
    for (KvPrecision precision : {KvPrecision::F32, KvPrecision::Half, KvPrecision::Byte}) {
      for (int dim : {16, 64, 96, 128, 256})
        for (int group : {1, 2, 3, 8}) testAttention(*kernels, dim, group, precision, 107, 40);
      for (int dim : {64, 128}) testAttention(*kernels, dim, 3, precision, 1047, 40); // rows on both sides of a partition's end
      if (precision != KvPrecision::F32) testAttention(*kernels, 64, 3, precision, 32768, 2);
    }
    for (int dim : {64, 128}) testOutlier(*kernels, dim);
  }
  std::printf("kernels: %d checks, %d failures\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
