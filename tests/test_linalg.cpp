// Eigenvalues and Cholesky factors of Gram matrices, against what defines them.
#include "distill/similarity/metrics/linalg.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/common/parallel.hpp"
#include "kernels/gram.hpp"
#include "tests/similarity_cases.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("linalg: eigenvalues of many images with few features, whose zeros are all rounding") {
  // Features of unlike strength, as networks have: the block of zeros then comes between larger values.
  for (const std::int64_t m : {150, 200, 370})
    for (const std::int64_t rank : {20, 63, 120})
      for (const double decay : {1.0, 0.95, 0.8}) {
        CAPTURE(m);
        CAPTURE(rank);
        CAPTURE(decay);
        const Probe probe = random_probe(m, rank, 2, 0.5, std::uint64_t(m + rank));
        std::vector<double> x(probe.features.as<double>().begin(), probe.features.as<double>().end());
        for (std::int64_t i = 0; i < m * rank; ++i) x[std::size_t(i)] *= std::pow(decay, double(i % rank));
        centre_columns<double>(kSpec, m, rank, x, x);
        std::vector<double> g(std::size_t(m * m));
        gram_xxt<double>(kFast, m, rank, x, g);
        Eigen eigen;
        REQUIRE_NOTHROW(eigen = eigen_psd(g, m));
        // G v = lambda v, for the vectors of both ends.
        double worst = 0;
        for (const std::int64_t k : {std::int64_t{0}, rank - 1, rank, m - 1})
          for (std::int64_t i = 0; i < m; ++i) {
            double product = 0;
            for (std::int64_t j = 0; j < m; ++j)
              product += g[std::size_t(i * m + j)] * eigen.vectors[std::size_t(k * m + j)];
            worst = std::max(worst,
                             std::abs(product - eigen.values[std::size_t(k)] * eigen.vectors[std::size_t(k * m + i)]));
          }
        CHECK(worst <= 20 * double(m) * 0x1p-52 * eigen.values[0]);
        CHECK(eigen.values[std::size_t(rank)] <= 20 * double(m) * 0x1p-52 * eigen.values[0]);
      }
}

TEST_CASE("linalg: eigenvalues and Cholesky factors") {
  for (const std::int64_t m : {1, 2, 3, 7, 33, 64, 130}) {
    for (const std::int64_t rank : {m, std::max<std::int64_t>(1, m / 3)}) {
      CAPTURE(m);
      CAPTURE(rank);
      const Probe probe = random_probe(m, rank, 2, 0.5, std::uint64_t(m));
      std::vector<double> g(std::size_t(m * m));
      gram_xxt<double>(kSpec, m, rank, probe.features.as<double>(), g);
      const Eigen eigen = eigen_psd(g, m);
      const std::vector<double>& v = eigen.vectors;
      // Backward errors of either stage are a few eps m of the largest eigenvalue.
      const double tolerance = 20 * double(m) * 0x1p-52;
      double worst = 0, worst_unit = 0, trace = 0;
      for (std::int64_t i = 0; i < m; ++i) {
        trace += g[std::size_t(i * m + i)] - eigen.values[std::size_t(i)];
        for (std::int64_t j = 0; j < m; ++j) {
          double rebuilt = 0, product = 0;
          for (std::int64_t k = 0; k < m; ++k) {
            rebuilt += eigen.values[std::size_t(k)] * v[std::size_t(k * m + i)] * v[std::size_t(k * m + j)];
            product += v[std::size_t(i * m + k)] * v[std::size_t(j * m + k)];
          }
          worst = std::max(worst, std::abs(rebuilt - g[std::size_t(i * m + j)]));
          worst_unit = std::max(worst_unit, std::abs(product - (i == j)));
        }
        if (i > 0) CHECK(eigen.values[std::size_t(i)] <= eigen.values[std::size_t(i - 1)]);
        if (i >= rank) CHECK(eigen.values[std::size_t(i)] <= tolerance * eigen.values[0]);
      }
      CHECK(worst <= tolerance * eigen.values[0]);
      CHECK(worst_unit <= tolerance);
      CHECK(std::abs(trace) <= tolerance * eigen.values[0]);
      const int threads = max_threads();
      set_threads(3);
      CHECK(eigen_psd(g, m).vectors == v);
      set_threads(threads);

      const Cholesky singular(g, m);
      if (rank < m) {
        CHECK_FALSE(singular.positive());
        continue;
      }
      for (std::int64_t i = 0; i < m; ++i) g[std::size_t(i * m + i)] += 1;
      const Cholesky factor(g, m);
      REQUIRE(factor.positive());
      double log_det = 0, form = 0;
      std::vector<double> b;
      for (std::int64_t i = 0; i < m; ++i) b.push_back(std::cos(double(i)));
      for (std::int64_t k = 0; k < m; ++k) {
        double projected = 0;
        for (std::int64_t i = 0; i < m; ++i) projected += v[std::size_t(k * m + i)] * b[std::size_t(i)];
        log_det += std::log(eigen.values[std::size_t(k)] + 1);
        form += projected * projected / (eigen.values[std::size_t(k)] + 1);
      }
      CHECK(close(factor.log_det(), log_det, 1e-10 * double(m)));
      CHECK(close(factor.inverse_form(b), form, 1e-10 * double(m)));
    }
  }
  const Eigen zero = eigen_psd(std::vector<double>(16, 0.0), 4);
  CHECK(zero.values == std::vector<double>(4, 0.0));
  const Eigen diagonal = eigen_psd(std::vector<double>{2, 0, 0, 0, 5, 0, 0, 0, 0}, 3);
  CHECK(close(diagonal.values[0], 5, 1e-15));
  CHECK(close(diagonal.values[1], 2, 1e-15));
  CHECK_EQ(diagonal.values[2], 0);
}
