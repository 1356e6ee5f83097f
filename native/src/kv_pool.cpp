// SPDX-License-Identifier: Apache-2.0
#include "kv_pool.h"

#include <sys/mman.h>

#include "native_error.h"

namespace dyn {

KvPool::KvPool(const ModelSpec& spec, const Kernels& kernels, int numBlocks, KvPrecision precision)
    : numBlocks_(numBlocks), kvHeads_(spec.numKvHeads), headBytes_(kernels.kvHeadBytes(spec.headDim, precision)),
      blockBytes_(blockBytes(spec, kernels, precision)) {
  void* p = mmap(nullptr, blockBytes_ * size_t(numBlocks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw NativeError("OUT_OF_MEMORY", "cannot map " + std::to_string((blockBytes_ * size_t(numBlocks)) >> 20) + " MiB for the KV cache; use fewer blocks");
#ifdef MADV_HUGEPAGE
  madvise(p, blockBytes_ * size_t(numBlocks), MADV_HUGEPAGE);
#endif
  data_ = static_cast<uint8_t*>(p);
}

size_t KvPool::blockBytes(const ModelSpec& spec, const Kernels& kernels, KvPrecision precision) {
  return kernels.kvHeadBytes(spec.headDim, precision) * size_t(spec.numKvHeads) * size_t(spec.numLayers);
}

KvPool::~KvPool() { munmap(data_, blockBytes_ * size_t(numBlocks_)); }

} // namespace dyn
