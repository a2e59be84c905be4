// Statistics of a matrix [M, C] by parts, as an op that writes it leaves them for batchnorm, which then need not read
// it for them.
#pragma once

#include <cstdint>

namespace akin {

/// In `data`: mean [parts][C], sum of squared deviations from it [parts][C], and rows [parts] of each part.
struct Moments {
  float* data = nullptr;  ///< room for them; nullptr: not wanted
  std::int64_t parts = 0;  ///< 0: the op left none
  /// Floats of so many parts.
  static constexpr std::int64_t floats(std::int64_t parts, std::int64_t C) { return parts * (2 * C + 1); }
};

}  // namespace akin
