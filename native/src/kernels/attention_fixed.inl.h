// SPDX-License-Identifier: Apache-2.0
// Attention in whole numbers: keys and values of 12 bits (Halves) or 8 are multiplied as they lie in their blocks, queries and
// probabilities are 16 bits. Sums of products of bytes are exact, so it does not matter whether vectors or tiles make them, nor for
// how many queries at once; all else is done for a query by itself (docs/decisions/0013).
//
// A partition is passed three times: scores, probabilities, values. Scores are logarithms of base 2 and begin with that of the
// value's scale, so that probabilities come out multiplied by it and values are added up as the numbers that are stored.

#include "fixed_kv.inl.h"
#include "kv_fetch.inl.h"

constexpr float kLargestWeight = 65535; // of a partition's largest probability: two bytes without a sign
constexpr int kTileQueries = 16;        // whose scores are kept at once

// Up to kTileQueries queries of a job, numbered row * group + head.
struct FixedQueries {
  alignas(64) int8_t high[kTileQueries][kLargestHeadDim], low[kTileQueries][kLargestHeadDim];
  float scale[kTileQueries];      // of a sum of products of whole numbers, of 12 bits over 16: a score's
  int32_t offset[kTileQueries];   // what sums of products are too large by, as keys' bytes are by 128
  int visible[kTileQueries];      // tokens that it sees
  int first, count, mostVisible;

  void take(const AttentionJob& job, bool halves, int from, int number) {
    first = from, count = number, mostVisible = 0;
    for (int i = 0; i < count; i++) {
      const int row = (first + i) / job.group, head = (first + i) % job.group, dim = job.headDim;
      alignas(64) float q[kLargestHeadDim];
      rotate(job.q + size_t(row) * job.qStride + size_t(head) * size_t(dim), dim, q);
      const float magnitude = largestMagnitude(q, dim);
      const F inverse = splat(magnitude > 0 ? kLargestCode / magnitude : 0.0f);
      I total = zeroInt(); // of codes, and of their high bytes where keys have halves
      for (int d = 0; d < dim; d += 16) {
        const SplitCodes codes = splitCodes(mul(load(q + d), inverse));
        storeLowestBytes(high[i] + d, codes.coarse);
        storeLowestBytes(low[i] + d, codes.whole);
        total = _mm512_add_epi32(total, halves ? _mm512_add_epi32(codes.whole, codes.coarse) : codes.whole);
      }
      offset[i] = 128 * sum(total);
      scale[i] = magnitude / kLargestCode * job.scale * (halves ? 16 * 1.44269504f : 1.44269504f);
      visible[i] = job.position + row + 1;
      mostVisible = visible[i] > mostVisible ? visible[i] : mostVisible;
    }
  }
};

// A partition as some queries see it, and what they know of it so far.
struct FixedPartition {
  const AttentionJob& job;
  const FixedHead at;
  const KvRun run;
  const int firstToken, tokens; // of the context; that one of the queries sees
  KvFetch& fetch;               // of what follows
  alignas(64) float scores[kTileQueries][kKvPartition];
  alignas(64) uint8_t high[kTileQueries][kKvPartition], low[kTileQueries][kKvPartition]; // probabilities
  F top[kTileQueries]; // largest scores, by lanes

  FixedPartition(const AttentionJob& job, bool halves, int partition, int mostVisible, KvFetch& fetch)
      : job(job), at{job.headDim, halves}, run(KvRun{job.kv, job.blocks}.partition(partition, mostVisible)), firstToken(partition * kKvPartition),
        tokens(mostVisible - firstToken < kKvPartition ? mostVisible - firstToken : kKvPartition), fetch(fetch) {}

  int blocks() const { return run.count; }
  const uint8_t* block(int b) const { return run.block(b, job.blockStride); }
  void begin(int queries) {
    for (int i = 0; i < queries; i++) top[i] = splat(-__builtin_inff());
  }

  // Scores of 16 tokens, from the sums of products of high bytes, and of high with lower ones.
  void score(const FixedQueries& queries, int i, int token, I highSum, I middleSum, F keyScales, F valueLogs) {
    const I sum = _mm512_sub_epi32(_mm512_add_epi32(_mm512_slli_epi32(highSum, 8), middleSum), splatInt(queries.offset[i]));
    const F value = fma(mul(toFloat(sum), keyScales), splat(queries.scale[i]), valueLogs);
    store(scores[i] + token, value);
    const int seen = queries.visible[i] - firstToken - token;
    top[i] = seen >= 16 ? max(top[i], value) : _mm512_mask_max_ps(top[i], firstLanes(seen), top[i], value);
  }

