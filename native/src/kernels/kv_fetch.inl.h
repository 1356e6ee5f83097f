// SPDX-License-Identifier: Apache-2.0
// Asks for keys and values while others are computed with. Blocks lie far apart, where the hardware does not foresee them, and a
// core may wait for few lines at once, so it must never stop asking: what follows is one line of blocks, of this job and then of
// the next, which is asked for in the order in which its bytes lie, a partition ahead, to wait in the second cache.

constexpr int kLinesAtOnce = 5;  // a block of a head of 64 dimensions has 102 of 12 bits, and some() is called at least 24 times for each
constexpr int kBlocksNeeded = 4; // the one that is computed with and those that have to be on their way by then

class KvFetch {
public:
  // Blocks of a job and of the one that follows. Goes on where the last job left off, if that foresaw this one.
  void begin(const KvRun& own, const KvRun& next, size_t blockStride, size_t headBytes) {
    const bool foreseen = own.kv == next_.kv && own.blocks == next_.blocks && block_ >= own_.count;
    block_ = foreseen ? block_ - own_.count : 0;
    own_ = own, next_ = next, stride_ = blockStride, bytes_ = headBytes;
  }

  // The job's blocks from `first` on, a partition of them, are computed with now; as many behind them may be asked for.
  void partition(int first) {
    const int left = own_.count - first, count = left < kBlocksPerPartition ? left : kBlocksPerPartition;
    const int all = own_.count + next_.count, end = first + count + kBlocksPerPartition;
    first_ = first, end_ = end < all ? end : all;
    open();
  }

  // The partition's block `b` is next. Does nothing unless nobody foresaw it.
  void reach(int b) {
    while (block_ < first_ + b + kBlocksNeeded && at_ < blockEnd_) some();
  }

  // Some lines more.
  __attribute__((always_inline)) void some() {
    if (at_ >= blockEnd_) return;
#pragma GCC unroll 8
    for (int line = 0; line < kLinesAtOnce; line++) __builtin_prefetch(at_ + 64 * line, 0, 2);
    at_ += 64 * kLinesAtOnce;
    if (at_ >= blockEnd_) block_++, open();
  }

private:
  void open() {
    at_ = blockEnd_ = nullptr;
    if (block_ >= end_) return;
    at_ = block_ < own_.count ? own_.block(block_, stride_) : next_.block(block_ - own_.count, stride_);
    blockEnd_ = at_ + bytes_;
  }

  KvRun own_, next_;
  size_t stride_ = 0, bytes_ = 0;
  int block_ = 0, first_ = 0, end_ = 0; // being asked for; the partition's first; not to be asked for yet. Next ones follow own ones.
  const uint8_t *at_ = nullptr, *blockEnd_ = nullptr;
};
