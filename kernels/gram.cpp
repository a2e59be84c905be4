#include "kernels/gram.hpp"

#include <cmath>
#include <vector>

#include "kernels/common/error.hpp"

namespace akin::spec {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

void check_size(const char* op, const char* name, std::size_t size, std::int64_t rows, std::int64_t columns) {
  AKIN_CHECK(rows >= 0 && columns >= 0 && size == index(rows) * index(columns),
             "{}: {} holds {} values, expected {} x {}", op, name, size, rows, columns);
}

/// Columns minus their means; taking the first row off before averaging leaves a constant column exactly zero.
template <class T>
void centre(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z) {
  if (n == 0) return;
  std::vector<double> mean(index(d), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) {
      const double shifted = double(x[index(i * d + c)]) - double(x[index(c)]);
      z[index(i * d + c)] = shifted;
      mean[index(c)] += shifted;
    }
  }
  for (double& value : mean) value /= double(n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) z[index(i * d + c)] -= mean[index(c)];
  }
}

}  // namespace

template <class T>
void gram_xyt(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t m, std::int64_t k,
              std::span<double> g) {
  check_size("gram_xyt", "x", x.size(), n, k);
  check_size("gram_xyt", "y", y.size(), m, k);
  check_size("gram_xyt", "g", g.size(), n, m);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < m; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < k; ++p) sum += double(x[index(i * k + p)]) * double(y[index(j * k + p)]);
      g[index(i * m + j)] = sum;
    }
  }
}

template <class T>
void gram_xxt(std::span<const T> x, std::int64_t n, std::int64_t k, std::span<double> g) {
  gram_xyt<T>(x, x, n, n, k, g);
}

template <class T>
void gram_xty(std::span<const T> x, std::span<const T> y, std::int64_t n, std::int64_t d, std::int64_t e,
              std::span<double> g) {
  check_size("gram_xty", "x", x.size(), n, d);
  check_size("gram_xty", "y", y.size(), n, e);
  check_size("gram_xty", "g", g.size(), d, e);
  for (std::int64_t a = 0; a < d; ++a) {
    for (std::int64_t b = 0; b < e; ++b) {
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) sum += double(x[index(i * d + a)]) * double(y[index(i * e + b)]);
      g[index(a * e + b)] = sum;
    }
  }
}

template <class T>
void centre_columns(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z) {
  check_size("centre_columns", "x", x.size(), n, d);
  check_size("centre_columns", "z", z.size(), n, d);
  centre(x, n, d, z);
}

template <class T>
void zscore_columns(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z) {
  check_size("zscore_columns", "x", x.size(), n, d);
  check_size("zscore_columns", "z", z.size(), n, d);
  centre(x, n, d, z);
  std::vector<double> scale(index(d), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) scale[index(c)] += z[index(i * d + c)] * z[index(i * d + c)];
  }
  for (double& value : scale) value = value == 0 ? 1.0 : std::sqrt(value / double(n));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) z[index(i * d + c)] /= scale[index(c)];
  }
}

std::int64_t standardise_rows(std::span<const double> x, std::int64_t n, std::int64_t d, std::span<double> z) {
  check_size("standardise_rows", "x", x.size(), n, d);
  check_size("standardise_rows", "z", z.size(), n, d);
  std::int64_t flat = 0;
  for (std::int64_t i = 0; i < n && d > 0; ++i) {
    const auto in = x.subspan(index(i * d), index(d));
    const auto out = z.subspan(index(i * d), index(d));
    const double first = in[0];
    double mean = 0, norm = 0;
    for (std::size_t c = 0; c < in.size(); ++c) mean += in[c] - first;
    mean /= double(d);
    for (std::size_t c = 0; c < in.size(); ++c) {
      out[c] = (in[c] - first) - mean;
      norm += out[c] * out[c];
    }
    norm = std::sqrt(norm);
    if (norm == 0) ++flat;
    for (double& value : out) value = norm == 0 ? 0.0 : value / norm;
  }
  return flat;
}

#define AKIN_INSTANTIATE(T)                                                                                   \
  template void gram_xyt<T>(std::span<const T>, std::span<const T>, std::int64_t, std::int64_t, std::int64_t, \
                            std::span<double>);                                                               \
  template void gram_xxt<T>(std::span<const T>, std::int64_t, std::int64_t, std::span<double>);               \
  template void gram_xty<T>(std::span<const T>, std::span<const T>, std::int64_t, std::int64_t, std::int64_t, \
                            std::span<double>);                                                               \
  template void centre_columns<T>(std::span<const T>, std::int64_t, std::int64_t, std::span<double>);         \
  template void zscore_columns<T>(std::span<const T>, std::int64_t, std::int64_t, std::span<double>);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(double)
#undef AKIN_INSTANTIATE

}  // namespace akin::spec
