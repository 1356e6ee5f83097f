// SPDX-License-Identifier: Apache-2.0
// Where the time of whole steps goes: random weights in the shape of SmolLM2-135M, no model file and no Node needed.
//   forward-bench ISA THREADS ROUNDS q4|q8|bf16 CELL...   CELL: pp:ROWS, or dec:BATCH:CONTEXT (16 steps)
// Prints tok/s of every cell, median (least..most), and of its last round the ms that threads spent in each kernel; what is
// missing to threads x wall is waiting. Cells of several builds in turn, on cores of one's own, compare; single runs do not.
#include "../src/forward.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace dyn;

namespace {

constexpr int kHidden = 576, kFfn = 1536, kKv = 192, kVocabulary = 49152;

double nowMs() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

enum Part { Norm, Prepare, Qkvo, Gate, Down, Head, Silu, WriteKv, Attention, Parts };
constexpr const char* kNames[Parts] = {"norms", "preparing rows", "q k v o", "gate up", "down", "head", "SiLU", "writing KV", "attention"};

// The kernels that are measured, and the ns spent in them. A table holds plain functions, so these are globals.
const Kernels* measured;
std::atomic<int64_t> spent[Parts];

struct Timed {
  const Part part;
  const std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  ~Timed() { spent[part].fetch_add((std::chrono::steady_clock::now() - began).count(), std::memory_order_relaxed); }
};

Kernels timedKernels() {
  Kernels timed = *measured;
  timed.prepareRows = [](const float* x, size_t stride, int rows, Activations& out, int firstRow) {
    const Timed t{Prepare};
    measured->prepareRows(x, stride, rows, out, firstRow);
  };
  timed.gemm = [](const PackedMatrix& w, const Activations& x, int panel0, int panel1, int row0, int row1, float* out, size_t stride, const float* bias, Store store) {
    const Timed t{w.cols == kFfn ? Down : w.rows == kFfn ? Gate : w.rows == kVocabulary ? Head : Qkvo};
    measured->gemm(w, x, panel0, panel1, row0, row1, out, stride, bias, store);
  };
  timed.rmsNorm = [](const float* x, const float* weight, float eps, int n, float* y) {
    const Timed t{Norm};
    measured->rmsNorm(x, weight, eps, n, y);
  };
  timed.siluMul = [](const float* gate, const float* up, int n, float* out) {
    const Timed t{Silu};
    measured->siluMul(gate, up, n, out);
  };
  timed.writeKv = [](uint8_t* head, int slot, const float* k, const float* v, int dim, KvPrecision precision) {
    const Timed t{WriteKv};
    measured->writeKv(head, slot, k, v, dim, precision);
  };
  timed.attention = [](const AttentionJob& job, KvPrecision precision) {
    const Timed t{Attention};
    measured->attention(job, precision);
  };
  timed.attentionPartition = [](const AttentionJob& job, int partition, float* states, KvPrecision precision) {
    const Timed t{Attention};
    measured->attentionPartition(job, partition, states, precision);
  };
  return timed;
}

// A file of so many random weights of a type, about as large as real ones.
std::string weightsFile(const char* name, TensorType type, int rows, int cols) {
  std::vector<uint8_t> bytes(sourceRowBytes(type, cols) * size_t(rows));
  for (uint8_t& b : bytes) b = uint8_t(rand());
  const auto put = [&](size_t at, float value) {
    const uint16_t half = floatToHalf(value);
    std::memcpy(&bytes[at], &half, 2);
  };
  if (type == TensorType::Q4_1)
    for (size_t at = 0; at < bytes.size(); at += 20) put(at, 0.01f), put(at + 2, -0.075f);
  if (type == TensorType::Q8_0)
    for (size_t at = 0; at < bytes.size(); at += 34) put(at, 0.0006f);
  if (type == TensorType::BF16)
    for (size_t at = 1; at < bytes.size(); at += 2) bytes[at] = uint8_t(0x3c | (rand() & 0x80));
  if (type == TensorType::F32)
    for (size_t at = 0; at < bytes.size(); at += 4) std::memcpy(&bytes[at], "\0\0\x80\x3f", 4); // norms: 1
  const std::string path = "/tmp/forward-bench-" + std::string(name) + "-" + std::to_string(getpid());
  FILE* file = std::fopen(path.c_str(), "wb");
  if (!file || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) std::exit((std::perror(path.c_str()), 1));
  std::fclose(file);
  return path;
}

constexpr int kRowsOfStep = 512, kSequences = 16, kBlocksOfSequence = 128, kDecodeSteps = 16;

void addShare(Step& step, int slot, int position, int rows, Share::Output output) {
  Share share{};
  share.slot = slot, share.position = position, share.rows = rows, share.output = output;
  share.firstRow = int(step.tokens.size()), share.firstBlock = step.blocks.size(), share.blocks = kBlocksOfSequence;
  for (int i = 0; i < rows; i++) step.tokens.push_back(uint32_t(1000 + (int64_t(position + i + slot * 31) * 7919 + 13) % 40000));
  for (int b = 0; b < kBlocksOfSequence; b++) step.blocks.push_back(uint32_t(slot * kBlocksOfSequence + b));
  step.shares.push_back(share);
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 6) return std::fprintf(stderr, "usage: forward-bench ISA THREADS ROUNDS q4|q8|bf16 pp:ROWS|dec:BATCH:CONTEXT...\n"), 2;
  measured = selectKernels(argv[1]);
  if (!measured) return std::fprintf(stderr, "this CPU cannot run %s\n", argv[1]), 1;
  const int threads = std::atoi(argv[2]), rounds = std::atoi(argv[3]);
  const std::string format = argv[4];
  const TensorType type = format == "q4" ? TensorType::Q4_1 : format == "q8" ? TensorType::Q8_0 : TensorType::BF16;
  const TensorType headType = type == TensorType::BF16 ? type : TensorType::Q8_0;
  ModelSpec spec{30, kHidden, 9, 3, 64, kFfn, kVocabulary, 8192, 1e-5f, true, false, false, {}};
  for (int i = 0; i < spec.headDim / 2; i++) spec.inverseFrequencies.push_back(float(std::pow(1e5, -2.0 * i / spec.headDim)));

