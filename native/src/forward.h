// SPDX-License-Identifier: Apache-2.0
// One step of a decoder over a mixed batch: prompt chunks and single decode rows of many sequences side by side.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "adapter.h"
#include "kv_pool.h"
#include "model.h"
#include "thread_pool.h"

namespace dyn {

// One sequence's share of a step; see StepSequence in forward-backend.ts.
struct Share {
  int slot, position;
  int firstRow, rows;             // rows of the step that are this sequence's
  size_t firstBlock, blocks;      // its entries of Step::blocks
  enum Output { None = 0, Sample = 1, Logits = 2, Hidden = 3 } output;
  int drafts;                     // how many of the last rows are guesses
  size_t firstTarget;             // its entries of Step::targets, one for each of its first rows
  int targets, top;               // their number, and alternatives to each
  std::shared_ptr<const Adapter> adapter; // null: none
  bool hasLogits() const { return output == Sample || output == Logits; }
  int outputs() const { return hasLogits() ? drafts + 1 : 0; } // rows of logits
};

struct Step {
  std::vector<Share> shares;
  std::vector<uint32_t> tokens; // one per row
  std::vector<uint32_t> blocks;
  std::vector<uint32_t> targets; // tokens whose likelihood is asked for
  int passes = 1; // more: of shares of one row and output Sample, each pass of the tokens that the one before chose
  double withinMs = 0; // no pass but the first begins that is expected to end later
};

class Forward {
public:
  Forward(const Model& model, KvPool& kv, ThreadPool& pool, int maxRows, int maxOutputs);

  // Computes the step and leaves the logits of every share with an output, in share order, in rows of logits(): those of
  // its last row and, before it, of every row that a guess follows.
  // False when `cancel` became true between two layers: then nothing of this step is to be relied on.
  bool run(const Step& step, const std::atomic<bool>& cancel);

  // Logits of any rows of the step that `run` computed last, kScoreRows of them at most; valid until the next call.
  static constexpr int kScoreRows = 16;
  const float* scoreRows(const int* rows, int count);

  // Shared: JavaScript may hold views of it longer than the engine lives.
  const std::shared_ptr<float>& sharedLogits() const { return logits_; }
  float* logits() const { return logits_.get(); }
  size_t logitsStride() const { return logitsStride_; } // floats
  // Final-norm hidden states of a share with output Hidden, of the last step: hiddenSize values per row, `hiddenStride` apart.
  const float* hidden(const Share& share) const { return hidden_ + size_t(share.firstRow) * hiddenStride_; }
  size_t hiddenStride() const { return hiddenStride_; } // floats
  int maxRows() const { return maxRows_; }
  int maxOutputs() const { return maxOutputs_; }

private:
  struct Product {
    const PackedMatrix* w;
    float* out;
    size_t stride;
    const float* bias;
    Store store;
  };
  struct AdapterTask {
    const Adapter::Pair* pair;
    int row0, rows;
  };
  struct AttentionTask {
    int share, row0, rows, kvHead;
    int partition; // of the context, or kWholeContext
  };
  // What a thread has for itself: prepared rows, those of the product with that number, and room for a row in f32.
  struct alignas(64) OwnRows {
    uint8_t* prepared;
    float* row;
    uint64_t product = 0;
  };
  // A share whose context several threads attend to at once, and where the states of its parts lie: [partition][KV head][row][head].
  struct Split {
    int partitions = 0; // 0: not split
    size_t firstState = 0;
  };

  template <class Work>
  void forRows(int rows, const Work& work);
  template <class RowOf>
  void multiply(const Product* products, int count, int rows, const RowOf& rowOf);
  void multiplyNormed(const Product* products, int count, const float* norm, int rows);
  float* normedRow(int row, const float* norm, float* to) const;
  void embed(const Step& step);
  void attentionBlock(const Layer& layer, int index, const Step& step, int rows);
  void planAttention(const Step& step);
  void attend(const Step& step, int index);
  void mergeSplit(const Share& share, const Split& split, int row);
  void mlpBlock(const Layer& layer, int index, const Step& step, int rows);
  void addAdapters(const Step& step, int layer, Projection projection, const float* x, size_t xStride, float* out, size_t outStride);
  void head(const Step& step);
  void headOf(const int* rows, int count, float* logits);
  void keepHidden(const Step& step);
  float* floats(size_t rows, size_t stride);

  const Model& model_;
  KvPool& kv_;
  ThreadPool& pool_;
  const int maxRows_, maxOutputs_;
  size_t hiddenStride_, queryStride_, kvStride_, ffnStride_, logitsStride_;
  Arena storage_;
  float *x_, *normed_, *query_, *key_, *value_, *context_, *gate_, *up_, *cosSin_;
  float* scores_ = nullptr; // made by the first step that needs it
  float* hidden_ = nullptr; // made by the first step that needs it: few engines are asked for embeddings
  float* adapterRows_ = nullptr; // likewise, for steps with adapters
  uint8_t* prepared_; // rows of the product that all threads share
  std::vector<OwnRows> own_; // by thread
  uint64_t product_ = 0; // counts them
  bool adapted_ = false; // whether the step has adapters, which read what all threads share
  std::shared_ptr<float> logits_;
  std::vector<int> rowPosition_, rowShare_;
  std::vector<AttentionTask> tasks_;
  std::vector<Split> splits_; // one per share
  std::vector<float> states_;
  std::vector<AdapterTask> adapterTasks_;
};

} // namespace dyn
