// SPDX-License-Identifier: Apache-2.0
// Speed of the matrix and attention kernels alone, one thread, one JSON line per case.   kernel-bench [isa] [products|attention]
#include "../src/kernels/kernels.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

using namespace dyn;

namespace {

// CPU time of this thread: what else the machine does counts less.
double nowMs() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) * 1e3 + double(t.tv_nsec) / 1e6;
}

void bench(const Kernels& kernels, TensorType type, const char* typeName, int n, int k, int rows) {
  PackedMatrix w = describePacked(type, n, k, false, kernels.fixedPoint);
  std::vector<uint8_t> source(sourceRowBytes(type, k) * size_t(n));
  for (uint8_t& b : source) b = uint8_t(rand() & 0x3f);
  const bool plain = type == TensorType::F32 || type == TensorType::BF16;
  for (size_t i = 0; plain && i < source.size(); i += type == TensorType::F32 ? 4 : 2) { // about 1/2: random bits would be denormals
    const uint16_t half = uint16_t(0x3f00 | (rand() & 0x7f));
    std::memcpy(&source[i + (type == TensorType::F32 ? 2 : 0)], &half, 2);
  }
  // Enough copies that weights come from memory the way a whole model's do (about 96 MiB).
  const int copies = int((96u << 20) / w.bytes()) + 1;
  std::vector<uint8_t*> data;
  for (int c = 0; c < copies; c++) {
    w.data = static_cast<uint8_t*>(aligned_alloc(64, (w.bytes() + 63) / 64 * 64));
    for (int p = 0; p < w.panels(); p++) packPanel(source.data(), type, nullptr, p, w);
    data.push_back(w.data);
  }
  Activations x{w.type, k, kernels.activationRowBytes(w.type, k), nullptr, rows};
  x.data = static_cast<uint8_t*>(aligned_alloc(64, x.rowBytes * activationRows(size_t(rows))));
  std::vector<float> values(size_t(rows) * size_t(k), 0.5f), out(size_t(rows) * size_t(w.panels()) * 16);
  kernels.prepareRows(values.data(), size_t(k), rows, x, 0);
  double best = 1e30;
  for (int round = 0; round < 5; round++) {
    const double began = nowMs();
    for (int c = 0; c < copies; c++) {
      w.data = data[size_t(c)];
      for (int row = 0; row < rows; row += kernels.rowTile)
        for (int panel = 0; panel < w.panels(); panel += 16)
          kernels.gemm(w, x, panel, panel + 16 < w.panels() ? panel + 16 : w.panels(), row, row + kernels.rowTile < rows ? row + kernels.rowTile : rows, out.data(), size_t(w.panels()) * 16, nullptr, Store::Set);
    }
    const double ms = nowMs() - began;
    best = ms < best ? ms : best;
  }
  const double operations = 2.0 * n * k * rows * copies;
  std::printf("{\"isa\":\"%s\",\"type\":\"%s\",\"n\":%d,\"k\":%d,\"rows\":%d,\"gops\":%.1f,\"weightGBs\":%.1f}\n", kernels.name, typeName, n, k, rows,
              operations / best / 1e6, double(w.bytes()) * copies / best / 1e6);
  for (uint8_t* d : data) free(d);
  free(x.data);
}

// Attention of `rows` new tokens of each of 16 sequences of `context` tokens, blocks as far apart as in a model of 30 layers
// with 3 KV heads, one of which is computed for each sequence in turn.
void benchAttention(const Kernels& kernels, KvPrecision precision, int rows, int context) {
  constexpr int dim = 64, group = 3, sequences = 16, heads = 3, layers = 10;
  const size_t headBytes = kernels.kvHeadBytes(dim, precision), blockBytes = headBytes * heads * 30;
  const int blocks = kvBlocksOf(context);
  std::vector<uint8_t> memory(blockBytes * size_t(blocks) * sequences + 63);
  uint8_t* kv = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  std::vector<float> token(2 * dim);
  for (size_t i = 0; i < token.size(); i++) token[i] = float(i * 7919 % 1024) / 512 - 1;
  for (int block = 0; block < blocks * sequences; block++)
    for (int head = 0; head < layers * heads; head++)
      for (int slot = 0; slot < kKvBlock; slot++) kernels.writeKv(kv + size_t(block) * blockBytes + size_t(head) * headBytes, slot, token.data(), token.data() + dim, dim, precision);
  std::vector<uint32_t> table(size_t(blocks) * sequences);
  for (size_t i = 0; i < table.size(); i++) table[i] = uint32_t(i);
  std::vector<float> q(size_t(rows) * group * dim, 0.1f), out(q.size());
  double best = 1e30;
  for (int round = 0; round < 5; round++) {
    const double began = nowMs();
    for (int layer = 0; layer < layers; layer++)
      for (int s = 0; s < sequences; s++)
        for (int head = 0; head < heads; head++) {
          const int nextHead = (head + 1) % heads, of = nextHead > 0 ? s : (s + 1) % sequences;
          const KvRun next = {kv + size_t(layer * heads + nextHead) * headBytes, table.data() + of * blocks, blocks < kBlocksPerPartition ? blocks : kBlocksPerPartition};
          kernels.attention({q.data(), group * dim, out.data(), group * dim, rows, context - rows, group, dim, 0.125f, table.data() + s * blocks,
                             kv + size_t(layer * heads + head) * headBytes, blockBytes, next}, precision);
        }
    const double ms = nowMs() - began;
    best = ms < best ? ms : best;
  }
  const double jobs = double(layers) * sequences * heads;
  std::printf("{\"isa\":\"%s\",\"attention\":%d,\"kvBytes\":%zu,\"rows\":%d,\"gflops\":%.1f,\"kvGBs\":%.1f}\n", kernels.name, context, headBytes, rows,
              jobs * rows * group * (context - rows / 2.0) * dim * 4 / best / 1e6, jobs * blocks * double(headBytes) / best / 1e6);
}

} // namespace

int main(int argc, char** argv) {
  const Kernels* kernels = selectKernels(argc > 1 ? argv[1] : nullptr);
  if (!kernels) return std::fprintf(stderr, "this CPU cannot run %s\n", argv[1]), 1;
  const char* part = argc > 2 ? argv[2] : "";
  if (std::strcmp(part, "products") != 0)
    for (int rows : {1, 16, 64})
      for (int context : {512, 2048})
        for (KvPrecision precision : {KvPrecision::Half, KvPrecision::Byte}) benchAttention(*kernels, precision, rows, context);
  if (std::strcmp(part, "attention") == 0) return 0;
  const struct { TensorType type; const char* name; } types[] = {{TensorType::Q4_1, "Q4_1"}, {TensorType::Q8_0, "Q8_0"}, {TensorType::BF16, "BF16"}, {TensorType::F32, "F32"}};
  for (auto [type, name] : types)
    for (int rows : {1, 4, 8, 16, 64, 512}) bench(*kernels, type, name, 1536, 576, rows);
}
