// SPDX-License-Identifier: Apache-2.0
// Paged attention with an online softmax, one KV block of 32 tokens at a time, in order. Lanes are tokens for q.k and
// dimensions for p.v. A query is one head of one row; what is computed for it never depends on its tile-mates.
//
// The context is cut into partitions of a fixed number of tokens. Each has a softmax of its own, and they are merged in
// order, so it does not matter whether one thread takes them one after another or several threads take one each.

constexpr int kLargestHeadDim = 256;

template <bool KvF32>
inline F loadKv(const uint8_t* base, size_t index) {
  if constexpr (KvF32) return load(reinterpret_cast<const float*>(base) + index);
  else return loadHalf(reinterpret_cast<const uint16_t*>(base) + index);
}

// What a query knows of the tokens that it has seen, as floats: largest score, sum of e^(score - largest), and from
// kStateHead on the values weighted alike.
constexpr int kStateHead = 16;

inline void mergeState(float* into, const float* next, int dim) {
  if (next[1] == 0) return; // the query's context ends before this partition
  const float top = __builtin_fmaxf(into[0], next[0]);
  const float a = into[0] == top ? 1.0f : __builtin_expf(into[0] - top), b = next[0] == top ? 1.0f : __builtin_expf(next[0] - top);
  into[1] = into[1] * a + next[1] * b;
  into[0] = top;
  for (int d = kStateHead; d < kStateHead + dim; d += 16) store(into + d, fma(load(next + d), splat(b), mul(load(into + d), splat(a))));
}

inline void finishState(const float* state, int dim, float* out) {
  const F inverse = splat(1.0f / state[1]);
  for (int d = 0; d < dim; d += 16) store(out + d, mul(load(state + kStateHead + d), inverse));
}

// Scores of 16 * Vectors tokens from `token` of the block on. Also asks for `next`, the block that follows: blocks of a
// sequence lie far apart, where the hardware does not foresee them.
template <int Queries, int Vectors, bool KvF32>
inline void scoreTokens(const uint8_t* keys, int token, const float* const* query, int dim, const uint8_t* next, F (*scores)[2]) {
  constexpr int lines = KvF32 ? 2 : 1;
  F acc[Queries][Vectors];
  for (int i = 0; i < Queries; i++)
    for (int v = 0; v < Vectors; v++) acc[i][v] = zero();
  for (int d = 0; d < dim; d++) {
    if (token == 0)
      for (int l = 0; l < lines; l++) __builtin_prefetch(next + (size_t(d) * lines + size_t(l)) * 64);
    F key[Vectors];
    for (int v = 0; v < Vectors; v++) key[v] = loadKv<KvF32>(keys, size_t(d) * kKvBlock + size_t(token + 16 * v));
#pragma GCC unroll 8
    for (int i = 0; i < Queries; i++) {
      const F q = splat(query[i][d]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; v++) acc[i][v] = fma(q, key[v], acc[i][v]);
    }
  }
  for (int i = 0; i < Queries; i++)
    for (int v = 0; v < Vectors; v++) scores[i][token / 16 + v] = acc[i][v];
}

// state = state * correction + p . values, for 16 * Vectors dimensions from d on.
template <int Queries, int Vectors, bool KvF32>
inline void addValues(const uint8_t* values, int d, int dim, int tokens, const float (*p)[kKvBlock], const float* correction, float (*state)[kStateHead + kLargestHeadDim]) {
  F acc[Queries][Vectors];
  for (int i = 0; i < Queries; i++)
    for (int v = 0; v < Vectors; v++) acc[i][v] = mul(load(state[i] + kStateHead + d + 16 * v), splat(correction[i]));
  for (int t = 0; t < tokens; t++) {
    F value[Vectors];
    for (int v = 0; v < Vectors; v++) value[v] = loadKv<KvF32>(values, size_t(t) * size_t(dim) + size_t(d + 16 * v));
#pragma GCC unroll 8
    for (int i = 0; i < Queries; i++) {
      const F weight = splat(p[i][t]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; v++) acc[i][v] = fma(weight, value[v], acc[i][v]);
    }
  }
  for (int i = 0; i < Queries; i++)
    for (int v = 0; v < Vectors; v++) store(state[i] + kStateHead + d + 16 * v, acc[i][v]);
}

