#include "kernels/gram.hpp"

#include <cmath>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/instantiate.hpp"

namespace akin {

namespace fast {

// kernels/gram_omp.cpp
template <class T>
void gram_xyt(std::int64_t n, std::int64_t m, std::int64_t k, const T* x, const T* y, double* g);
template <class T>
void gram_xxt(std::int64_t n, std::int64_t k, const T* x, double* g);
template <class T>
void gram_xty(std::int64_t n, std::int64_t d, std::int64_t e, const T* x, const T* y, double* g);
template <class T>
std::int32_t correlation_blocks(std::int64_t n, std::int64_t d, const T* x,
                                const std::function<void(const GramBlock&)>& visit);
template <class T>
void centred_blocks(std::int64_t n, std::int64_t d, const T* x, const std::function<void(const GramBlock&)>& visit);
/// `scaled`: z-scored too.
template <class T>
void centre_columns(std::int64_t n, std::int64_t d, const T* x, double* z, bool scaled);
/// Number of rows without variance.
std::int32_t standardise_rows(std::int64_t n, std::int64_t d, const double* x, double* z);

}  // namespace fast

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Columns minus their means; taking the first row off before averaging leaves a constant column exactly zero.
template <class T>
void centre(std::span<const T> x, std::int64_t n, std::int64_t d, std::span<double> z) {
  if (n == 0) return;
  const std::vector<T> first(x.begin(), x.begin() + d);  // z may be x
  std::vector<double> mean(index(d), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) {
      const double shifted = double(x[index(i * d + c)]) - double(first[index(c)]);
      z[index(i * d + c)] = shifted;
      mean[index(c)] += shifted;
    }
  }
  for (double& value : mean) value /= double(n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < d; ++c) z[index(i * d + c)] -= mean[index(c)];
  }
}

/// Vectors that lie in a matrix as rows or as columns.
template <class T>
struct Vectors {
  const T* data;
  std::int64_t stride, term_stride;
  double operator()(std::int64_t i, std::int64_t p) const { return double(data[i * stride + p * term_stride]); }
};

/// g[i,j] = sum_p x(i, p) y(j, p)
template <class T>
void products(std::int64_t n, std::int64_t m, std::int64_t depth, Vectors<T> x, Vectors<T> y, std::span<double> g) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < m; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < depth; ++p) sum += x(i, p) * y(j, p);
      g[index(i * m + j)] = sum;
    }
  }
}

void check_matrix(const char* op, const char* name, std::size_t size, std::int64_t rows, std::int64_t columns) {
  AKIN_CHECK(rows >= 0 && columns >= 0 && size == index(rows) * index(columns),
             "{}: {} holds {} values, expected {} x {}", op, name, size, rows, columns);
}

}  // namespace

void check_gram(const char* op, std::int64_t n, std::int64_t m, std::int64_t depth, std::size_t x, std::size_t y,
                std::size_t g) {
  check_matrix(op, "x", x, n, depth);
  check_matrix(op, "y", y, m, depth);
  check_matrix(op, "g", g, n, m);
}

void check_columns(const char* op, std::int64_t n, std::int64_t d, std::size_t x, std::size_t z) {
  check_matrix(op, "x", x, n, d);
  check_matrix(op, "z", z, n, d);
}

MatrixBatch matrix_batch(std::int64_t n, std::span<const std::int64_t> columns) {
  AKIN_CHECK(n > 0 && !columns.empty() && columns.size() <= std::size_t{MatrixBatch::kMost},
             "matrix_batch: {} matrices of {} rows, expected 1 to {} of at least 1", columns.size(), n,
             MatrixBatch::kMost);
  MatrixBatch batch{n, static_cast<int>(columns.size())};
  for (std::size_t s = 0; s < columns.size(); ++s) {
    AKIN_CHECK(columns[s] > 0, "matrix_batch: matrix {} has {} columns", s, columns[s]);
    batch.first[s + 1] = batch.first[s] + columns[s];
  }
  return batch;
}

void check_batch(const char* op, const MatrixBatch& batch, std::size_t x, std::size_t z) {
  AKIN_CHECK(batch.count > 0 && batch.count <= MatrixBatch::kMost, "{}: a batch of {} matrices", op, batch.count);
  check_columns(op, batch.n, batch.first[batch.count], x, z);
}