  const std::string layers = weightsFile("layers", type, kFfn, kHidden), head = weightsFile("head", headType, kVocabulary, kHidden), norms = weightsFile("norms", TensorType::F32, 1, kHidden);
  std::vector<TensorSource> tensors;
  const auto add = [&](const std::string& name, const std::string& file, TensorType t, int rows, int cols) { tensors.push_back({name, file, 0, sourceRowBytes(t, cols) * size_t(rows), t, t, rows, cols, 0}); };
  add("embed", head, headType, kVocabulary, kHidden);
  add("finalNorm", norms, TensorType::F32, 1, kHidden);
  for (int i = 0; i < spec.numLayers; i++) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    for (const char* norm : {"attnNorm", "mlpNorm"}) add(layer + norm, norms, TensorType::F32, 1, kHidden);
    for (const char* name : {"q", "o"}) add(layer + name, layers, type, kHidden, kHidden);
    for (const char* name : {"k", "v"}) add(layer + name, layers, type, kKv, kHidden);
    for (const char* name : {"gate", "up"}) add(layer + name, layers, type, kFfn, kHidden);
    add(layer + "down", layers, type, kHidden, kFfn);
  }
  const std::atomic<bool> never{false};
  ThreadPool pool(threads);
  const Kernels timed = timedKernels();
  const Model model(spec, tensors, timed, false, pool, never);
  for (const std::string& file : {layers, head, norms}) unlink(file.c_str());
  KvPool kv(spec, timed, kSequences * kBlocksOfSequence, model.kvPrecision);
  Forward forward(model, kv, pool, kRowsOfStep, kSequences);

  const auto fill = [&](int slot, int tokens) {
    for (int from = 0; from < tokens; from += kRowsOfStep) {
      Step step;
      const int rows = std::min(kRowsOfStep, tokens - from);
      addShare(step, slot, from, rows, from + rows == tokens ? Share::Sample : Share::None);
      forward.run(step, never);
    }
  };
  const auto decode = [&](int batch, int context, int steps) {
    for (int i = 0; i < steps; i++) {
      Step step;
      for (int slot = 0; slot < batch; slot++) addShare(step, slot, context + i, 1, Share::Sample);
      forward.run(step, never);
    }
  };
  for (int a = 5; a < argc; a++) {
    std::vector<double> speeds;
    double wall = 0;
    int first = 0, context = 0, tokens = 0;
    const bool isDecode = std::sscanf(argv[a], "dec:%d:%d", &first, &context) == 2;
    if (!isDecode && std::sscanf(argv[a], "pp:%d", &first) != 1) return std::fprintf(stderr, "no cell: %s\n", argv[a]), 2;
    for (int slot = 0; isDecode && slot < first; slot++) fill(slot, context);
    for (int round = 0; round < rounds; round++) {
      if (isDecode) decode(first, context, 1);
      else fill(0, first);
      for (auto& ns : spent) ns = 0;
      const double began = nowMs();
      if (isDecode) decode(first, context + 1, kDecodeSteps), tokens = first * kDecodeSteps;
      else fill(0, first), tokens = first;
      wall = nowMs() - began;
      speeds.push_back(tokens / wall * 1e3);
    }
    std::sort(speeds.begin(), speeds.end());
    std::printf("%s %s: %.0f tok/s (%.0f..%.0f), wall %.2f ms:", measured->name, argv[a], speeds[speeds.size() / 2], speeds.front(), speeds.back(), wall);
    for (int part = 0; part < Parts; part++) std::printf("%s %s %.2f", part == 0 ? "" : ",", kNames[part], double(spent[part]) / 1e6);
    std::printf("\n");
  }
}