  // Probabilities of sixteen tokens as whole numbers, and their sum added to `total`. What lies in other lanes counts for nothing.
  template <class... Mask>
  I weights(int i, int token, float most, F& total, Mask... mask) const {
    const float* inverses = reinterpret_cast<const float*>(block(token / kKvBlock) + at.valueInverses()) + token % kKvBlock;
    F p = powerOfTwo(sub(load(scores[i] + token), splat(most)));
    if constexpr (sizeof...(mask) == 0) {
      total = fma(p, load(inverses), total);
    } else {
      p = _mm512_maskz_mov_ps(mask..., p);
      total = fma(p, _mm512_maskz_loadu_ps(mask..., inverses), total);
    }
    return _mm512_cvtps_epi32(mul(p, splat(kLargestWeight)));
  }

  // Probabilities from scores, and the head of the query's state.
  void weigh(const FixedQueries& queries, int i, float* state) {
    const int seen = queries.visible[i] - firstToken, count = seen < tokens ? seen : tokens;
    const float most = largest(top[i]);
    F total = zero();
    for (int token = 0; token < tokens; token += 64) {
      I whole[4];
      if (token + 64 <= count) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) whole[v] = weights(i, token + 16 * v, most, total);
      } else {
        for (int v = 0; v < 4; v++) whole[v] = token + 16 * v < count ? weights(i, token + 16 * v, most, total, firstLanes(count - token - 16 * v)) : zeroInt();
      }
      // Packing goes by quarters of a register: the order of tokens is put right by fours.
      const I order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), lowBytes = _mm512_set1_epi16(255);
      const I a = _mm512_packus_epi32(whole[0], whole[1]), b = _mm512_packus_epi32(whole[2], whole[3]);
      _mm512_store_si512(high[i] + token, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8))));
      _mm512_store_si512(low[i] + token, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(_mm512_and_si512(a, lowBytes), _mm512_and_si512(b, lowBytes))));
    }
    state[0] = most * 0.693147181f;
    state[1] = sum(total);
  }

  F valueOf(I highSum, I middleSum) const { return mul(fma(toFloat(highSum), splat(256), toFloat(middleSum)), splat((at.halves ? 16 : 1) / kLargestWeight)); }
};

inline I lowHalves(I c) { return _mm512_and_si512(_mm512_slli_epi16(c, 4), _mm512_set1_epi8(char(0xf0))); }
inline I highHalves(I c) { return _mm512_and_si512(c, _mm512_set1_epi8(char(0xf0))); }

// Scores of `Queries` queries from `from` on.
template <int Queries, bool Halves>
void scoreInVectors(FixedPartition& p, const FixedQueries& queries, int from) {
  constexpr int Sixteens = Queries <= 4 ? 2 : 1; // so many sums stay in registers
  const int dim = p.job.headDim;
  for (int b = 0; b < p.blocks(); b++) {
    const uint8_t* block = p.block(b);
    p.fetch.reach(b);
    for (int half = 0; half < 2; half += Sixteens) {
      I high[Queries][Sixteens], middle[Queries][Sixteens];
#pragma GCC unroll 8
      for (int i = 0; i < Queries; i++)
#pragma GCC unroll 2
        for (int h = 0; h < Sixteens; h++) high[i][h] = middle[i][h] = zeroInt();
      for (int d = 0; d < dim; d += 8) {
        I pairs[Sixteens], keys[Sixteens], lows[Sixteens];
#pragma GCC unroll 2
        for (int h = 0; Halves && h < Sixteens; h++) pairs[h] = _mm512_loadu_si512(block + p.at.keyLow(half + h) + d * 8);
        const auto add = [&](auto odd) __attribute__((always_inline)) {
          constexpr int step = decltype(odd)::value;
#pragma GCC unroll 2
          for (int h = 0; h < Sixteens; h++) {
            keys[h] = _mm512_loadu_si512(block + p.at.keyHigh(half + h) + (d + 4 * step) * 16);
            if constexpr (Halves) lows[h] = step == 0 ? lowHalves(pairs[h]) : highHalves(pairs[h]);
          }
#pragma GCC unroll 8
          for (int i = 0; i < Queries; i++) {
            const I queryHigh = fourBytes(queries.high[from + i] + d + 4 * step), queryLow = fourBytes(queries.low[from + i] + d + 4 * step);
#pragma GCC unroll 2
            for (int h = 0; h < Sixteens; h++) {
              high[i][h] = _mm512_dpbusd_epi32(high[i][h], keys[h], queryHigh);
              middle[i][h] = _mm512_dpbusd_epi32(middle[i][h], keys[h], queryLow);
              if constexpr (Halves) middle[i][h] = _mm512_dpbusd_epi32(middle[i][h], lows[h], queryHigh);
            }
          }
        };
        add(std::integral_constant<int, 0>());
        add(std::integral_constant<int, 1>());
        p.fetch.some();
      }
#pragma GCC unroll 2
      for (int h = 0; h < Sixteens; h++) {
        const size_t token = size_t(16 * (half + h));
        const F keyScales = load(reinterpret_cast<const float*>(block + p.at.keyScales()) + token), valueLogs = load(reinterpret_cast<const float*>(block + p.at.valueLogs()) + token);
#pragma GCC unroll 8
        for (int i = 0; i < Queries; i++) p.score(queries, from + i, b * kKvBlock + int(token), high[i][h], middle[i][h], keyScales, valueLogs);
      }
    }
  }
}

