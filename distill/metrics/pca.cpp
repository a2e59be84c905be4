#include "distill/metrics/pca.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/common/error.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

/// Fixed lanes, so that the sums vectorise and keep their order on every machine.
struct RowProducts {
  double pp, qq, pq;
};
RowProducts row_products(const double* p, const double* q, std::int64_t m) {
  constexpr int kLanes = 16;
  double pp[kLanes] = {}, qq[kLanes] = {}, pq[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= m; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      pp[l] += p[i + l] * p[i + l];
      qq[l] += q[i + l] * q[i + l];
      pq[l] += p[i + l] * q[i + l];
    }
  }
  for (; i < m; ++i) {
    pp[0] += p[i] * p[i];
    qq[0] += q[i] * q[i];
    pq[0] += p[i] * q[i];
  }
  RowProducts sum{0, 0, 0};
  for (int l = 0; l < kLanes; ++l) {
    sum.pp += pp[l];
    sum.qq += qq[l];
    sum.pq += pq[l];
  }
  return sum;
}

}  // namespace

Eigen eigen_psd(std::span<const double> g, std::int64_t m) {
  const auto size = static_cast<std::size_t>(m);
  AKIN_CHECK(m >= 0 && g.size() == size * size, "eigen_psd: {} values for a {} x {} matrix", g.size(), m, m);
  const double eps = std::numeric_limits<double>::epsilon();
  std::vector<double> rows(g.begin(), g.end());
  double largest = 0;
  for (std::size_t i = 0; i < size; ++i) largest = std::max(largest, g[i * size + i]);
  AKIN_CHECK(std::isfinite(largest), "eigen_psd: the matrix holds values that are not finite");
  if (largest > 0) {
    for (double& value : rows) value /= largest;  // so that squares neither overflow nor vanish
  }

  // Rotations Q with Q G = diag(lambda) V^T: rows end up orthogonal, row i = lambda_i v_i^T.
  const double tolerance = eps * double(std::max<std::int64_t>(m, 8));
  const double floor = tolerance * tolerance;  // a row whose square is this small is rounding noise
  bool rotated = size > 1;
  for (int sweep = 0; rotated; ++sweep) {
    AKIN_CHECK(sweep < 60, "eigen_psd: no convergence in 60 sweeps of a {} x {} matrix", m, m);
    rotated = false;
    for (std::size_t p = 0; p + 1 < size; ++p) {
      for (std::size_t q = p + 1; q < size; ++q) {
        double *a = &rows[p * size], *b = &rows[q * size];
        const auto [pp, qq, pq] = row_products(a, b, m);
        if (std::min(pp, qq) > floor && std::abs(pq) > tolerance * std::sqrt(pp) * std::sqrt(qq)) {
          rotated = true;
          // a' = c a - s b and b' = s a + c b are orthogonal for t = s/c with t^2 + 2 zeta t - 1 = 0; the small root.
          const double zeta = (qq - pp) / (2 * pq);
          const double t = std::copysign(1.0, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
          const double c = 1 / std::sqrt(1 + t * t), s = c * t;
          for (std::int64_t i = 0; i < m; ++i) {
            const double x = a[i], y = b[i];
            a[i] = c * x - s * y;
            b[i] = s * x + c * y;
          }
        }
        if (pp < qq) std::swap_ranges(a, a + m, b);  // the longer row first: fewer sweeps
      }
    }
  }

  Eigen result{std::vector<double>(size), std::vector<double>(size * size, 0.0)};
  std::vector<double> norm(size);
  for (std::size_t i = 0; i < size; ++i) norm[i] = std::sqrt(row_products(&rows[i * size], &rows[i * size], m).pp);
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return norm[i] > norm[j]; });
  for (std::size_t i = 0; i < size; ++i) {
    const double value = norm[order[i]];
    result.values[i] = value * largest;
    if (value <= eps * double(m)) continue;
    for (std::size_t j = 0; j < size; ++j) result.vectors[i * size + j] = rows[order[i] * size + j] / value;
  }
  return result;
}

std::vector<double> principal_components(std::span<const double> x, std::int64_t n, std::int64_t d, std::int64_t& k,
                                         std::vector<std::string>& warnings) {
  AKIN_CHECK(k >= 1, "principal components: {} asked for, expected at least 1", k);
  const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(d);
  std::vector<double> centred(rows * columns);
  spec::centre_columns<double>(x, n, d, centred);
  const bool by_rows = n < d;
  const auto m = by_rows ? rows : columns;
  std::vector<double> gram(m * m);
  if (by_rows) {
    fast::gram_xxt<double>(centred, n, d, gram);
  } else {
    fast::gram_xty<double>(centred, centred, n, d, d, gram);
  }
  const Eigen eigen = eigen_psd(gram, static_cast<std::int64_t>(m));

  const double floor = eigen.values[0] * std::numeric_limits<double>::epsilon() * double(std::max(n, d));
  std::int64_t rank = 0;
  while (rank < static_cast<std::int64_t>(m) && eigen.values[static_cast<std::size_t>(rank)] > floor) ++rank;
  if (rank < k) {
    warnings.push_back(fmt::format("{} principal components asked for, the {} x {} features have {}", k, n, d, rank));
    k = rank;
  }

  const auto kept = static_cast<std::size_t>(k);
  std::vector<double> scores(rows * kept);
  if (by_rows) {  // X X^T = U S^2 U^T, scores = U S
    for (std::size_t c = 0; c < kept; ++c) {
      for (std::size_t i = 0; i < rows; ++i)
        scores[i * kept + c] = eigen.vectors[c * m + i] * std::sqrt(eigen.values[c]);
    }
  } else {  // X^T X = V S^2 V^T, scores = X V
    fast::gram_xyt<double>(centred, std::span(eigen.vectors).first(kept * m), n, k, d, scores);
  }
  for (std::size_t c = 0; c < kept; ++c) {
    double extreme = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      if (std::abs(scores[i * kept + c]) > std::abs(extreme)) extreme = scores[i * kept + c];
    }
    for (std::size_t i = 0; extreme < 0 && i < rows; ++i) scores[i * kept + c] = -scores[i * kept + c];
  }
  return scores;
}

}  // namespace akin
