// SPDX-License-Identifier: Apache-2.0
// Everything that works on one row: preparing activations, norms, activation function, RoPE.

// e^x for x <= 88, relative error below 2e-7. Splits x = n ln2 + r and evaluates a degree-6 Taylor-like polynomial
// (Cephes expf coefficients) on |r| <= ln2/2. Below -87 the result is 0.
inline F exponential(F x) {
  const F lowest = splat(-87.0f);
  const F clamped = max(x, lowest);
  const F n = roundNearest(mul(clamped, splat(1.44269504f)));
  F r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  F p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = add(fma(mul(r, r), p, r), splat(1.0f));
  return scaleByPowerOfTwo(p, n);
}

// 2^x, relative error below 3e-7: a polynomial of the fifth degree through Chebyshev's nodes on |r| <= 1/2.
inline F powerOfTwo(F x) {
  const F n = roundNearest(x), r = sub(x, n);
  F p = splat(1.3390863314e-3f);
  p = fma(p, r, splat(9.6760317683e-3f));
  p = fma(p, r, splat(5.5503569543e-2f));
  p = fma(p, r, splat(2.4022106826e-1f));
  p = fma(p, r, splat(6.9314718246e-1f));
  p = fma(p, r, splat(1.0f));
  return scaleByPowerOfTwo(p, n);
}

size_t activationRowBytes(PackedType type, int cols) {
  size_t bytes = size_t(cols) * 4;
  if (type == PackedType::U4 || type == PackedType::U8) bytes = size_t(cols) * 2 + size_t(cols / kQuantGroup) * 16;
#if DYN_BF16_DOT
  if (type == PackedType::BF16) bytes = size_t(cols) * 2;
#endif
  return (bytes + 63) / 64 * 64;
}

// 16-bit precision: |x / scale| <= kLargestCode.
inline void quantiseRow(const float* x, int cols, uint8_t* row) {
  float* scales = reinterpret_cast<float*>(row + 2 * cols);
  int32_t* sums = reinterpret_cast<int32_t*>(row + 2 * cols + cols / kQuantGroup * 4);
  float* totals = reinterpret_cast<float*>(sums + cols / kQuantGroup * 2);
  for (int g = 0; g < cols / kQuantGroup; g++) {
    const F low = load(x + g * kQuantGroup), high = load(x + g * kQuantGroup + 16);
    const float magnitude = largest(max(abs(low), abs(high)));
    const F inverse = splat(magnitude > 0 ? kLargestCode / magnitude : 0.0f);
    scales[g] = magnitude / kLargestCode;
    sums[2 * g] = storeActivations(row, g, 0, mul(low, inverse));
    sums[2 * g + 1] = storeActivations(row, g, 1, mul(high, inverse));
    totals[g] = float(sums[2 * g] + sums[2 * g + 1]) * scales[g];
  }
}

void prepareRows(const float* x, size_t stride, int rows, Activations& out, int firstRow) {
  for (int r = 0; r < rows; r++) {
    const float* from = x + size_t(r) * stride;
    uint8_t* to = out.data + size_t(firstRow + r) * out.rowBytes;
    if (out.type == PackedType::U4 || out.type == PackedType::U8) {
      quantiseRow(from, out.cols, to);
      continue;
    }
#if DYN_BF16_DOT
    if (out.type == PackedType::BF16) {
      int k = 0;
      for (; k + 16 <= out.cols; k += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + size_t(k) * 2), (__m256i)_mm512_cvtneps_pbh(load(from + k)));
      for (; k < out.cols; k++) {
        const __m256i one = (__m256i)_mm512_cvtneps_pbh(splat(from[k]));
        __builtin_memcpy(to + size_t(k) * 2, &one, 2);
      }
      continue;
    }
#endif
    __builtin_memcpy(to, from, size_t(out.cols) * 4);
  }
}

void rmsNorm(const float* x, const float* weight, float eps, int n, float* y) {
  F squares[4] = {zero(), zero(), zero(), zero()};
  int k = 0;
  for (; k + 64 <= n; k += 64)
    for (int i = 0; i < 4; i++) squares[i] = fma(load(x + k + 16 * i), load(x + k + 16 * i), squares[i]);
  for (; k + 16 <= n; k += 16) squares[0] = fma(load(x + k), load(x + k), squares[0]);
  float total = sum(add(add(squares[0], squares[1]), add(squares[2], squares[3])));
  for (; k < n; k++) total += x[k] * x[k];
  const float scale = 1.0f / __builtin_sqrtf(total / float(n) + eps);
  for (k = 0; k + 16 <= n; k += 16) store(y + k, mul(mul(load(x + k), splat(scale)), load(weight + k)));
  for (; k < n; k++) y[k] = x[k] * scale * weight[k];
}

// One division does for two numbers: 1/a = b/(ab). Beyond 2^60 the result is nothing beside any other.
void siluMul(const float* gate, const float* up, int n, float* out) {
  const F one = splat(1.0f), most = splat(60.0f), least = splat(-60.0f);
  const auto divisor = [&](F g) { return add(one, powerOfTwo(max(min(mul(g, splat(-1.44269504f)), most), least))); };
  int k = 0;
  for (; k + 32 <= n; k += 32) {
    const F g = load(gate + k), h = load(gate + k + 16), a = divisor(g), b = divisor(h), inverse = divide(one, mul(a, b));
    store(out + k, mul(mul(g, mul(inverse, b)), load(up + k)));
    store(out + k + 16, mul(mul(h, mul(inverse, a)), load(up + k + 16)));
  }
  for (; k < n; k += 16) store(out + k, mul(divide(load(gate + k), divisor(load(gate + k))), load(up + k)));
}

void rope(float* head, int headDim, const float* cosSin) {
  const int half = headDim / 2;
  const float *cosines = cosSin, *sines = cosSin + half;
  int i = 0;
  for (; i + 16 <= half; i += 16) {
    const F a = load(head + i), b = load(head + half + i), c = load(cosines + i), s = load(sines + i);
    store(head + i, sub(mul(a, c), mul(b, s)));
    store(head + half + i, add(mul(b, c), mul(a, s)));
  }
  for (; i < half; i++) {
    const float a = head[i], b = head[half + i];
    head[i] = a * cosines[i] - b * sines[i];
    head[half + i] = b * cosines[i] + a * sines[i];
  }
}
