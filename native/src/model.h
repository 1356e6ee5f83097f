// SPDX-License-Identifier: Apache-2.0
// A decoder's weights, packed for one kernel table. Read-only once loaded.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "kernels/kernels.h"
#include "thread_pool.h"

namespace dyn {

struct ModelSpec {
  int numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, vocabSize, contextLength;
  float rmsNormEps;
  bool tiedHead, qkvBias, qkNorm;
  std::vector<float> inverseFrequencies; // headDim/2, scaling applied
  int queryDim() const { return numHeads * headDim; }
  int kvDim() const { return numKvHeads * headDim; }
};

// Where a tensor is; the canonical names of packages/trtllm-native/src/model/model-spec.ts.
struct TensorSource {
  std::string name, file;
  size_t offset, byteLength;
  TensorType type;   // as stored
  TensorType packed; // what it is turned into while it is loaded: `type`, or Q8_0 or Q4_1 of a plain type
  int rows, cols, permutedHeads;
};

struct Layer {
  const float *attnNorm = nullptr, *mlpNorm = nullptr;
  const float *qBias = nullptr, *kBias = nullptr, *vBias = nullptr; // null or padded to whole panels
  const float *qNorm = nullptr, *kNorm = nullptr;                   // null or headDim values
  PackedMatrix q, k, v, o, gate, up, down;
};

// Eight bits lose less than quantised weights have lost, unless keys have biases: these can be much larger than what differs
// between tokens (docs/decisions/0015).
KvPrecision kvPrecisionOf(const ModelSpec& spec, const std::vector<TensorSource>& tensors, bool f32);

class Model {
public:
  // Throws NativeError MODEL_FORMAT (missing tensor, wrong size, unreadable file), OUT_OF_MEMORY, or CANCELLED when
  // `cancel` became true between two tensors.
  Model(const ModelSpec& spec, const std::vector<TensorSource>& tensors, const Kernels& kernels, bool forceF32, ThreadPool& pool,
        const std::atomic<bool>& cancel);

  const ModelSpec spec;
  const Kernels& kernels;
  const bool f32;
  const KvPrecision kvPrecision;
  PackedMatrix embed, head; // head is embed when tied
  const float* finalNorm = nullptr;
  std::vector<Layer> layers;
  size_t weightBytes = 0;

private:
  Arena storage_; // in the order in which a step reads
};

} // namespace dyn
