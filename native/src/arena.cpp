// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "native_error.h"

namespace dyn {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kPieceBytes = 0; // a piece for each part, so that nobody reads or writes past one unseen
#else
constexpr size_t kPieceBytes = size_t(32) << 20; // what nobody takes of a piece stays address space
#endif

} // namespace

void AlignedFree::operator()(uint8_t* p) const { std::free(p); }

AlignedBytes allocateAligned(size_t bytes, const char* what) {
  constexpr size_t hugePage = size_t(2) << 20;
  const size_t alignment = bytes >= hugePage ? hugePage : 64;
  void* p = nullptr;
  if (bytes > SIZE_MAX - alignment || posix_memalign(&p, alignment, (bytes + alignment - 1) / alignment * alignment) != 0)
    throw NativeError("OUT_OF_MEMORY", "cannot allocate " + std::to_string(bytes >> 20) + " MiB for " + what + "; free memory, use a smaller model, or lower the rows and sequences of a step");
#ifdef MADV_HUGEPAGE
  if (bytes >= hugePage) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return AlignedBytes(static_cast<uint8_t*>(p));
}

uint8_t* Arena::take(size_t bytes, const char* what) {
  if (bytes > left_) {
    const size_t piece = std::max(bytes, kPieceBytes);
    pieces_.push_back(allocateAligned(piece, what));
    next_ = pieces_.back().get();
    left_ = piece;
  }
  uint8_t* part = next_;
  const size_t lines = std::min(left_, (bytes + 63) / 64 * 64); // a piece for one part alone ends with it
  next_ += lines;
  left_ -= lines;
  return part;
}

} // namespace dyn
