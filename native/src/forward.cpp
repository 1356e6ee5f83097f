// SPDX-License-Identifier: Apache-2.0
#include "forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dyn {
namespace {

constexpr int kFewestAttentionRows = 16, kMostAttentionRows = 64; // query rows of one attention task
constexpr int kWholeContext = -1;
constexpr int kFewestRowsTogether = 128; // fewer are not worth preparing weights for, though each thread had rows of its own
constexpr int kRowsWorthAPhase = 8;      // fewer rows are faster done inline than handed out
// Chunks of a product for each thread. Few rows read weights in one go: one row of Q8_0 305 tok/s with 2 chunks, 277 with 6.
constexpr int kChunks = 6, kChunksOfFewRows = 2;
// Rows times threads up to which each thread prepares a product's rows for itself. Two cores of Zen 4, far from and near to each
// other: 4 rows take 0.90 and 0.97 of the time, 8 rows 0.92 and 1.01; 16 rows 0.95 and 1.01, more where products are faster.
constexpr int kPreparedByEach = 16;

} // namespace

Forward::Forward(const Model& model, KvPool& kv, ThreadPool& pool, int maxRows, int maxOutputs)
    : model_(model), kv_(kv), pool_(pool), maxRows_(maxRows), maxOutputs_(maxOutputs) {
  const ModelSpec& spec = model.spec;
  hiddenStride_ = padded(spec.hiddenSize);
  queryStride_ = padded(spec.queryDim());
  kvStride_ = padded(spec.kvDim());
  ffnStride_ = padded(spec.intermediateSize);
  logitsStride_ = padded(spec.vocabSize);
  const size_t rows = size_t(maxRows);
  x_ = floats(rows, hiddenStride_);
  normed_ = floats(std::max(rows, size_t(maxOutputs)), hiddenStride_);
  query_ = floats(rows, queryStride_);
  key_ = floats(rows, kvStride_);
  value_ = floats(rows, kvStride_);
  context_ = floats(rows, queryStride_);
  gate_ = floats(rows, ffnStride_);
  up_ = floats(rows, ffnStride_);
  cosSin_ = floats(rows, size_t(spec.headDim));
  size_t largest = 0; // bytes of a prepared row
  for (PackedType type : {PackedType::F32, PackedType::F16, PackedType::BF16, PackedType::U4, PackedType::U8})
    for (int cols : {spec.hiddenSize, spec.queryDim(), spec.intermediateSize}) largest = std::max(largest, model.kernels.activationRowBytes(type, cols));
  prepared_ = storage_.take(largest * activationRows(std::max(rows, size_t(maxOutputs))), "activations");
  for (int thread = 0; thread < pool.threads(); thread++) {
    uint8_t* bytes = storage_.take(largest * activationRows(size_t(kPreparedByEach / pool.threads())), "activations");
    own_.push_back({bytes, floats(1, std::max({hiddenStride_, queryStride_, ffnStride_}))});
  }
  const size_t logitsBytes = logitsStride_ * size_t(maxOutputs) * sizeof(float);
  std::shared_ptr<uint8_t> logits = allocateAligned(logitsBytes, "logits");
  std::memset(logits.get(), 0, logitsBytes);
  logits_ = std::shared_ptr<float>(logits, reinterpret_cast<float*>(logits.get()));
  rowPosition_.resize(rows);
  rowShare_.resize(rows);
}

float* Forward::floats(size_t rows, size_t stride) {
  const size_t bytes = rows * stride * sizeof(float);
  return reinterpret_cast<float*>(std::memset(storage_.take(bytes, "activations"), 0, bytes));
}

template <class Work>
void Forward::forRows(int rows, const Work& work) {
  if (rows < kRowsWorthAPhase) {
    for (int row = 0; row < rows; row++) work(row);
    return;
  }
  const int perChunk = std::max(1, rows / (pool_.threads() * 4));
  // From the last row on, here and everywhere: so each thread has the same rows in all phases, and attention ends with small tasks.
  pool_.run((rows + perChunk - 1) / perChunk, [&](int chunk) {
    const int end = rows - chunk * perChunk;
    for (int row = std::max(0, end - perChunk); row < end; row++) work(row);
  });
}

