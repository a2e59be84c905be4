#include "kernels/gram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "tests/gpu_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kGuard = 12345.0;

template <class T>
std::vector<T> random(std::int64_t n, std::uint64_t seed) {
  std::vector<T> x(static_cast<std::size_t>(n));
  Rng rng(seed);
  for (T& value : x) value = static_cast<T>(rng.normal() + 0.5f);
  return x;
}

/// An output filled with NaN between two guard zones.
struct Output {
  explicit Output(std::int64_t n) : data(static_cast<std::size_t>(n + 16), kGuard), size(static_cast<std::size_t>(n)) {
    std::fill(span().begin(), span().end(), kNan);
  }
  std::span<double> span() { return std::span(data).subspan(8, size); }
  bool guards_intact() const {
    for (std::size_t i = 0; i < 8; ++i) {
      if (data[i] != kGuard || data[data.size() - 1 - i] != kGuard) return false;
    }
    return true;
  }
  std::vector<double> data;
  std::size_t size;
};

/// Largest |g - sum_k x y| in units of its bound: a chain of K additions of products errs by at most
/// K eps sum_k |x y| (long double makes the reference's own error nothing).
template <class At>
double error_in_bounds(std::span<const double> g, std::int64_t rows, std::int64_t columns, std::int64_t depth,
                       At&& at) {
  double worst = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      long double sum = 0, magnitude = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        const long double product = at(i, j, k);
        sum += product;
        magnitude += std::fabs(product);
      }
      const double bound = double(depth) * 0x1p-52 * double(magnitude) + 1e-300;
      const double error =
          std::fabs(double(sum - static_cast<long double>(g[static_cast<std::size_t>(i * columns + j)]))) / bound;
      if (!(error <= worst)) worst = error;
      if (std::isnan(error)) return error;
    }
  }
  return worst;
}

template <class T, class Function>
double check_xyt(Function&& gram, std::int64_t n, std::int64_t m, std::int64_t k) {
  const auto x = random<T>(n * k, 1), y = random<T>(m * k, 2);
  Output g(n * m);
  gram(n, m, k, std::span<const T>(x), std::span<const T>(y), g.span());
  CHECK(g.guards_intact());
  return error_in_bounds(g.span(), n, m, k, [&](auto i, auto j, auto p) {
    return static_cast<long double>(x[static_cast<std::size_t>(i * k + p)]) * y[static_cast<std::size_t>(j * k + p)];
  });
}

const std::int64_t kSizes[] = {1, 3, 4, 7, 10, 16, 17, 31, 33};
const std::int64_t kDepths[] = {1, 7, 33, 256, 257, 515};

template <class T>
void check_all() {
  for (const std::int64_t n : kSizes) {
    for (const std::int64_t k : kDepths) {
      const std::int64_t m = 34 - n;
      CAPTURE(n);
      CAPTURE(m);
      CAPTURE(k);
      const auto x = random<T>(n * k, 3), y = random<T>(m * k, 4);
      for (const Stream<Cpu>& stream : {kSpec, kFast}) {
        CHECK(check_xyt<T>([&](auto... a) { gram_xyt<T>(stream, a...); }, n, m, k) <= 1);
        Output g(n * n), c(n * m);
        gram_xxt<T>(stream, n, k, x, g.span());
        CHECK(g.guards_intact());
        CHECK(error_in_bounds(g.span(), n, n, k, [&](auto i, auto j, auto p) {
                return static_cast<long double>(x[std::size_t(i * k + p)]) * x[std::size_t(j * k + p)];
              }) <= 1);
        // The same numbers read as X [k,n] and Y [k,m].
        gram_xty<T>(stream, k, n, m, x, y, c.span());
        CHECK(c.guards_intact());
        CHECK(error_in_bounds(c.span(), n, m, k, [&](auto i, auto j, auto p) {
                return static_cast<long double>(x[std::size_t(p * n + i)]) * y[std::size_t(p * m + j)];
              }) <= 1);
      }
    }
  }
}

}  // namespace

TEST_CASE("gram: specification and fast path against long double sums, float") { check_all<float>(); }
TEST_CASE("gram: specification and fast path against long double sums, double") { check_all<double>(); }

