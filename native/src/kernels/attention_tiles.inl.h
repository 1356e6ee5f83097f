// SPDX-License-Identifier: Apache-2.0
// The products of attention_fixed.inl.h on tiles, for more queries than are best taken in vectors, and heads of a multiple of 64
// dimensions.

constexpr int kTileDims = 64;        // of one operation with keys
constexpr int kTileTokens = 64;      // of one operation with values
constexpr int kQueriesInVectors = 8; // no more than these do without tiles

// Sums of products of a tile: of high bytes, and of high with lower ones.
struct alignas(64) ScoreSums {
  int32_t high[kTileQueries][16], middle[kTileQueries][16];
};

template <bool Halves>
class InTiles {
public:
  InTiles(const AttentionJob& job, int partition, int mostVisible) : job_(job), all_(KvRun{job.kv, job.blocks}.partition(partition, mostVisible)) {}

  void attend(FixedPartition& p, const FixedQueries& queries, float* const* states) {
    if (queries.count <= kQueriesInVectors || p.job.headDim % kTileDims != 0) return InVectors<Halves>(p.job, 0, 0).attend(p, queries, states);
    if (!bytes_) unpack();
    tile::configure(tileShapes(queries.count, 64, 16));
    score(p, queries);
    for (int i = 0; i < queries.count; i++) p.weigh(queries, i, states[i]);
    addValues(p, queries.count, states);
    tile::release();
  }

private:
  // Values [dim/16][token/4][16][4], high bytes, then lower halves; lower halves of keys as bytes, [16 tokens][dim/4][16][4].
  size_t planeBytes() const { return size_t(job_.headDim) * kKvPartition; }
  uint8_t* values(int plane, int sixteen) const { return bytes_ + planeBytes() * size_t(plane) + size_t(sixteen) * 16 * kKvPartition; }
  uint8_t* keyLow(int token) const { return bytes_ + 2 * planeBytes() + size_t(token) * size_t(job_.headDim); }

  void unpack() {
    const FixedHead at{job_.headDim, Halves};
    const int dim = at.dim;
    bytes_ = scratch((Halves ? 3 : 1) * planeBytes());
    for (int b = 0; b < all_.count; b++) {
      const uint8_t* block = all_.block(b, job_.blockStride);
      for (int half = 0; Halves && half < 2; half++) {
        uint8_t* to = keyLow(b * kKvBlock + 16 * half);
        for (int d = 0; d < dim; d += 8, to += 128) {
          const I pair = _mm512_loadu_si512(block + at.keyLow(half) + d * 8);
          _mm512_store_si512(to, lowHalves(pair));
          _mm512_store_si512(to + 64, highHalves(pair));
        }
      }
      for (int sixteen = 0; sixteen < dim / 16; sixteen++)
        for (int t = 0; t < kKvBlock; t += 4) _mm512_store_si512(values(0, sixteen) + (b * kKvBlock + t) * 16, _mm512_loadu_si512(block + at.valueHigh(sixteen) + t * 16));
      for (int sixteen = 0; Halves && sixteen < dim / 16; sixteen += 2)
        for (int t = 0; t < kKvBlock; t += 4) {
          const I pair = _mm512_loadu_si512(block + at.valueLow(sixteen / 2) + t * 16);
          _mm512_store_si512(values(1, sixteen) + (b * kKvBlock + t) * 16, lowHalves(pair));
          _mm512_store_si512(values(1, sixteen + 1) + (b * kKvBlock + t) * 16, highHalves(pair));
        }
    }
  }

  // Sixteen tokens at a time. While tiles multiply one lot, another is stored, and a third becomes scores.
  void score(FixedPartition& p, const FixedQueries& queries) {
    const int lots = (p.tokens + 15) / 16;
    for (int lot = 0; lot < lots + 2; lot += 2) {
      scoreLot<0>(p, queries, lot, lots);
      scoreLot<1>(p, queries, lot + 1, lots);
    }
  }

  template <int Parity>
  void scoreLot(FixedPartition& p, const FixedQueries& queries, int lot, int lots) {
    constexpr int high = 2 * Parity, middle = high + 1;
    if (lot < lots) {
      const uint8_t* keys = p.block(lot / 2) + p.at.keyHigh(lot % 2);
      tile::zero<high>();
      tile::zero<middle>();
      for (int d = 0; d < p.job.headDim; d += kTileDims) {
        if (lot == 0 || p.job.headDim > kTileDims) {
          tile::load<4>(queries.high[0] + d, kLargestHeadDim);
          tile::load<5>(queries.low[0] + d, kLargestHeadDim);
        }
        tile::load<6>(keys + d * 16, 64);
        if (Halves) tile::load<7>(keyLow(lot * 16) + d * 16, 64);
        tile::multiplyCodes<middle, 5, 6>();
        tile::multiplyCodes<high, 4, 6>();
        if (Halves) tile::multiplyCodes<middle, 4, 7>();
      }
    }
    if (lot > 0 && lot - 1 < lots) {
      tile::store<2 - high>(sums_[1 - Parity].high, 64);
      tile::store<3 - high>(sums_[1 - Parity].middle, 64);
    }
    if (lot > 1 && lot - 2 < lots) {
      const int token = (lot - 2) * 16;
      const uint8_t* block = p.block(token / kKvBlock) + token % kKvBlock * 4;
      const F keyScales = load(reinterpret_cast<const float*>(block + p.at.keyScales())), valueLogs = load(reinterpret_cast<const float*>(block + p.at.valueLogs()));
      for (int i = 0; i < queries.count; i++)
        p.score(queries, i, token, _mm512_load_si512(sums_[Parity].high[i]), _mm512_load_si512(sums_[Parity].middle[i]), keyScales, valueLogs);
    }
  }

  // Thirty-two dimensions at a time.
  void addValues(const FixedPartition& p, int count, float* const* states) {
    for (int sixteen = 0; sixteen < p.job.headDim / 16; sixteen += 2) {
      tile::zero<0>();
      tile::zero<1>();
      tile::zero<2>();
      tile::zero<3>();
      for (int token = 0; token < p.tokens; token += kTileTokens) {
        tile::load<4>(p.high[0] + token, kKvPartition);
        tile::load<5>(p.low[0] + token, kKvPartition);
        tile::load<6>(values(0, sixteen) + token * 16, 64);
        tile::load<7>(values(0, sixteen + 1) + token * 16, 64);
        tile::multiplyWeights<0, 4, 6>();
        tile::multiplyWeights<1, 5, 6>();
        tile::multiplyWeights<2, 4, 7>();
        tile::multiplyWeights<3, 5, 7>();
        if (!Halves) continue;
        tile::load<6>(values(1, sixteen) + token * 16, 64);
        tile::load<7>(values(1, sixteen + 1) + token * 16, 64);
        tile::multiplyWeights<1, 4, 6>();
        tile::multiplyWeights<3, 4, 7>();
      }
      tile::store<0>(sums_[0].high, 64);
      tile::store<1>(sums_[0].middle, 64);
      tile::store<2>(sums_[1].high, 64);
      tile::store<3>(sums_[1].middle, 64);
      for (int i = 0; i < count; i++)
        for (int s = 0; s < 2; s++)
          store(states[i] + kStateHead + 16 * (sixteen + s), p.valueOf(_mm512_load_si512(sums_[s].high[i]), _mm512_load_si512(sums_[s].middle[i])));
    }
  }

  const AttentionJob& job_;
  const KvRun all_; // of the partition, as the last query sees it
  uint8_t* bytes_ = nullptr;
  ScoreSums sums_[2];
};
