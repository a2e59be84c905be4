// Gram matrices handed out in blocks, and the columns and rows that they are made of.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/gram.hpp"

using namespace akin;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class T>
std::vector<T> random(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> x;
  while (static_cast<std::int64_t>(x.size()) < n) x.push_back(static_cast<T>(rng.normal() + 0.5f));
  return x;
}

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