TEST_CASE("gram: a kernel that forgets its last term is rejected") {
  const auto mutant = [](std::int64_t n, std::int64_t m, std::int64_t k, std::span<const double> x,
                         std::span<const double> y, std::span<double> g) {
    gram_xyt<double>(kSpec, n, m, k, x, y, g);
    g.back() -= x.back() * y.back();
  };
  CHECK_FALSE(check_xyt<double>(mutant, 7, 17, 33) <= 1);
  const auto silent = [](auto...) {};  // leaves the NaN
  CHECK_FALSE(check_xyt<double>(silent, 7, 17, 33) <= 1);
}

TEST_CASE("gram: equal rows give equal elements wherever they lie, and any number of threads the same bits") {
  const std::int64_t n = 61, k = 301;
  auto x = random<float>(n * k, 5);
  for (std::int64_t p = 0; p < k; ++p) x[std::size_t(58 * k + p)] = x[std::size_t(2 * k + p)];
  std::vector<double> g(n * n, kNan), again(n * n, kNan);
  gram_xxt<float>(kFast, n, k, x, g);
  for (std::int64_t i = 0; i < n; ++i) {
    CHECK_EQ(g[std::size_t(i * n + 58)], g[std::size_t(i * n + 2)]);
    CHECK_EQ(g[std::size_t(2 * n + i)], g[std::size_t(i * n + 58)]);
  }
  const int threads = max_threads();
  set_threads(3);
  gram_xxt<float>(kFast, n, k, x, again);
  set_threads(threads);
  CHECK(g == again);
}

TEST_CASE("gram: a matrix with itself gives the bits that it gives with a copy, larger than a block") {
  const std::int64_t n = 37, d = 230;
  const auto x = random<double>(n * d, 8);
  const auto copy = x;
  std::vector<double> self(d * d, kNan), other(d * d, kNan);
  gram_xty<double>(kFast, n, d, d, x, x, self);
  gram_xty<double>(kFast, n, d, d, x, copy, other);
  CHECK(self == other);
  std::vector<double> rows(d * d, kNan), pairs(d * d, kNan);
  gram_xxt<double>(kFast, d, n, x, rows);  // the same numbers read as [d, n]
  gram_xyt<double>(kFast, d, d, n, x, copy, pairs);
  CHECK(rows == pairs);
}

namespace {

/// What correlation_blocks hands out, [n,n], NaN where it says nothing; each i <= j must come once.
template <class T>
std::vector<double> correlations(const Stream<Cpu>& stream, std::int64_t n, std::int64_t d, const std::vector<T>& x,
                                 std::int32_t expected_flat) {
  std::vector<double> r(static_cast<std::size_t>(n * n), kNan);
  std::vector<std::atomic<int>> times(r.size());
  std::atomic<bool> threads_fit{true};
  const std::int32_t flat = correlation_blocks<T>(stream, n, d, x, [&](const GramBlock& b) {
    if (b.thread < 0 || b.thread >= max_threads()) threads_fit = false;
    for (std::int64_t i = 0; i < b.rows; ++i)
      for (std::int64_t j = 0; j < b.columns; ++j)
        if (b.i0 + i <= b.j0 + j) {
          const auto at = static_cast<std::size_t>((b.i0 + i) * n + b.j0 + j);
          ++times[at];
          r[at] = b.g[i * b.stride + j];
        }
  });
  CHECK_EQ(flat, expected_flat);
  CHECK(threads_fit);
  bool once = true;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i; j < n; ++j) once = once && times[static_cast<std::size_t>(i * n + j)] == 1;
  CHECK(once);
  return r;
}