template <class T, class Dev>
void gram_xyt(const Stream<Dev>& stream, std::int64_t n, std::int64_t m, std::int64_t k, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xyt", n, m, k, x.size(), y.size(), g.size());
  if (stream.fast) return fast::gram_xyt(n, m, k, x.data(), y.data(), g.data());
  products<T>(n, m, k, {x.data(), k, 1}, {y.data(), k, 1}, g);
}

template <class T, class Dev>
void gram_xxt(const Stream<Dev>& stream, std::int64_t n, std::int64_t k, std::span<const T> x, std::span<double> g) {
  check_gram("gram_xxt", n, n, k, x.size(), x.size(), g.size());
  if (stream.fast) return fast::gram_xxt(n, k, x.data(), g.data());
  products<T>(n, n, k, {x.data(), k, 1}, {x.data(), k, 1}, g);
}

template <class T, class Dev>
void gram_xty(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::int64_t e, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xty", d, e, n, x.size(), y.size(), g.size());
  if (stream.fast) return fast::gram_xty(n, d, e, x.data(), y.data(), g.data());
  products<T>(d, e, n, {x.data(), 1, d}, {y.data(), 1, e}, g);
}

template <class T, class Dev>
void centre_columns(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double*) {
  check_columns("centre_columns", n, d, x.size(), z.size());
  if (stream.fast) return fast::centre_columns(n, d, x.data(), z.data(), false);
  centre(x, n, d, z);
}

template <class T, class Dev>
void zscore_columns(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double*) {
  check_columns("zscore_columns", n, d, x.size(), z.size());
  if (stream.fast) return fast::centre_columns(n, d, x.data(), z.data(), true);
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

template <class Dev>
void standardise_rows(const Stream<Dev>& stream, std::int64_t n, std::int64_t d, std::span<const double> x,
                      std::span<double> z, std::int32_t* flat) {
  check_columns("standardise_rows", n, d, x.size(), z.size());
  if (stream.fast) {
    if (d > 0) *flat += fast::standardise_rows(n, d, x.data(), z.data());
    return;
  }
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
    if (norm == 0) ++*flat;
    for (double& value : out) value = norm == 0 ? 0.0 : value / norm;
  }
}

template <class T>
std::int32_t correlation_blocks(const Stream<Cpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                                const std::function<void(const GramBlock&)>& visit) {
  check_matrix("correlation_blocks", "x", x.size(), n, d);
  AKIN_CHECK(d > 0, "correlation_blocks: rows of {} numbers, expected at least 1", d);
  if (stream.fast) return fast::correlation_blocks(n, d, x.data(), visit);
  std::vector<double> z(x.size()), g(index(n * n));
  std::int32_t flat = 0;
  zscore_columns(stream, n, d, x, std::span<double>(z));
  standardise_rows(stream, n, d, z, z, &flat);
  gram_xxt<double>(stream, n, d, z, g);
  visit({0, 0, n, n, n, g.data(), 0});
  return flat;
}

template <class T>
void centred_blocks(const Stream<Cpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    const std::function<void(const GramBlock&)>& visit) {
  check_matrix("centred_blocks", "x", x.size(), n, d);
  if (stream.fast) return fast::centred_blocks(n, d, x.data(), visit);
  std::vector<double> z(x.size()), g(index(n * n));
  centre_columns(stream, n, d, x, std::span<double>(z));
  gram_xxt<double>(stream, n, d, z, g);
  visit({0, 0, n, n, n, g.data(), 0});
}

using N = std::int64_t;
#define AKIN_INSTANTIATE(T)                                                                                          \
  template void gram_xyt<T>(const Stream<Cpu>&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>); \
  template void gram_xxt<T>(const Stream<Cpu>&, N, N, std::span<const T>, std::span<double>);                        \
  template void gram_xty<T>(const Stream<Cpu>&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>); \
  template std::int32_t correlation_blocks<T>(const Stream<Cpu>&, N, N, std::span<const T>,                          \
                                              const std::function<void(const GramBlock&)>&);                         \
  template void centred_blocks<T>(const Stream<Cpu>&, N, N, std::span<const T>,                                      \
                                  const std::function<void(const GramBlock&)>&);                                     \
  template void centre_columns<T>(const Stream<Cpu>&, N, N, std::span<const T>, std::span<double>, double*);         \
  template void zscore_columns<T>(const Stream<Cpu>&, N, N, std::span<const T>, std::span<double>, double*);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)
template void standardise_rows(const Stream<Cpu>&, N, N, std::span<const double>, std::span<double>, std::int32_t*);

}  // namespace akin
