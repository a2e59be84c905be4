#include "distill/similarity/metrics/metric.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

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

void Resampler::operator()(std::span<const Redraw> draws, std::span<double> values) const {
  if (many_) return many_(draws, values);
  for (std::size_t i = 0; i < draws.size(); ++i) values[i] = one_(draws[i].counts, draws[i].labels);
}

void check_matrix(const std::string& metric, const std::string& what, const Array& values, std::size_t rows) {
  const Shape& shape = values.shape();
  AKIN_CHECK(shape.rank() == 2 && shape[1] > 0, "{}: {} must be a matrix [images, columns], got shape {}", metric, what,
             shape.str());
  AKIN_CHECK(shape[0] == static_cast<std::int64_t>(rows), "{}: {} have {} rows for {} labels", metric, what, shape[0],
             rows);
  AKIN_CHECK(values.dtype() == DType::f32 || values.dtype() == DType::f64, "{}: {} must be f32 or f64, got {}", metric,
             what, name_of(values.dtype()));
  double largest = 0;
  with_numbers(values, [&](auto numbers) {
    using T = typename decltype(numbers)::value_type;
    T most = 0;
    bool finite = true;
    for (const T value : numbers) {
      const T size = std::abs(value);
      most = size > most ? size : most;
      finite &= size <= std::numeric_limits<T>::max();
    }
    largest = double(most);
    if (finite) return;
    const auto bad = std::find_if(numbers.begin(), numbers.end(), [](T value) { return !std::isfinite(value); });
    const auto at = static_cast<std::size_t>(bad - numbers.begin()), columns = static_cast<std::size_t>(shape[1]);
    fail("{}: {} hold {} at row {}, column {}; check the source's weights and the scaling of its input", metric, what,
         double(*bad), at / columns, at % columns);
  });
  AKIN_CHECK(largest == 0 || (largest > kSmallest && largest < kLargest),
             "{} is undefined: {} of at most {:.3g} are too {} to be multiplied; scale all numbers of the table alike",
             metric, what, largest, largest > 1 ? "large" : "small");
}

std::vector<double> matrix_of(const std::string& metric, const std::string& what, const Array& values,
                              std::size_t rows) {
  check_matrix(metric, what, values, rows);
  return with_numbers(values, [](auto numbers) { return std::vector<double>(numbers.begin(), numbers.end()); });
}

template <class T>
std::int64_t constant_columns(std::span<const T> matrix, std::int64_t rows) {
  const std::size_t n = static_cast<std::size_t>(rows), columns = n > 0 ? matrix.size() / n : 0;
  std::int64_t constant = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    std::size_t i = 1;
    while (i < n && matrix[i * columns + c] == matrix[c]) ++i;
    constant += i == n;
  }
  return constant;
}
template std::int64_t constant_columns(std::span<const float>, std::int64_t);
template std::int64_t constant_columns(std::span<const double>, std::int64_t);

std::vector<double> class_sizes(std::span<const int> labels, int classes, std::span<const int> counts) {
  std::vector<double> sizes(static_cast<std::size_t>(classes), 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sizes[static_cast<std::size_t>(labels[i])] += counts.empty() ? 1 : counts[i];
  }
  return sizes;
}

}  // namespace akin