template <class T>
void check_correlations(std::int64_t n, std::int64_t d) {
  CAPTURE(n);
  CAPTURE(d);
  auto x = random<T>(n * d, 9);
  for (std::int64_t i = 0; i < n; ++i) x[std::size_t(i * d)] = T(0.1);  // a constant column
  if (n > 3)                                                            // and repeated rows
    for (std::int64_t c = 0; c < d; ++c) x[std::size_t((n - 1) * d + c)] = x[std::size_t(d + c)];
  std::vector<long double> z(x.begin(), x.end());
  for (std::int64_t c = 0; c < d; ++c) {
    long double mean = 0, square = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += z[std::size_t(i * d + c)] / n;
    for (std::int64_t i = 0; i < n; ++i)
      square += (z[std::size_t(i * d + c)] - mean) * (z[std::size_t(i * d + c)] - mean);
    for (std::int64_t i = 0; i < n; ++i)
      z[std::size_t(i * d + c)] = c == 0 || n == 1 ? 0 : (z[std::size_t(i * d + c)] - mean) / std::sqrt(square / n);
  }
  std::int32_t flat = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    long double mean = 0, square = 0;
    for (std::int64_t c = 0; c < d; ++c) mean += z[std::size_t(i * d + c)] / d;
    for (std::int64_t c = 0; c < d; ++c) square += (z[std::size_t(i * d + c)] -= mean) * z[std::size_t(i * d + c)];
    flat += d == 1 || n == 1;
    for (std::int64_t c = 0; c < d; ++c)
      z[std::size_t(i * d + c)] = d == 1 || n == 1 ? 0 : z[std::size_t(i * d + c)] / std::sqrt(square);
  }
  for (const Stream<Cpu>& stream : {kSpec, kFast}) {
    const auto r = correlations<T>(stream, n, d, x, flat);
    double worst = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = i; j < n; ++j) {
        long double expected = 0;
        for (std::int64_t c = 0; c < d; ++c) expected += z[std::size_t(i * d + c)] * z[std::size_t(j * d + c)];
        const double error = std::fabs(double(r[std::size_t(i * n + j)] - expected));
        if (!(error <= worst)) worst = error;
      }
    // Three sums of n or d terms of rounded numbers; eps a term, of values whose norm is 1.
    CHECK(worst <= 8 * double(n + d) * 0x1p-52);
    for (std::int64_t i = 2; n > 4 && i + 1 < n; ++i)
      CHECK_EQ(r[std::size_t(i * n + n - 1)], r[std::size_t(n + i)]);  // ties of repeated rows, wherever they lie
  }
}

}  // namespace

TEST_CASE("gram: correlations in blocks against long double, both types, odd sizes, more rows than columns and fewer") {
  for (const auto& [n, d] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 3}, {2, 2}, {7, 5}, {5, 1}, {25, 33}, {97, 31}, {100, 257}, {193, 7}}) {
    check_correlations<float>(n, d);
    check_correlations<double>(n, d);
  }
  const std::int64_t n = 120, d = 37;
  const auto x = random<float>(n * d, 10);
  const auto one = correlations<float>(kFast, n, d, x, 0);
  const int threads = max_threads();
  set_threads(3);
  const auto three = correlations<float>(kFast, n, d, x, 0);
  set_threads(threads);
  bool equal = true;
  for (std::size_t i = 0; i < one.size(); ++i) equal = equal && (one[i] == three[i] || std::isnan(one[i]));
  CHECK(equal);
  CHECK_THROWS_AS(correlation_blocks<float>(kFast, n, d + 1, x, [](const GramBlock&) {}), Error);
  CHECK_THROWS_AS(correlation_blocks<float>(kFast, 0, 0, std::span<const float>(), [](const GramBlock&) {}), Error);
}

TEST_CASE("gram: blocks of centred rows are the matrix of centred columns to the bit") {
  for (const auto& [n, d] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 3}, {7, 33}, {100, 31}, {193, 7}}) {
    CAPTURE(n);
    const auto x = random<float>(n * d, 12);
    for (const Stream<Cpu>& stream : {kSpec, kFast}) {
      std::vector<double> z(x.size(), kNan), g(static_cast<std::size_t>(n * n), kNan), again = g;
      centre_columns<float>(stream, n, d, x, z);
      gram_xxt<double>(stream, n, d, z, g);
      centred_blocks<float>(stream, n, d, x, [&, n = n](const GramBlock& b) {
        for (std::int64_t i = 0; i < b.rows; ++i)
          for (std::int64_t j = 0; j < b.columns; ++j)
            if (b.i0 + i <= b.j0 + j)
              again[std::size_t((b.i0 + i) * n + b.j0 + j)] = again[std::size_t((b.j0 + j) * n + b.i0 + i)] =
                  b.g[i * b.stride + j];
      });
      CHECK(g == again);
    }
    CHECK_THROWS_AS(centred_blocks<float>(kFast, n, d + 1, x, [](const GramBlock&) {}), Error);
  }
}

