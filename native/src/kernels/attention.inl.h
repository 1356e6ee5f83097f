// SPDX-License-Identifier: Apache-2.0
// Paged attention with an online softmax, one KV block of 32 tokens at a time, in order. Lanes are tokens for q.k and
// dimensions for p.v. A query is one head of one row; what is computed for it never depends on its tile-mates.

constexpr int kLargestHeadDim = 256;

template <bool KvF32>
inline F loadKv(const uint8_t* base, size_t index) {
  if constexpr (KvF32) return load(reinterpret_cast<const float*>(base) + index);
  else return loadHalf(reinterpret_cast<const uint16_t*>(base) + index);
}

// Queries [first, first + Queries) of the job, numbered row * group + head.
template <int Queries, bool KvF32>
void attendQueries(const AttentionJob& job, int first) {
  const int dim = job.headDim;
  const float* query[Queries];
  int visible[Queries]; // tokens that the query sees
  float top[Queries], total[Queries];
  alignas(64) float out[Queries][kLargestHeadDim];
  alignas(64) float p[Queries][kKvBlock];
  int mostVisible = 0;
  for (int i = 0; i < Queries; i++) {
    const int row = (first + i) / job.group, head = (first + i) % job.group;
    query[i] = job.q + size_t(row) * job.qStride + size_t(head) * size_t(dim);
    visible[i] = job.position + row + 1;
    mostVisible = visible[i] > mostVisible ? visible[i] : mostVisible;
    top[i] = -__builtin_inff();
    total[i] = 0;
    for (int d = 0; d < dim; d += 16) store(out[i] + d, zero());
  }
  const F masked = splat(-__builtin_inff());
  const size_t valueOffset = size_t(dim) * kKvBlock * (KvF32 ? 4 : 2);

  for (int base = 0; base < mostVisible; base += kKvBlock) {
    const uint8_t* block = job.kv + size_t(job.blocks[base / kKvBlock]) * job.blockStride;
    const uint8_t* values = block + valueOffset;

    for (int half = 0; half < kKvBlock; half += 16) {
      F score[Queries];
      for (int i = 0; i < Queries; i++) score[i] = zero();
      for (int d = 0; d < dim; d++) {
        const F keys = loadKv<KvF32>(block, size_t(d) * kKvBlock + size_t(half));
#pragma GCC unroll 8
        for (int i = 0; i < Queries; i++) score[i] = fma(splat(query[i][d]), keys, score[i]);
      }
      for (int i = 0; i < Queries; i++) store(p[i] + half, keepLanes(mul(score[i], splat(job.scale)), masked, visible[i] - base - half));
    }

    float correction[Queries];
    for (int i = 0; i < Queries; i++) {
      if (visible[i] <= base) { // this row's context ended in an earlier block
        correction[i] = 1;
        for (int t = 0; t < kKvBlock; t += 16) store(p[i] + t, zero());
        continue;
      }
      const F low = load(p[i]), high = load(p[i] + 16);
      const float newTop = __builtin_fmaxf(top[i], largest(max(low, high)));
      // e^(-inf) is 0 by the clamp below: masked lanes are set to 0 explicitly, so they add exactly nothing.
      const F a = keepLanes(exponential(sub(low, splat(newTop))), zero(), visible[i] - base);
      const F b = keepLanes(exponential(sub(high, splat(newTop))), zero(), visible[i] - base - 16);
      store(p[i], a);
      store(p[i] + 16, b);
      correction[i] = top[i] == newTop ? 1.0f : top[i] == -__builtin_inff() ? 0.0f : __builtin_expf(top[i] - newTop);
      total[i] = total[i] * correction[i] + sum(add(a, b));
      top[i] = newTop;
    }

    // Tokens past the last visible one belong to nobody or to somebody else: never multiply by them.
    const int tokens = mostVisible - base < kKvBlock ? mostVisible - base : kKvBlock;
    for (int d = 0; d < dim; d += 16) {
      F acc[Queries];
      for (int i = 0; i < Queries; i++) acc[i] = mul(load(out[i] + d), splat(correction[i]));
      for (int t = 0; t < tokens; t++) {
        const F value = loadKv<KvF32>(values, size_t(t) * size_t(dim) + size_t(d));
#pragma GCC unroll 8
        for (int i = 0; i < Queries; i++) acc[i] = fma(splat(p[i][t]), value, acc[i]);
      }
      for (int i = 0; i < Queries; i++) store(out[i] + d, acc[i]);
    }
  }

  for (int i = 0; i < Queries; i++) {
    const int row = (first + i) / job.group, head = (first + i) % job.group;
    float* to = job.out + size_t(row) * job.outStride + size_t(head) * size_t(dim);
    const F inverse = splat(1.0f / total[i]);
    for (int d = 0; d < dim; d += 16) store(to + d, mul(load(out[i] + d), inverse));
  }
}

template <bool KvF32>
void attend(const AttentionJob& job) {
  const int queries = job.rows * job.group;
  int first = 0;
  for (; first + kQueryTile <= queries; first += kQueryTile) attendQueries<kQueryTile, KvF32>(job, first);
  switch (queries - first) {
    case 7: if constexpr (kQueryTile > 4) return attendQueries<7, KvF32>(job, first); break;
    case 6: if constexpr (kQueryTile > 4) return attendQueries<6, KvF32>(job, first); break;
    case 5: if constexpr (kQueryTile > 4) return attendQueries<5, KvF32>(job, first); break;
    case 4: if constexpr (kQueryTile > 4) return attendQueries<4, KvF32>(job, first); break;
    case 3: return attendQueries<3, KvF32>(job, first);
    case 2: return attendQueries<2, KvF32>(job, first);
    case 1: return attendQueries<1, KvF32>(job, first);
    default: break;
  }
}

void attention(const AttentionJob& job, bool kvF32) { kvF32 ? attend<true>(job) : attend<false>(job); }

void writeKv(uint8_t* kvHead, int slot, const float* k, const float* v, int headDim, bool kvF32) {
  if (kvF32) {
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