// The states of queries [first, first + Queries) of the job, numbered row * group + head, over one partition.
template <int Queries, bool KvF32>
void attendPartition(const AttentionJob& job, int first, int partition, float (*state)[kStateHead + kLargestHeadDim]) {
  // As many sums at once as there are registers for; it changes no sum.
  constexpr int scoreVectors = Queries * 2 <= kAttentionSums ? 2 : 1;
  constexpr int valueVectors = Queries * 4 <= kAttentionSums ? 4 : Queries * 2 <= kAttentionSums ? 2 : 1;
  const int dim = job.headDim;
  const float* query[Queries];
  int visible[Queries]; // tokens that the query sees
  alignas(64) float p[Queries][kKvBlock];
  int mostVisible = 0;
  for (int i = 0; i < Queries; i++) {
    const int row = (first + i) / job.group, head = (first + i) % job.group;
    query[i] = job.q + size_t(row) * job.qStride + size_t(head) * size_t(dim);
    visible[i] = job.position + row + 1;
    mostVisible = visible[i] > mostVisible ? visible[i] : mostVisible;
    state[i][0] = -__builtin_inff();
    state[i][1] = 0;
    for (int d = 0; d < dim; d += 16) store(state[i] + kStateHead + d, zero());
  }
  const F masked = splat(-__builtin_inff());
  const size_t valueOffset = size_t(dim) * kKvBlock * (KvF32 ? 4 : 2);
  const int allBlocks = kvBlocksOf(mostVisible);
  const int firstBlock = partition * kBlocksPerPartition;
  const int lastBlock = allBlocks < firstBlock + kBlocksPerPartition ? allBlocks : firstBlock + kBlocksPerPartition;
  const auto blockAt = [&](int b) { return job.kv + size_t(job.blocks[b]) * job.blockStride; };

  for (int b = firstBlock; b < lastBlock; b++) {
    const int base = b * kKvBlock;
    const uint8_t* block = blockAt(b);
    const uint8_t* next = b + 1 < allBlocks ? blockAt(b + 1) : block;
    F scores[Queries][2];
    for (int token = 0; token < kKvBlock; token += 16 * scoreVectors) scoreTokens<Queries, scoreVectors, KvF32>(block, token, query, dim, next, scores);

    float correction[Queries];
    for (int i = 0; i < Queries; i++) {
      if (visible[i] <= base) { // this row's context ended in an earlier block
        correction[i] = 1;
        for (int t = 0; t < kKvBlock; t += 16) store(p[i] + t, zero());
        continue;
      }
      const F low = keepLanes(mul(scores[i][0], splat(job.scale)), masked, visible[i] - base);
      const F high = keepLanes(mul(scores[i][1], splat(job.scale)), masked, visible[i] - base - 16);
      const float top = state[i][0], newTop = __builtin_fmaxf(top, largest(max(low, high)));
      // e^(-inf) is 0 by the clamp below: masked lanes are set to 0 explicitly, so they add exactly nothing.
      const F a = keepLanes(exponential(sub(low, splat(newTop))), zero(), visible[i] - base);
      const F c = keepLanes(exponential(sub(high, splat(newTop))), zero(), visible[i] - base - 16);
      store(p[i], a);
      store(p[i] + 16, c);
      correction[i] = top == newTop ? 1.0f : top == -__builtin_inff() ? 0.0f : __builtin_expf(top - newTop);
      state[i][1] = state[i][1] * correction[i] + sum(add(a, c));
      state[i][0] = newTop;
    }

    // Tokens past the last visible one belong to nobody or to somebody else: never multiply by them.
    const int tokens = mostVisible - base < kKvBlock ? mostVisible - base : kKvBlock;
    for (size_t line = 0; line < valueOffset; line += 64) __builtin_prefetch(next + valueOffset + line);
    int d = 0;
    for (; d + 16 * valueVectors <= dim; d += 16 * valueVectors) addValues<Queries, valueVectors, KvF32>(block + valueOffset, d, dim, tokens, p, correction, state);
    for (; d < dim; d += 16) addValues<Queries, 1, KvF32>(block + valueOffset, d, dim, tokens, p, correction, state);
  }
}

