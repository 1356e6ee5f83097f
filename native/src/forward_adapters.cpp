// SPDX-License-Identifier: Apache-2.0
#include "forward.h"

namespace dyn {
namespace {

constexpr int kAdapterRows = 16; // rows of one task

} // namespace

// Behind the product with the base matrix, and in f32 whatever that one is computed in. Every element is a lane of an
// accumulator of its own row, as everywhere, so it does not depend on who else is in the step.
void Forward::addAdapters(const Step& step, int layer, Projection projection, const float* x, size_t xStride, float* out, size_t outStride) {
  adapterTasks_.clear();
  for (const Share& share : step.shares) {
    if (!share.adapter || !share.adapter->pair(layer, projection)) continue;
    for (int row = 0; row < share.rows; row += kAdapterRows)
      adapterTasks_.push_back({share.adapter->pair(layer, projection), share.firstRow + row, std::min(kAdapterRows, share.rows - row)});
  }
  if (adapterTasks_.empty()) return;
  if (!adapterRows_) adapterRows_ = floats(size_t(maxRows_), kMaxAdapterRank);
  const Kernels& kernels = model_.kernels;
  pool_.run(int(adapterTasks_.size()), [&](int t) {
    const AdapterTask& task = adapterTasks_[size_t(t)];
    const size_t row = size_t(task.row0);
    const auto rowsOf = [&](const PackedMatrix& w, const float* rows, size_t stride) {
      return Activations{PackedType::F32, w.cols, stride * sizeof(float), reinterpret_cast<uint8_t*>(const_cast<float*>(rows)), task.rows};
    };
    const PackedMatrix &a = task.pair->a, &b = task.pair->b;
    float* thin = adapterRows_ + row * kMaxAdapterRank;
    kernels.gemm(a, rowsOf(a, x + row * xStride, xStride), 0, a.panels(), 0, task.rows, thin, kMaxAdapterRank, nullptr, Store::Set);
    kernels.gemm(b, rowsOf(b, thin, kMaxAdapterRank), 0, b.panels(), 0, task.rows, out + row * outStride, outStride, nullptr, Store::Add);
  });
}

} // namespace dyn
