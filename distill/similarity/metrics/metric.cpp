#include "distill/similarity/metrics/metric.hpp"

#include <algorithm>
#include <cmath>

namespace akin {
namespace {

constexpr double kSmallest = 1e-145, kLargest = 1e145;  // sums of squares neither vanish nor overflow

}  // namespace

std::vector<std::string> check_labels(const std::string& metric, const Probe& probe) {
  AKIN_CHECK(probe.classes >= 2, "{}: the target has {} class(es); similarity needs at least 2", metric, probe.classes);
  AKIN_CHECK(probe.labels.size() >= 2, "{}: the probe has {} image(s); similarity needs at least 2", metric,
             probe.labels.size());
  for (std::size_t i = 0; i < probe.labels.size(); ++i) {
    AKIN_CHECK(probe.labels[i] >= 0 && probe.labels[i] < probe.classes,
               "{}: label {} of probe image {} is out of range, expected 0..{}", metric, probe.labels[i], i,
               probe.classes - 1);
  }
  int empty = 0;
  for (const double size : class_sizes(probe.labels, probe.classes)) empty += size == 0;
  AKIN_CHECK(empty < probe.classes - 1,
             "{}: all {} probe images have the same label, which says nothing about how classes differ; "
             "put at least 2 classes in the probe",
             metric, probe.labels.size());
  if (empty == 0) return {};
  return {fmt::format("{} of {} classes have no image in the probe; the value speaks of the others only", empty,
                      probe.classes)};
}

std::vector<double> matrix_of(const std::string& metric, const std::string& what, const Array& values,
                              std::size_t rows) {
  const Shape& shape = values.shape();
  AKIN_CHECK(shape.rank() == 2 && shape[1] > 0, "{}: {} must be a matrix [images, columns], got shape {}", metric, what,
             shape.str());
  AKIN_CHECK(shape[0] == static_cast<std::int64_t>(rows), "{}: {} have {} rows for {} labels", metric, what, shape[0],
             rows);
  AKIN_CHECK(values.dtype() == DType::f32 || values.dtype() == DType::f64, "{}: {} must be f32 or f64, got {}", metric,
             what, name_of(values.dtype()));
  std::vector<double> matrix(static_cast<std::size_t>(values.numel()));
  double largest = 0;
  for (std::size_t i = 0; i < matrix.size(); ++i) {
    matrix[i] = values.dtype() == DType::f32 ? double(values.as<float>()[i]) : values.as<double>()[i];
    const auto columns = static_cast<std::size_t>(shape[1]);
    AKIN_CHECK(std::isfinite(matrix[i]),
               "{}: {} hold {} at row {}, column {}; check the source's weights and the scaling of its input", metric,
               what, matrix[i], i / columns, i % columns);
    largest = std::max(largest, std::abs(matrix[i]));
  }
  AKIN_CHECK(largest == 0 || (largest > kSmallest && largest < kLargest),
             "{} is undefined: {} of at most {:.3g} are too {} to be multiplied; scale all numbers of the table alike",
             metric, what, largest, largest > 1 ? "large" : "small");
  return matrix;
}

std::int64_t constant_columns(std::span<const double> matrix, std::int64_t rows) {
  const std::size_t n = static_cast<std::size_t>(rows), columns = n > 0 ? matrix.size() / n : 0;
  std::int64_t constant = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    std::size_t i = 1;
    while (i < n && matrix[i * columns + c] == matrix[c]) ++i;
    constant += i == n;
  }
  return constant;
}

std::vector<double> class_sizes(std::span<const int> labels, int classes, std::span<const int> counts) {
  std::vector<double> sizes(static_cast<std::size_t>(classes), 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sizes[static_cast<std::size_t>(labels[i])] += counts.empty() ? 1 : counts[i];
  }
  return sizes;
}

}  // namespace akin