// Several matrices of one type times the same activations, cut into chunks of row tiles x panel groups, of many rows a tile for
// each thread. A row of the activations is rowOf(row, room): where it lies in f32, made in `room` if it has to be made, which is
// null where all threads share what is made.
template <class RowOf>
void Forward::multiply(const Product* products, int count, int rows, const RowOf& rowOf) {
  const Kernels& kernels = model_.kernels;
  const PackedMatrix& w = *products[0].w;
  Activations shared{w.type, w.cols, kernels.activationRowBytes(w.type, w.cols), prepared_, rows};
  // What one core wrote and others read takes each of them a while, and so does writing it again. A few rows each thread prepares
  // sooner than it gets them from another one, and no phase of their own is waited for.
  const bool each = rows * pool_.threads() <= kPreparedByEach && !adapted_;
  if (!each) forRows(rows, [&](int row) { kernels.prepareRows(rowOf(row, nullptr), 0, 1, shared, row); });
  product_++;
  const auto preparedBy = [&](OwnRows& own) {
    Activations x = shared;
    x.data = own.prepared;
    if (own.product == product_) return x;
    for (int row = 0; row < rows; row++) kernels.prepareRows(rowOf(row, own.row), 0, 1, x, row);
    own.product = product_;
    return x;
  };

  const int share = (rows + pool_.threads() - 1) / pool_.threads();
  const int rowTile = std::min(kernels.rowTile, std::max(kFewestRowsTogether, (share + 31) / 32 * 32)), rowTiles = (rows + rowTile - 1) / rowTile;
  int totalPanels = 0;
  for (int i = 0; i < count; i++) totalPanels += products[i].w->panels();
  const int perChunk = std::max(1, std::min(16, totalPanels * rowTiles / (pool_.threads() * (rows < kRowsWorthAPhase ? kChunksOfFewRows : kChunks))));
  int groups[3], totalGroups = 0;
  for (int i = 0; i < count; i++) totalGroups += groups[i] = (products[i].w->panels() + perChunk - 1) / perChunk;
  pool_.run(totalGroups * rowTiles, [&](int chunk, int thread) {
    const int row0 = (rowTiles - 1 - chunk / totalGroups) * rowTile, row1 = std::min(rows, row0 + rowTile);
    int group = chunk % totalGroups, i = 0;
    while (group >= groups[i]) group -= groups[i++];
    const Product& p = products[i];
    const int panel0 = group * perChunk, panel1 = std::min(p.w->panels(), panel0 + perChunk);
    kernels.gemm(*p.w, each ? preparedBy(own_[size_t(thread)]) : shared, panel0, panel1, row0, row1, p.out, p.stride, p.bias, p.store);
  });
}

void Forward::embed(const Step& step) {
  const ModelSpec& spec = model_.spec;
  for (size_t s = 0; s < step.shares.size(); s++) {
    const Share& share = step.shares[s];
    for (int r = 0; r < share.rows; r++) {
      rowPosition_[size_t(share.firstRow + r)] = share.position + r;
      rowShare_[size_t(share.firstRow + r)] = int(s);
    }
  }
  const int half = spec.headDim / 2;
  forRows(int(step.tokens.size()), [&](int row) {
    unpackRow(model_.embed, int(step.tokens[size_t(row)]), x_ + size_t(row) * hiddenStride_);
    float* cosSin = cosSin_ + size_t(row) * size_t(spec.headDim);
    for (int i = 0; i < half; i++) {
      const double angle = double(float(rowPosition_[size_t(row)]) * spec.inverseFrequencies[size_t(i)]);
      cosSin[i] = float(std::cos(angle));
      cosSin[half + i] = float(std::sin(angle));
    }
  });
}

bool Forward::run(const Step& step, const std::atomic<bool>& cancel) {
  const int rows = int(step.tokens.size());
  adapted_ = std::any_of(step.shares.begin(), step.shares.end(), [](const Share& share) { return share.adapter != nullptr; });
  embed(step);
  planAttention(step);
  for (size_t i = 0; i < model_.layers.size(); i++) {
    if (cancel.load(std::memory_order_relaxed)) return false;
    attentionBlock(model_.layers[i], int(i), step, rows);
    mlpBlock(model_.layers[i], int(i), step, rows);
  }
  if (cancel.load(std::memory_order_relaxed)) return false;
  head(step);
  keepHidden(step);
  return true;
}

float* Forward::normedRow(int row, const float* norm, float* to) const {
  model_.kernels.rmsNorm(x_ + size_t(row) * hiddenStride_, norm, model_.spec.rmsNormEps, model_.spec.hiddenSize, to);
  return to;
}

// K-quant checkpoints mix types inside a layer: matrices of another type need their own activations.
void Forward::multiplyNormed(const Product* products, int count, const float* norm, int rows) {
  int from = 0;
  while (from < count) {
    int to = from + 1;
    while (to < count && products[to].w->type == products[from].w->type) to++;
    multiply(products + from, to - from, rows, [&](int row, float* room) { return normedRow(row, norm, room ? room : normed_ + size_t(row) * hiddenStride_); });
    from = to;
  }
}

