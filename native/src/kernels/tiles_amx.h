// SPDX-License-Identifier: Apache-2.0
// The tile registers of AMX. Plain assembly: needs no compiler flag, only an assembler that knows the instructions
// (binutils 2.35), and is not subject to g++ 12 dropping stores to most of the configuration.
namespace tile {

// Shape of the eight tiles, as `ldtilecfg` reads it.
struct alignas(64) Shapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};
  void set(int t, int height, int bytes) { rows[t] = uint8_t(height), rowBytes[t] = uint16_t(bytes); }
};

inline void configure(const Shapes& shapes) { __asm__ volatile("ldtilecfg %0" ::"m"(shapes) : "memory"); }
// Threads that hold tiles are slower to switch.
inline void release() { __asm__ volatile("tilerelease"); }
template <int T> inline void zero() { __asm__ volatile("tilezero %%tmm%c0" ::"i"(T)); }
template <int T> inline void load(const void* from, size_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
}
// What is loaded so does not displace what the nearest cache holds.
template <int T> inline void loadPassing(const void* from, size_t stride) {
  __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
}
template <int T> inline void store(void* to, size_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
}
// C += A (s8) . B (u8), i32
template <int C, int A, int B> inline void multiplyCodes() {
  __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}
// C += A (s8) . B (s8), i32
template <int C, int A, int B> inline void multiplySigned() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}
// C += A (u8) . B (s8), i32
template <int C, int A, int B> inline void multiplyWeights() {
  __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}
// C += A . B, bf16 pairs, f32: pairs' even and odd elements summed apart from 0, then together, then onto C
template <int C, int A, int B> inline void multiplyBf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

} // namespace tile
