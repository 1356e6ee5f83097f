// SPDX-License-Identifier: Apache-2.0
// Quantising must not depend on how many groups are done side by side, and must survive any value.
#include "../src/kernels/quantise.h"

#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

namespace dyn {
namespace four {
constexpr int kLanes = 4;
#include "../src/kernels/quantise.inl.h"
} // namespace four
namespace eight {
constexpr int kLanes = 8;
#include "../src/kernels/quantise.inl.h"
} // namespace eight
} // namespace dyn

using namespace dyn;

int main() {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(0, 0.1f);
  constexpr size_t groups = 1003; // fills no number of lanes
  std::vector<float> values(groups * kQuantGroup);
  for (float& value : values) value = normal(rng);
  std::memset(&values[5 * kQuantGroup], 0, kQuantGroup * 4);
  const float odd[] = {1e38f, -1e38f, 1e-38f, 7e4f, -0.0f, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()};
  for (size_t i = 0; i < 8; i++) values[(20 + i) * kQuantGroup + i * 4] = odd[i];

  int failures = 0;
  for (const TensorType type : {TensorType::Q8_0, TensorType::Q4_1}) {
    const size_t bytes = sourceRowBytes(type, kQuantGroup) * groups;
    std::vector<uint8_t> a(bytes), b(bytes), c(bytes);
    four::quantiseLanes(type, values.data(), values.size(), a.data());
    eight::quantiseLanes(type, values.data(), values.size(), b.data());
    quantise(type, values.data(), values.size(), c.data());
    std::vector<float> back(values.size());
    dequantise(type, a.data(), back.size(), back.data());
    double error = 0, power = 0;
    for (size_t i = 100 * kQuantGroup; i < back.size(); i++) {
      error += double(back[i] - values[i]) * double(back[i] - values[i]);
      power += double(values[i]) * double(values[i]);
    }
    const bool same = a == b && a == c, close = error < power * (type == TensorType::Q8_0 ? 5e-5 : 6e-3);
    if (!same) std::printf("FAILED type %u: blocks depend on the lanes\n", unsigned(type));
    if (!close) std::printf("FAILED type %u: relative squared error %g\n", unsigned(type), error / power);
    failures += !same + !close;
  }
  std::printf("quantise: %d failures\n", failures);
  return failures != 0;
}