// Values of 16 * Sixteens dimensions from 16 * sixteen on.
template <int Queries, bool Halves, int Sixteens, int Odd>
void addInVectors(const FixedPartition& p, int sixteen, int from, float* const* states) {
  I high[Queries][Sixteens], middle[Queries][Sixteens];
#pragma GCC unroll 8
  for (int i = 0; i < Queries; i++)
#pragma GCC unroll 2
    for (int s = 0; s < Sixteens; s++) high[i][s] = middle[i][s] = zeroInt();
  for (int b = 0; b < p.blocks(); b++) {
    const uint8_t* block = p.block(b);
    const uint8_t* bytes = block + p.at.valueHigh(sixteen);
    const uint8_t* halves = block + p.at.valueLow(sixteen / 2);
    for (int t = 0; t < kKvBlock; t += 4) {
      p.fetch.some();
      const I pair = Halves ? _mm512_loadu_si512(halves + t * 16) : zeroInt();
      I values[Sixteens], lows[Sixteens];
#pragma GCC unroll 2
      for (int s = 0; s < Sixteens; s++) {
        values[s] = _mm512_loadu_si512(bytes + s * 512 + t * 16);
        if constexpr (Halves) lows[s] = s + Odd == 0 ? lowHalves(pair) : highHalves(pair);
      }
#pragma GCC unroll 8
      for (int i = 0; i < Queries; i++) {
        const I weightHigh = fourBytes(p.high[from + i] + b * kKvBlock + t), weightLow = fourBytes(p.low[from + i] + b * kKvBlock + t);
#pragma GCC unroll 2
        for (int s = 0; s < Sixteens; s++) {
          high[i][s] = _mm512_dpbusd_epi32(high[i][s], weightHigh, values[s]);
          middle[i][s] = _mm512_dpbusd_epi32(middle[i][s], weightLow, values[s]);
          if constexpr (Halves) middle[i][s] = _mm512_dpbusd_epi32(middle[i][s], weightHigh, lows[s]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Queries; i++)
#pragma GCC unroll 2
    for (int s = 0; s < Sixteens; s++) store(states[from + i] + kStateHead + 16 * (sixteen + s), p.valueOf(high[i][s], middle[i][s]));
}

// States of `Queries` queries from `from` on.
template <int Queries, bool Halves>
void attendInVectors(FixedPartition& p, const FixedQueries& queries, int from, float* const* states) {
  scoreInVectors<Queries, Halves>(p, queries, from);
  for (int i = from; i < from + Queries; i++) p.weigh(queries, i, states[i]);
  for (int sixteen = 0; sixteen < p.job.headDim / 16; sixteen += 2) {
    if constexpr (Queries <= 4) {
      addInVectors<Queries, Halves, 2, 0>(p, sixteen, from, states);
    } else {
      addInVectors<Queries, Halves, 1, 0>(p, sixteen, from, states);
      addInVectors<Queries, Halves, 1, 1>(p, sixteen + 1, from, states);
    }
  }
}

// What computes the queries of one FixedQueries over one partition, and keeps what several of them need: here nothing.
template <bool Halves>
struct InVectors {
  InVectors(const AttentionJob&, int, int) {}
  void attend(FixedPartition& p, const FixedQueries& queries, float* const* states) {
    overQueries(queries.count, [&](auto tile, int from) { attendInVectors<decltype(tile)::value, Halves>(p, queries, from, states); });
  }
};

// States of all queries of a job over one partition, `stride` floats apart.
template <bool Halves, class Products>
void attendFixed(const AttentionJob& job, const std::vector<FixedQueries>& all, int partition, KvFetch& fetch, float* states, size_t stride) {
  Products products(job, partition, all.back().mostVisible);
  for (const FixedQueries& queries : all) {
    FixedPartition p(job, Halves, partition, queries.mostVisible, fetch);
    float* of[kTileQueries];
    for (int i = 0; i < queries.count; i++) of[i] = states + size_t(queries.first + i) * stride;
    if (p.tokens > 0) {
      p.begin(queries.count);
      products.attend(p, queries, of);
      for (int i = 0; !Halves && i < queries.count; i++) rotate(of[i] + kStateHead, job.headDim, of[i] + kStateHead); // as values are
    } else {
      for (int i = 0; i < queries.count; i++) of[i][0] = -__builtin_inff(), of[i][1] = 0;
    }
  }
}

inline const std::vector<FixedQueries>& fixedQueriesOf(const AttentionJob& job, bool halves) {
  static thread_local std::vector<FixedQueries> all;
  const int queries = job.rows * job.group;
  all.resize(size_t((queries + kTileQueries - 1) / kTileQueries));
  for (int first = 0; first < queries; first += kTileQueries)
    all[size_t(first / kTileQueries)].take(job, halves, first, queries - first < kTileQueries ? queries - first : kTileQueries);
  return all;
}

inline KvFetch& fetchFor(const AttentionJob& job, bool halves, const KvRun& own) {
  static thread_local KvFetch fetch;
  fetch.begin(own, job.next, job.blockStride, FixedHead{job.headDim, halves}.bytes());
  return fetch;
}

template <bool Halves, class Products>
void attendFixedWhole(const AttentionJob& job) {
  static thread_local std::vector<float> memory;
  const std::vector<FixedQueries>& all = fixedQueriesOf(job, Halves);
  const size_t queries = size_t(job.rows * job.group), stride = attentionStateFloats(job.headDim);
  memory.resize(2 * queries * stride);
  float *states = memory.data(), *next = states + queries * stride;
  const int blocks = kvBlocksOf(all.back().mostVisible);
  KvFetch& fetch = fetchFor(job, Halves, {job.kv, job.blocks, blocks});
  for (int first = 0; first < blocks; first += kBlocksPerPartition) {
    fetch.partition(first);
    attendFixed<Halves, Products>(job, all, first / kBlocksPerPartition, fetch, first == 0 ? states : next, stride);
    for (size_t i = 0; first > 0 && i < queries; i++) mergeState(states + i * stride, next + i * stride, job.headDim);
  }
  for (size_t i = 0; i < queries; i++)
    finishState(states + i * stride, job.headDim, job.out + i / size_t(job.group) * job.outStride + i % size_t(job.group) * size_t(job.headDim));
}

template <template <bool> class Products>
void fixedAttention(const AttentionJob& job, KvPrecision precision) {
  if (!isFixedKv(job.headDim, precision)) return attention(job, precision);
  precision == KvPrecision::Half ? attendFixedWhole<true, Products<true>>(job) : attendFixedWhole<false, Products<false>>(job);
}

template <bool Halves, class Products>
void attendFixedPartition(const AttentionJob& job, int partition, float* states) {
  const std::vector<FixedQueries>& all = fixedQueriesOf(job, Halves);
  KvFetch& fetch = fetchFor(job, Halves, KvRun{job.kv, job.blocks}.partition(partition, all.back().mostVisible));
  fetch.partition(0);
  attendFixed<Halves, Products>(job, all, partition, fetch, states, attentionStateFloats(job.headDim));
}

template <template <bool> class Products>
void fixedAttentionPartition(const AttentionJob& job, int partition, float* states, KvPrecision precision) {
  if (!isFixedKv(job.headDim, precision)) return attentionPartition(job, partition, states, precision);
  precision == KvPrecision::Half ? attendFixedPartition<true, Products<true>>(job, partition, states) : attendFixedPartition<false, Products<false>>(job, partition, states);
}
