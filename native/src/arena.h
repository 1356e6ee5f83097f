// SPDX-License-Identifier: Apache-2.0
// Memory of weights and activations.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace dyn {

struct AlignedFree {
  void operator()(uint8_t* p) const;
};
using AlignedBytes = std::unique_ptr<uint8_t, AlignedFree>;
// 64-byte aligned (2 MiB when large, with huge pages asked for). Throws NativeError OUT_OF_MEMORY.
AlignedBytes allocateAligned(size_t bytes, const char* what);

// Parts that live as long as it does, one behind the other in large pieces: small ones get huge pages as well.
class Arena {
public:
  // 64-byte aligned. Throws NativeError OUT_OF_MEMORY.
  uint8_t* take(size_t bytes, const char* what);

private:
  std::vector<AlignedBytes> pieces_;
  uint8_t* next_ = nullptr;
  size_t left_ = 0; // bytes of the last piece, from next_ on
};

} // namespace dyn