void Forward::attentionBlock(const Layer& layer, int index, const Step& step, int rows) {
  const ModelSpec& spec = model_.spec;
  const Kernels& kernels = model_.kernels;
  const int dim = spec.headDim;

  const Product qkv[3] = {{&layer.q, query_, queryStride_, layer.qBias, Store::Set},
                          {&layer.k, key_, kvStride_, layer.kBias, Store::Set},
                          {&layer.v, value_, kvStride_, layer.vBias, Store::Set}};
  multiplyNormed(qkv, 3, layer.attnNorm, rows);
  addAdapters(step, index, Projection::Q, normed_, hiddenStride_, query_, queryStride_);
  addAdapters(step, index, Projection::K, normed_, hiddenStride_, key_, kvStride_);
  addAdapters(step, index, Projection::V, normed_, hiddenStride_, value_, kvStride_);

  forRows(rows, [&](int row) {
    const float* cosSin = cosSin_ + size_t(row) * size_t(dim);
    const int position = rowPosition_[size_t(row)];
    const Share& share = step.shares[size_t(rowShare_[size_t(row)])];
    float* q = query_ + size_t(row) * queryStride_;
    float* k = key_ + size_t(row) * kvStride_;
    for (int h = 0; h < spec.numHeads; h++) {
      if (layer.qNorm) kernels.rmsNorm(q + h * dim, layer.qNorm, spec.rmsNormEps, dim, q + h * dim);
      kernels.rope(q + h * dim, dim, cosSin);
    }
    const uint32_t block = step.blocks[share.firstBlock + size_t(position / kKvBlock)];
    for (int h = 0; h < spec.numKvHeads; h++) {
      if (layer.kNorm) kernels.rmsNorm(k + h * dim, layer.kNorm, spec.rmsNormEps, dim, k + h * dim);
      kernels.rope(k + h * dim, dim, cosSin);
      uint8_t* storage = kv_.head(index, h) + size_t(block) * kv_.blockBytes();
      kernels.writeKv(storage, position % kKvBlock, k + h * dim, value_ + size_t(row) * kvStride_ + size_t(h * dim), dim, model_.kvPrecision);
    }
  });

  attend(step, index);
  if (!states_.empty()) {
    forRows(rows, [&](int row) {
      const size_t share = size_t(rowShare_[size_t(row)]);
      if (splits_[share].partitions > 0) mergeSplit(step.shares[share], splits_[share], row);
    });
  }
  const Product o{&layer.o, x_, hiddenStride_, nullptr, Store::Add};
  multiply(&o, 1, rows, [&](int row, float*) { return context_ + size_t(row) * queryStride_; });
  addAdapters(step, index, Projection::O, context_, queryStride_, x_, hiddenStride_);
}

// Usually a task is some rows of a sequence and a KV head. When those are too few for the threads, long contexts are cut as
// well: the kernels compute them in partitions anyway, so the result is the same.
void Forward::planAttention(const Step& step) {
  const ModelSpec& spec = model_.spec;
  int rowsPerTask = kMostAttentionRows;
  const auto rowTasks = [&](const Share& share) { return (share.rows + rowsPerTask - 1) / rowsPerTask; };
  const auto isFew = [&] {
    int total = 0;
    for (const Share& share : step.shares) total += rowTasks(share) * spec.numKvHeads;
    return pool_.threads() > 1 && total < pool_.threads() * 4;
  };
  while (rowsPerTask > kFewestAttentionRows && isFew()) rowsPerTask /= 2;
  const bool few = isFew();
  tasks_.clear();
  splits_.assign(step.shares.size(), {});
  size_t states = 0;
  for (size_t s = 0; s < step.shares.size(); s++) {
    const Share& share = step.shares[s];
    const int partitions = (share.position + share.rows + kKvPartition - 1) / kKvPartition;
    if (few && rowTasks(share) == 1 && partitions > 1) {
      splits_[s] = {partitions, states};
      states += size_t(partitions) * size_t(share.rows) * size_t(spec.numHeads);
      for (int p = 0; p < partitions; p++)
        for (int h = 0; h < spec.numKvHeads; h++) tasks_.push_back({int(s), 0, share.rows, h, p});
      continue;
    }
    for (int row = 0; row < share.rows; row += rowsPerTask)
      for (int h = 0; h < spec.numKvHeads; h++) tasks_.push_back({int(s), row, std::min(rowsPerTask, share.rows - row), h, kWholeContext});
  }
  states_.resize(states * attentionStateFloats(spec.headDim));
}

