// SPDX-License-Identifier: Apache-2.0
// A LoRA adapter: to some matrices of some layers, the product of two thin ones is added. Read-only once filled; sequences of
// one step may have different ones, or none.
#pragma once
#include <array>
#include <vector>

#include "model.h"

namespace dyn {

// The matrices of a layer, in the order of packages/trtllm-native/src/lora/adapter-weights.ts.
enum class Projection : int { Q, K, V, O, Gate, Up, Down };
inline constexpr int kProjections = 7;
inline constexpr int kMaxAdapterRank = 512;

// Output features and inputs of a projection.
inline int projectionRows(const ModelSpec& spec, Projection p) {
  switch (p) {
    case Projection::Q: return spec.queryDim();
    case Projection::K:
    case Projection::V: return spec.kvDim();
    case Projection::Gate:
    case Projection::Up: return spec.intermediateSize;
    default: return spec.hiddenSize;
  }
}
inline int projectionCols(const ModelSpec& spec, Projection p) {
  return p == Projection::O ? spec.queryDim() : p == Projection::Down ? spec.intermediateSize : spec.hiddenSize;
}

class Adapter {
public:
  struct Pair {
    PackedMatrix a, b; // rank x inputs, output features x rank; a.data is null when the matrix has none
  };

  explicit Adapter(int layers) : layers_(size_t(layers)) {}

  // Row-major f32: `a` is rank x inputs, `b` output features x rank with the adapter's scale in it. Throws NativeError OUT_OF_MEMORY.
  void set(const ModelSpec& spec, int layer, Projection projection, int rank, const float* a, const float* b) {
    Pair& pair = layers_[size_t(layer)][size_t(projection)];
    pair.a = pack(a, rank, projectionCols(spec, projection));
    pair.b = pack(b, projectionRows(spec, projection), rank);
  }

  // Null when it adds nothing there.
  const Pair* pair(int layer, Projection projection) const {
    const Pair& pair = layers_[size_t(layer)][size_t(projection)];
    return pair.a.data ? &pair : nullptr;
  }

private:
  PackedMatrix pack(const float* source, int rows, int cols) {
    PackedMatrix packed = describePacked(TensorType::F32, rows, cols, true);
    packed.data = storage_.take(packed.bytes(), "an adapter");
    for (int panel = 0; panel < packed.panels(); panel++) packPanel(reinterpret_cast<const uint8_t*>(source), TensorType::F32, nullptr, panel, packed);
    return packed;
  }

  std::vector<std::array<Pair, kProjections>> layers_;
  Arena storage_;
};

} // namespace dyn
