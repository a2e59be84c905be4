// What an op leaves for a batchnorm beside it, which then need not read a matrix [M, C] for it: statistics by parts of
// what goes into it, and sums by parts of the gradient of what comes out.
#pragma once

#include <cstdint>

namespace akin {

/// Statistics of some rows of a channel: how many, their mean, and the sum of squared deviations from it.
struct RowMoments {
  double rows = 0, mean = 0, square = 0;
};

/// In `data`: mean [parts][C], sum of squared deviations from it [parts][C], and rows [parts] of each part.
struct PartMoments {
  float* data = nullptr;   ///< room for them; nullptr: not wanted
  std::int64_t parts = 0;  ///< 0: the op left none
  /// Floats of so many parts.
  static constexpr std::int64_t floats(std::int64_t parts, std::int64_t C) { return parts * (2 * C + 1); }
};

/// All parts of channel c as one, in double, on the host.
inline RowMoments joined(const PartMoments& m, std::int64_t C, std::int64_t c) {
  RowMoments all;
  const float* const rows = m.data + 2 * m.parts * C;
  for (std::int64_t p = 0; p < m.parts; ++p) {
    if (rows[p] == 0) continue;
    const double n = static_cast<double>(rows[p]), weight = n / (all.rows + n);
    const double d = static_cast<double>(m.data[p * C + c]) - all.mean;
    all.square += static_cast<double>(m.data[(m.parts + p) * C + c]) + d * d * all.rows * weight;
    all.mean += d * weight;
    all.rows += n;
  }
  return all;
}

/// The batchnorm with ReLU, y = relu(gamma (x - mean) invstd + beta (+ residual)), of whose y an op writes the gradient
/// dy. Where it can it writes du instead, dy where y > 0 and else 0, and leaves what the backward of the batchnorm sums
/// over rows first. What is added to du later must be masked, and the sums mean nothing any more.
template <class T>
struct NormGradient {
  const T* x = nullptr;
  const T* y = nullptr;  ///< nullptr: is worked out of x, where there was no residual
  const float *mean = nullptr, *invstd = nullptr, *gamma = nullptr, *beta = nullptr;  ///< [C]
  float* sums = nullptr;   ///< of du [parts][C], then of du (x - mean) [parts][C]; floats() of the most parts
  std::int64_t parts = 0;  ///< 0: dy was written
  static constexpr std::int64_t floats(std::int64_t parts, std::int64_t C) { return 2 * parts * C; }
};

}  // namespace akin