TEST_CASE("gram: the fast columns are the specification's to the bit, in place too") {
  for (const auto& [n, d] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {7, 33}, {33, 7}, {70, 130}, {0, 3}}) {
    CAPTURE(n);
    CAPTURE(d);
    const auto x = random<double>(n * d, 11);
    std::vector<double> spec(x.size(), kNan), fast(x.size(), kNan);
    for (const bool scaled : {false, true}) {
      const auto columns = [&](const Stream<Cpu>& stream, std::span<const double> from, std::span<double> to) {
        if (scaled)
          zscore_columns<double>(stream, n, d, from, to);
        else
          centre_columns<double>(stream, n, d, from, to);
      };
      columns(kSpec, x, spec);
      columns(kFast, x, fast);
      CHECK(spec == fast);
      for (const Stream<Cpu>& stream : {kSpec, kFast}) {
        std::vector<double> z = x;
        columns(stream, z, z);
        CHECK(z == spec);
      }
    }
    std::vector<double> rows(x.size(), kNan);
    std::int32_t flat_spec = 0, flat_fast = 0;
    standardise_rows(kSpec, n, d, x, spec, &flat_spec);
    standardise_rows(kFast, n, d, x, rows, &flat_fast);
    CHECK_EQ(flat_spec, flat_fast);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(std::fabs(rows[i] - spec[i]) <= 4 * double(d) * 0x1p-52);
  }
}

TEST_CASE("gram: empty matrices and wrong sizes") {
  std::vector<double> none, some(6, 1.0), out(4, kNan);
  gram_xxt<double>(kFast, 0, 5, none, none);
  gram_xyt<double>(kFast, 2, 2, 0, none, none, out);
  for (const double value : out) CHECK_EQ(value, 0.0);
  CHECK_THROWS_AS(gram_xxt<double>(kFast, 2, 2, some, out), Error);
  CHECK_THROWS_AS(gram_xxt<double>(kSpec, 2, 2, some, out), Error);
  CHECK_THROWS_AS(gram_xty<double>(kFast, 3, 2, 2, some, some, none), Error);
  CHECK_THROWS_AS(zscore_columns<double>(kSpec, 3, 2, some, out), Error);
  CHECK_THROWS_AS(centre_columns<double>(kSpec, -3, -2, some, some), Error);
}

TEST_CASE("gram: columns are centred and scaled; a constant column is zero, not rounding noise") {
  const std::int64_t n = 33, d = 7;
  auto x = random<double>(n * d, 6);
  for (std::int64_t i = 0; i < n; ++i) {
    x[std::size_t(i * d + 3)] = 0.1;
    x[std::size_t(i * d + 4)] += 1e6;
  }
  std::vector<double> centred(n * d, kNan), scaled(n * d, kNan);
  centre_columns<double>(kSpec, n, d, x, centred);
  zscore_columns<double>(kSpec, n, d, x, scaled);
  for (std::int64_t c = 0; c < d; ++c) {
    long double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += x[std::size_t(i * d + c)];
    mean /= n;
    for (std::int64_t i = 0; i < n; ++i)
      variance += (x[std::size_t(i * d + c)] - mean) * (x[std::size_t(i * d + c)] - mean);
    variance /= n;  // population
    for (std::int64_t i = 0; i < n; ++i) {
      const std::size_t at = std::size_t(i * d + c);
      if (c == 3) {
        CHECK_EQ(centred[at], 0.0);
        CHECK_EQ(scaled[at], 0.0);
      } else {
        // Values of up to 3, sums of 33 of them: 33 eps * 3 * 3 for the column as shifted by its first value.
        const double tolerance = 33 * 0x1p-52 * 9;
        CHECK(std::fabs(double(centred[at] - (x[at] - mean))) <= tolerance);
        CHECK(std::fabs(double(scaled[at] - (x[at] - mean) / std::sqrt(variance))) <= 4 * tolerance);
      }
    }
  }
}