void Forward::attend(const Step& step, int index) {
  const ModelSpec& spec = model_.spec;
  const int dim = spec.headDim, group = spec.numHeads / spec.numKvHeads;
  const float scale = 1.0f / std::sqrt(float(dim));
  const auto taskAt = [&](int t) -> const AttentionTask& { return tasks_[tasks_.size() - 1 - size_t(t)]; }; // the last rows see most, so the threads end together
  const auto runOf = [&](const AttentionTask& task) -> KvRun {
    const Share& share = step.shares[size_t(task.share)];
    const KvRun context{kv_.head(index, task.kvHead), step.blocks.data() + share.firstBlock};
    return context.partition(std::max(0, task.partition), share.position + task.row0 + task.rows);
  };
  pool_.run(int(tasks_.size()), [&](int t) {
    const AttentionTask& task = taskAt(t);
    const Share& share = step.shares[size_t(task.share)];
    const size_t row = size_t(share.firstRow + task.row0), head = size_t(task.kvHead * group * dim);
    const AttentionJob job{query_ + row * queryStride_ + head, queryStride_, context_ + row * queryStride_ + head, queryStride_,
                           task.rows, share.position + task.row0, group, dim, scale, step.blocks.data() + share.firstBlock,
                           kv_.head(index, task.kvHead), kv_.blockBytes(), t + 1 < int(tasks_.size()) ? runOf(taskAt(t + 1)) : KvRun{}};
    if (task.partition == kWholeContext) return model_.kernels.attention(job, model_.kvPrecision);
    const size_t state = splits_[size_t(task.share)].firstState + size_t((task.partition * spec.numKvHeads + task.kvHead) * share.rows * group);
    model_.kernels.attentionPartition(job, task.partition, states_.data() + state * attentionStateFloats(dim), model_.kvPrecision);
  });
}

// What attend() left of one row in parts, put together.
void Forward::mergeSplit(const Share& share, const Split& split, int row) {
  const ModelSpec& spec = model_.spec;
  const int dim = spec.headDim, group = spec.numHeads / spec.numKvHeads, local = row - share.firstRow;
  const size_t floats = attentionStateFloats(dim), stride = size_t(spec.numHeads * share.rows) * floats;
  for (int h = 0; h < spec.numHeads; h++) {
    const size_t state = split.firstState + size_t((h / group * share.rows + local) * group + h % group);
    model_.kernels.mergeAttention(states_.data() + state * floats, stride, split.partitions, dim, context_ + size_t(row) * queryStride_ + size_t(h * dim));
  }
}

void Forward::mlpBlock(const Layer& layer, int index, const Step& step, int rows) {
  const Product gateAndUp[2] = {{&layer.gate, gate_, ffnStride_, nullptr, Store::Set}, {&layer.up, up_, ffnStride_, nullptr, Store::Set}};
  multiplyNormed(gateAndUp, 2, layer.mlpNorm, rows);
  addAdapters(step, index, Projection::Gate, normed_, hiddenStride_, gate_, ffnStride_);
  addAdapters(step, index, Projection::Up, normed_, hiddenStride_, up_, ffnStride_);
  const Product down{&layer.down, x_, hiddenStride_, nullptr, Store::Add};
  multiply(&down, 1, rows, [&](int row, float* room) {
    float* gate = gate_ + size_t(row) * ffnStride_;
    float* activated = room ? room : gate;
    model_.kernels.siluMul(gate, up_ + size_t(row) * ffnStride_, int(ffnStride_), activated);
    return activated;
  });
  addAdapters(step, index, Projection::Down, gate_, ffnStride_, x_, hiddenStride_);
}

void Forward::head(const Step& step) {
  std::vector<int> rows;
  for (const Share& share : step.shares)
    for (int row = share.firstRow + share.rows - share.outputs(); row < share.firstRow + share.rows; row++) rows.push_back(row);
  headOf(rows.data(), int(rows.size()), logits());
}

void Forward::headOf(const int* rows, int count, float* logits) {
  if (count == 0) return;
  const Product product{&model_.head, logits, logitsStride_, nullptr, Store::Set};
  multiply(&product, 1, count, [&](int i, float* room) { return normedRow(rows[i], model_.finalNorm, room ? room : normed_ + size_t(i) * hiddenStride_); });
}

const float* Forward::scoreRows(const int* rows, int count) {
  if (!scores_) scores_ = floats(kScoreRows, logitsStride_);
  headOf(rows, count, scores_);
  return scores_;
}

void Forward::keepHidden(const Step& step) {
  const ModelSpec& spec = model_.spec;
  for (const Share& share : step.shares) {
    if (share.output != Share::Hidden) continue;
    if (!hidden_) hidden_ = floats(size_t(maxRows_), hiddenStride_);
    forRows(share.rows, [&](int r) {
      const size_t at = size_t(share.firstRow + r) * hiddenStride_;
      model_.kernels.rmsNorm(x_ + at, model_.finalNorm, spec.rmsNormEps, spec.hiddenSize, hidden_ + at);
    });
  }
}

} // namespace dyn
