// SPDX-License-Identifier: Apache-2.0
// The operations of tiles_amx.h as the Intel manual describes them, for testing their kernels on CPUs without AMX.
namespace tile {

struct Shapes {
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};
  void set(int t, int height, int bytes) { rows[t] = uint8_t(height), rowBytes[t] = uint16_t(bytes); }
};

struct Registers {
  Shapes shapes;
  alignas(64) uint8_t data[8][16][64];
};
inline Registers& registers() {
  static thread_local Registers all;
  return all;
}

inline void configure(const Shapes& shapes) { registers() = Registers{shapes, {}}; }
inline void release() { registers() = Registers{}; }
template <int T> void zero() { __builtin_memset(registers().data[T], 0, sizeof(registers().data[T])); }
template <int T> void load(const void* from, size_t stride) {
  Registers& all = registers();
  zero<T>();
  for (int r = 0; r < all.shapes.rows[T]; r++) __builtin_memcpy(all.data[T][r], static_cast<const uint8_t*>(from) + size_t(r) * stride, all.shapes.rowBytes[T]);
}
template <int T> void loadPassing(const void* from, size_t stride) { load<T>(from, stride); }
template <int T> void store(void* to, size_t stride) {
  Registers& all = registers();
  for (int r = 0; r < all.shapes.rows[T]; r++) __builtin_memcpy(static_cast<uint8_t*>(to) + size_t(r) * stride, all.data[T][r], all.shapes.rowBytes[T]);
}
template <class Element, int T> Element& at(int row, int column) { return reinterpret_cast<Element*>(registers().data[T][row])[column]; }

template <class Left, class Right, int C, int A, int B>
void multiplyBytes() {
  const Shapes& shapes = registers().shapes;
  for (int m = 0; m < shapes.rows[C]; m++)
    for (int k = 0; k < shapes.rowBytes[A] / 4; k++)
      for (int n = 0; n < shapes.rowBytes[C] / 4; n++)
        for (int i = 0; i < 4; i++) at<int32_t, C>(m, n) += int32_t(at<Left, A>(m, 4 * k + i)) * int32_t(at<Right, B>(k, 4 * n + i));
}
template <int C, int A, int B> void multiplyCodes() { multiplyBytes<int8_t, uint8_t, C, A, B>(); }
template <int C, int A, int B> void multiplySigned() { multiplyBytes<int8_t, int8_t, C, A, B>(); }
template <int C, int A, int B> void multiplyWeights() { multiplyBytes<uint8_t, int8_t, C, A, B>(); }

inline float widen(uint16_t brain) {
  const uint32_t bits = uint32_t(brain) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

template <int C, int A, int B> void multiplyBf16() {
  const Shapes& shapes = registers().shapes;
  for (int m = 0; m < shapes.rows[C]; m++)
    for (int n = 0; n < shapes.rowBytes[C] / 4; n++) {
      float even = 0, odd = 0;
      for (int k = 0; k < shapes.rowBytes[A] / 4; k++) {
        even = __builtin_fmaf(widen(at<uint16_t, A>(m, 2 * k)), widen(at<uint16_t, B>(k, 2 * n)), even);
        odd = __builtin_fmaf(widen(at<uint16_t, A>(m, 2 * k + 1)), widen(at<uint16_t, B>(k, 2 * n + 1)), odd);
      }
      at<float, C>(m, n) += even + odd;
    }
}

} // namespace tile
