// Statistics by parts (kernels/common/moments.hpp) against those of the numbers themselves.
#pragma once

#include <algorithm>

#include "kernels/common/moments.hpp"
#include "tests/op_case.hpp"

namespace akin::test {

/// "" where `data` holds the statistics of the columns of y [M, C], as it is stored. A kernel sums differences from one
/// of the values in float: n roundings of at most eps / 2 of n differences, four standard deviations and more; means of
/// parts are rounded to floats.
inline std::string compare_moments(const Tensor& data, std::int64_t parts, const Values& y, std::int64_t C,
                                   bool exact = false) {
  const auto index = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const Values found = to_values(data);
  const std::int64_t M = static_cast<std::int64_t>(y.size()) / C;
  if (parts < 1 || PartMoments::floats(parts, C) > static_cast<std::int64_t>(found.size()))
    return fmt::format("{} parts of {} channels in {} floats", parts, C, found.size());
  double rows = 0;
  for (std::int64_t p = 0; p < parts; ++p) rows += found[index(2 * parts * C + p)];
  if (rows != static_cast<double>(M)) return fmt::format("{} rows, expected {}", rows, M);
  for (std::int64_t c = 0; c < C; ++c) {
    long double sum = 0, square = 0, joined = 0, joined_square = 0;
    double most = 0, least = y[index(c)], largest = y[index(c)];
    for (std::int64_t m = 0; m < M; ++m) {
      sum += y[index(m * C + c)];
      most = std::max(most, std::abs(y[index(m * C + c)]));
      least = std::min(least, y[index(m * C + c)]), largest = std::max(largest, y[index(m * C + c)]);
    }
    const long double mean = sum / static_cast<long double>(M);
    for (std::int64_t m = 0; m < M; ++m) square += (y[index(m * C + c)] - mean) * (y[index(m * C + c)] - mean);
    for (std::int64_t p = 0; p < parts; ++p) joined += found[index(p * C + c)] * found[index(2 * parts * C + p)];
    joined /= rows;
    for (std::int64_t p = 0; p < parts; ++p) {
      const long double d = found[index(p * C + c)] - joined;
      joined_square += found[index((parts + p) * C + c)] + d * d * found[index(2 * parts * C + p)];
    }
    // Where a warp begins at the border it takes 0 for one of the values.
    const double eps{std::numeric_limits<float>::epsilon()}, spread = exact ? largest - least : 2 * most;
    const double bound = 4 * eps * std::sqrt(static_cast<double>(M) + 3);
    if (!(std::abs(joined - mean) <= bound * spread + eps * most))
      return fmt::format("mean of channel {}: {}, expected {}", c, static_cast<double>(joined),
                         static_cast<double>(mean));
    if (!(std::abs(joined_square - square) <=
          (bound * 4 * spread * spread + 8 * eps * most * spread) * static_cast<double>(M)))
      return fmt::format("squares of channel {}: {}, expected {}", c, static_cast<double>(joined_square),
                         static_cast<double>(square));
  }
  return "";
}

}  // namespace akin::test