// Calls use(number of queries, first query) until all are done, in the largest tiles that fit.
template <class Use>
void overQueries(int queries, const Use& use) {
  int first = 0;
  for (; first + kQueryTile <= queries; first += kQueryTile) use(std::integral_constant<int, kQueryTile>(), first);
  switch (queries - first) {
    case 7: if constexpr (kQueryTile > 4) use(std::integral_constant<int, 7>(), first); break;
    case 6: if constexpr (kQueryTile > 4) use(std::integral_constant<int, 6>(), first); break;
    case 5: if constexpr (kQueryTile > 4) use(std::integral_constant<int, 5>(), first); break;
    case 4: if constexpr (kQueryTile > 4) use(std::integral_constant<int, 4>(), first); break;
    case 3: use(std::integral_constant<int, 3>(), first); break;
    case 2: use(std::integral_constant<int, 2>(), first); break;
    case 1: use(std::integral_constant<int, 1>(), first); break;
    default: break;
  }
}

template <bool KvF32>
void attend(const AttentionJob& job) {
  overQueries(job.rows * job.group, [&](auto tile, int first) {
    constexpr int Queries = decltype(tile)::value;
    alignas(64) float state[Queries][kStateHead + kLargestHeadDim], next[Queries][kStateHead + kLargestHeadDim];
    attendPartition<Queries, KvF32>(job, first, 0, state);
    const int lastPosition = job.position + (first + Queries - 1) / job.group;
    for (int partition = 1; partition * kKvPartition <= lastPosition; partition++) {
      attendPartition<Queries, KvF32>(job, first, partition, next);
      for (int i = 0; i < Queries; i++) mergeState(state[i], next[i], job.headDim);
    }
    for (int i = 0; i < Queries; i++) {
      const int row = (first + i) / job.group, head = (first + i) % job.group;
      finishState(state[i], job.headDim, job.out + size_t(row) * job.outStride + size_t(head) * size_t(job.headDim));
    }
  });
}

// A short context is over before memory has answered.
inline void fetchFirstBlock(const AttentionJob& job, KvPrecision precision) {
  if (job.next.count == 0) return;
  const uint8_t* bytes = job.next.block(0, job.blockStride);
  for (size_t line = 0; line < kvHeadBytes(job.headDim, precision); line += 64) __builtin_prefetch(bytes + line, 0, 2);
}

void attention(const AttentionJob& job, KvPrecision precision) {
  fetchFirstBlock(job, precision);
  precision == KvPrecision::F32 ? attend<true>(job) : attend<false>(job);
}

template <bool KvF32>
void attendOnePartition(const AttentionJob& job, int partition, float* states) {
  const size_t floats = attentionStateFloats(job.headDim);
  overQueries(job.rows * job.group, [&](auto tile, int first) {
    constexpr int Queries = decltype(tile)::value;
    alignas(64) float state[Queries][kStateHead + kLargestHeadDim];
    attendPartition<Queries, KvF32>(job, first, partition, state);
    for (int i = 0; i < Queries; i++) __builtin_memcpy(states + size_t(first + i) * floats, state[i], floats * sizeof(float));
  });
}

void attentionPartition(const AttentionJob& job, int partition, float* states, KvPrecision precision) {
  fetchFirstBlock(job, precision);
  precision == KvPrecision::F32 ? attendOnePartition<true>(job, partition, states) : attendOnePartition<false>(job, partition, states);
}

void mergeAttention(float* states, size_t stride, int partitions, int headDim, float* out) {
  for (int p = 1; p < partitions; p++) mergeState(states, states + size_t(p) * stride, headDim);
  finishState(states, headDim, out);
}

void writeKv(uint8_t* kvHead, int slot, const float* k, const float* v, int headDim, KvPrecision precision) {
  if (precision == KvPrecision::F32) {
    float* keys = reinterpret_cast<float*>(kvHead);
    float* values = keys + size_t(headDim) * kKvBlock + size_t(slot) * size_t(headDim);
    for (int d = 0; d < headDim; d++) keys[size_t(d) * kKvBlock + size_t(slot)] = k[d];
    for (int d = 0; d < headDim; d++) values[d] = v[d];
    return;
  }
  uint16_t* keys = reinterpret_cast<uint16_t*>(kvHead);
  uint16_t* values = keys + size_t(headDim) * kKvBlock + size_t(slot) * size_t(headDim);
  alignas(32) uint16_t half[16];
  for (int d = 0; d < headDim; d += 16) {
    storeHalf(half, load(k + d));
    for (int i = 0; i < 16; i++) keys[size_t(d + i) * kKvBlock + size_t(slot)] = half[i];
    storeHalf(values + d, load(v + d));
  }
}
