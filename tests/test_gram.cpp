#include "kernels/gram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
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
  on_gpu(ctx, {"test", {}}, [&, n = n, m = m, k = k](const auto& stream) {
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
  const std::pair<std::int64_t, std::int64_t> sizes[] = {{1, 1}, {33, 7}, {7, 257}, {40, 33},
                                                         {0, 3}, {65, 6}, {600, 5}};
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
      const Tensor dx = on_device(ctx, x), scratch = room<double>(ctx, columns_scratch(n, d)),
                   c = room<double>(ctx, n * d);
      const Tensor z = on_device(ctx, x), r = on_device(ctx, x), count = on_device(ctx, std::vector<std::int32_t>{0});
      const Tensor squares = room<double>(ctx, n), parts = room<double>(ctx, kDotScratch), dot = room<double>(ctx, 1);
      on_gpu(ctx, {"test", {}}, [&, n = n, d = d](const auto& stream) {
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
      if (n <= kPartRows)
        CHECK(to_host<double>(c) == centred);
      else  // sums of n terms, of up to 8 (1e6 in a column) above the first row, in another order
        CHECK(close(to_host<double>(c), centred, double(n) * 0x1p-52 * 8));
      // A fused multiply-add may be one on one side only: eps a term, of sums of n terms.
      CHECK(close(to_host<double>(z), scaled, double(n < 40 ? 40 : n) * 0x1p-52 * 8));
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