TEST_CASE("gram: standardised rows have inner products that are Pearson correlations") {
  const std::int64_t n = 9, d = 31;
  auto x = random<double>(n * d, 7);
  for (std::int64_t c = 0; c < d; ++c) x[std::size_t(4 * d + c)] = 0.3;
  std::vector<double> z(n * d, kNan), g(n * n, kNan);
  std::int32_t flat = 0;
  standardise_rows(kSpec, n, d, x, z, &flat);
  CHECK_EQ(flat, 1);
  gram_xxt<double>(kFast, n, d, z, g);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      long double mi = 0, mj = 0, ii = 0, jj = 0, ij = 0;
      for (std::int64_t c = 0; c < d; ++c) mi += x[std::size_t(i * d + c)] / d, mj += x[std::size_t(j * d + c)] / d;
      for (std::int64_t c = 0; c < d; ++c) {
        const long double a = x[std::size_t(i * d + c)] - mi, b = x[std::size_t(j * d + c)] - mj;
        ii += a * a;
        jj += b * b;
        ij += a * b;
      }
      const double expected = i == 4 || j == 4 ? 0.0 : double(ij / std::sqrt(ii * jj));
      CHECK(std::fabs(g[std::size_t(i * n + j)] - expected) <= 4 * 31 * 0x1p-52);
    }
  }
}

namespace {

struct DeviceGram {
  std::int64_t n, m, k;
};

template <class T>
std::span<T> all(const Tensor& t) {
  return {t.data<T>(), static_cast<std::size_t>(t.numel())};
}

template <class T>
void check_on_device(Context& ctx, const DeviceGram& s, std::int64_t first) {
  const auto [n, m, k] = s;
  CAPTURE(n);
  CAPTURE(k);
  const auto x = random<T>(n * k, 1), y = random<T>(m * k, 2);
  const Tensor dx = on_device(ctx, x, first), dy = on_device(ctx, y, first);
  const Tensor xyt = room<double>(ctx, n * m), xxt = room<double>(ctx, n * n), xty = room<double>(ctx, n * m);
  on_gpu(ctx, [&, n = n, m = m, k = k](const auto& stream) {
    gram_xyt<T>(stream, n, m, k, all<T>(dx), all<T>(dy), all<double>(xyt));
    gram_xxt<T>(stream, n, k, all<T>(dx), all<double>(xxt));
    gram_xty<T>(stream, k, n, m, all<T>(dx), all<T>(dy), all<double>(xty));  // read as X [k,n], Y [k,m]
  });
  const auto at = [](const std::vector<T>& v, std::int64_t i) { return static_cast<long double>(v[std::size_t(i)]); };
  const auto found = to_host<double>(xyt), square = to_host<double>(xxt), columns = to_host<double>(xty);
  CHECK(error_in_bounds(found, n, m, k,
                        [&, kk = k](auto i, auto j, auto p) { return at(x, i * kk + p) * at(y, j * kk + p); }) <= 1);
  CHECK(error_in_bounds(square, n, n, k,
                        [&, kk = k](auto i, auto j, auto p) { return at(x, i * kk + p) * at(x, j * kk + p); }) <= 1);
  CHECK(error_in_bounds(columns, n, m, k, [&, nn = n, mm = m](auto i, auto j, auto p) {
          return at(x, p * nn + i) * at(y, p * mm + j);
        }) <= 1);
  // The chain is the definition's with fused multiply-adds, wherever the element lies and whatever the tile.
  bool same = true;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < k; ++p)
        sum = std::fma(double(x[std::size_t(i * k + p)]), double(x[std::size_t(j * k + p)]), sum);
      same = same && square[std::size_t(i * n + j)] == sum;
    }
  CHECK(same);
}

}  // namespace

