// SPDX-License-Identifier: Apache-2.0
// The KV blocks of one rank: numBlocks x layers x KV heads, each kKvBlock tokens of keys and values.
#pragma once
#include <cstddef>
#include <cstdint>

#include "model.h"

namespace dyn {

class KvPool {
public:
  // Address space only: a block costs memory when it is first written. Throws NativeError OUT_OF_MEMORY.
  KvPool(const ModelSpec& spec, const Kernels& kernels, int numBlocks, KvPrecision precision);
  ~KvPool();
  KvPool(const KvPool&) = delete;

  // Of one block, all layers and heads.
  static size_t blockBytes(const ModelSpec& spec, const Kernels& kernels, KvPrecision precision);

  int numBlocks() const { return numBlocks_; }
  size_t blockBytes() const { return blockBytes_; }
  // The whole of a block, blockBytes() of it.
  uint8_t* block(int index) const { return data_ + blockBytes_ * size_t(index); }
  // Storage of a layer's KV head in block 0; the same in block b is blockBytes() * b further.
  uint8_t* head(int layer, int kvHead) const { return data_ + (size_t(layer) * size_t(kvHeads_) + size_t(kvHead)) * headBytes_; }

private:
  int numBlocks_, kvHeads_;
  size_t headBytes_, blockBytes_;
  uint8_t* data_;
};

} // namespace dyn
