// Tensors of a network against a reference of another framework: whole, or as digests where the file holds only those.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.hpp"

namespace akin::test {

using Values = std::vector<double>;

inline Values values_of(const Array& a) {
  const Array wide = a.cast(DType::f64);
  const auto span = wide.as<double>();
  return Values(span.begin(), span.end());
}

inline Values values_of(const Tensor& t) { return values_of(t.to_array()); }

/// Largest difference relative to the largest expected entry; NaN and a wrong length give infinity.
inline double difference(const Values& got, const Values& want) {
  if (got.size() != want.size()) return INFINITY;
  double worst = 0, scale = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(got[i] - want[i]);
    if (!std::isfinite(error)) return INFINITY;
    worst = std::max(worst, error);
    scale = std::max(scale, std::abs(want[i]));
  }
  return scale > 0 ? worst / scale : worst;
}

/// Sum, sum of squares, and a sum with a pattern, which an exchange of elements changes.
inline Values digest(const Values& v) {
  double sum = 0, squares = 0, pattern = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    sum += v[i];
    squares += v[i] * v[i];
    pattern += v[i] * std::cos(0.7 * static_cast<double>(i) + 0.3);
  }
  return {sum, squares, pattern};
}

/// Largest difference of digests, each relative to what its tensor can reach: ||v|| sqrt(n) for the two linear sums
/// (Cauchy and Schwarz), ||v||^2 for the squares. `noise` times the largest tensor's norm is added to each norm.
inline double digest_difference(const std::map<std::string, Values>& tensors, const Array& want, double noise = 0) {
  const Values rows = values_of(want);
  if (rows.size() != 3 * tensors.size()) return INFINITY;
  double worst = 0, largest = 0;
  for (std::size_t row = 0; row < rows.size(); row += 3) largest = std::max(largest, std::sqrt(rows[row + 1]));
  std::size_t row = 0;
  for (const auto& [name, v] : tensors) {  // std::map: byte order, as in the file
    const Values got = digest(v);
    const double norm = std::sqrt(rows[row + 1]) + noise * largest,
                 reach = norm * std::sqrt(static_cast<double>(v.size())) + 1e-30;
    const double scale[3] = {reach, norm * norm + 1e-30, reach};
    for (std::size_t j = 0; j < 3; ++j) {
      const double error = std::abs(got[j] - rows[row + j]) / scale[j];
      if (!std::isfinite(error)) return INFINITY;
      worst = std::max(worst, error);
    }
    row += 3;
  }
  return worst;
}

}  // namespace akin::test