TEST_CASE("gram: the CUDA kernels, in the definition's own order of summation") {
  on_gpus([](Context& ctx) {
    for (const DeviceGram& s : {DeviceGram{1, 1, 1},
                                {7, 33, 31},
                                {33, 7, 33},
                                {31, 70, 16},
                                {100, 1, 17},
                                {5, 5, 0},
                                {0, 4, 3},
                                {150, 140, 35}}) {  // the last: tiles of 64
      check_on_device<float>(ctx, s, 1);
      check_on_device<double>(ctx, s, 0);
    }
    check_on_device<double>(ctx, {260, 3, 5}, 1);  // many tiles of 64 in a triangle
  });
}

TEST_CASE("gram: columns and rows are centred and scaled on the device") {
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1}, {33, 7}, {7, 257}, {40, 33}, {0, 3}};
  on_gpus([&](Context& ctx) {
    for (const auto& [n, d] : sizes) {
      CAPTURE(n);
      auto x = random<double>(n * d, 6);
      for (std::int64_t i = 0; i < n && d > 4; ++i) x[std::size_t(i * d + 3)] = 0.1, x[std::size_t(i * d + 4)] += 1e6;
      for (std::int64_t c = 0; c < d && n > 5; ++c) x[std::size_t(5 * d + c)] = 0.3;
      std::vector<double> centred(x.size()), scaled(x.size()), rows(x.size());
      centre_columns<double>(kSpec, n, d, x, centred);
      zscore_columns<double>(kSpec, n, d, x, scaled);
      std::int32_t flat = 0;
      standardise_rows(kSpec, n, d, x, rows, &flat);
      const Tensor dx = on_device(ctx, x), scratch = room<double>(ctx, 3 * d), c = room<double>(ctx, n * d);
      const Tensor z = on_device(ctx, x), r = on_device(ctx, x), count = on_device(ctx, std::vector<std::int32_t>{0});
      const Tensor squares = room<double>(ctx, n), parts = room<double>(ctx, kDotScratch), dot = room<double>(ctx, 1);
      on_gpu(ctx, [&, n = n, d = d](const auto& stream) {
        centre_columns<double>(stream, n, d, all<double>(dx), all<double>(c), scratch.data<double>());
        zscore_columns<double>(stream, n, d, all<double>(z), all<double>(z), scratch.data<double>());  // in place
        standardise_rows(stream, n, d, all<double>(r), all<double>(r), count.data<std::int32_t>());
        row_squares(stream, n, d, dx.data<double>(), squares.data<double>());
        akin::dot(stream, n * d, dx.data<double>(), c.data<double>(), parts.data<double>(), dot.data<double>());
      });
      CHECK_EQ(to_host<std::int32_t>(count)[0], flat);
      const auto close = [](const std::vector<double>& found, const std::vector<double>& expected, double tol) {
        for (std::size_t i = 0; i < found.size(); ++i)
          if (!(std::fabs(found[i] - expected[i]) <= tol)) return false;
        return true;
      };
      CHECK(to_host<double>(c) == centred);
      // The order is the same; a fused multiply-add may be one on one side only: eps a term, of sums of 40 terms.
      CHECK(close(to_host<double>(z), scaled, 40 * 0x1p-52 * 8));
      // Sums of d terms in another order, of values that a column of 1e6 dominates: each is a share of the row's norm.
      CHECK(close(to_host<double>(r), rows, 4 * double(d) * 0x1p-52));
      double total = 0, magnitude = 0;
      for (std::size_t i = 0; i < x.size(); ++i) total += x[i] * centred[i], magnitude += std::fabs(x[i] * centred[i]);
      CHECK(std::fabs(to_host<double>(dot)[0] - total) <= double(x.size()) * 0x1p-52 * magnitude);
      for (std::int64_t i = 0; i < n; ++i) {
        double square = 0;
        for (std::int64_t k = 0; k < d; ++k) square += x[std::size_t(i * d + k)] * x[std::size_t(i * d + k)];
        CHECK(std::fabs(to_host<double>(squares)[std::size_t(i)] - square) <= double(d) * 0x1p-52 * square);
      }
    }
  });
}
