#include "distill/similarity/metrics/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Fixed lanes, so that the sum vectorises and keeps its order on every machine.
double dot(const double* a, const double* b, std::int64_t n) {
  constexpr int kLanes = 16;
  double sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) sums[l] += a[i + l] * b[i + l];
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

/// A = Q T Q^T, T tridiagonal, Q = H_0 H_1 ... with H_k = 1 - scale[k] v_k v_k^T.
struct Tridiagonal {
  std::int64_t m;
  std::vector<double> diagonal, below;  // of T; below[k] = T[k+1, k]
  std::vector<double> reflectors;       // [m, m]: v_k is row k from column k + 1 on
  std::vector<double> scale;

  explicit Tridiagonal(std::vector<double> a, std::int64_t size)
      : m(size), diagonal(index(m)), below(index(m), 0.0), reflectors(std::move(a)), scale(index(m), 0.0) {
    // Step k's change of the matrix, A - v w^T - w v^T, is made while step k + 1 reads it: one pass over its upper half
    // a step. The half is cut into parts by the size alone, each with products of its own, which are added in their
    // order.
    std::vector<double> v(index(m), 0.0), w(index(m), 0.0), next(index(m), 0.0), p(index(m), 0.0);
    std::vector<double> parts_of_p(index(kParts * m));
    for (std::int64_t k = 0; k < m; ++k) {
      double* row = &reflectors[index(k * m)];
      for (std::int64_t j = k; j < m; ++j) row[j] -= v[index(k)] * w[index(j)] + w[index(k)] * v[index(j)];
      diagonal[index(k)] = row[k];
      if (k + 1 == m) break;
      const double tail = dot(row + k + 2, row + k + 2, m - k - 2);
      const double norm = std::sqrt(row[k + 1] * row[k + 1] + tail);
      std::fill(next.begin(), next.end(), 0.0);
      below[index(k)] = row[k + 1];
      if (tail > 0) {
        below[index(k)] = row[k + 1] > 0 ? -norm : norm;
        row[k + 1] -= below[index(k)];
        scale[index(k)] = 2 / (row[k + 1] * row[k + 1] + tail);
        std::copy(row + k + 1, row + m, next.begin() + k + 1);
      }
      const std::int64_t left = m - k - 1, parts = std::clamp<std::int64_t>(left / 64, 1, kParts);
      parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t part = begin; part < end; ++part)
          rank_two(k + 1 + first_row(left, part, parts), k + 1 + first_row(left, part + 1, parts), v, w, next,
                   &parts_of_p[index(part * m)]);
      });
      std::fill(p.begin(), p.end(), 0.0);
      for (std::int64_t part = 0; part < parts; ++part)
        for (std::int64_t j = k + 1 + first_row(left, part, parts); j < m; ++j)
          p[index(j)] += scale[index(k)] * parts_of_p[index(part * m + j)];
      const double half = 0.5 * scale[index(k)] * dot(&p[index(k + 1)], &next[index(k + 1)], m - k - 1);
      v = next;
      for (std::int64_t i = 0; i <= k; ++i) w[index(i)] = 0;
      for (std::int64_t i = k + 1; i < m; ++i) w[index(i)] = p[index(i)] - half * v[index(i)];
    }
  }

 private:
  static constexpr std::int64_t kParts = 8;

  /// Rows of a triangle of side n above part `part` of `parts`, which hold about equally many elements.
  static std::int64_t first_row(std::int64_t n, std::int64_t part, std::int64_t parts) {
    return n - static_cast<std::int64_t>(std::lround(double(n) * std::sqrt(1 - double(part) / double(parts))));
  }
  /// A -= v w^T + w v^T on the upper half of rows begin .. end - 1, and product = what these rows, mirrored, add to A
  /// u.
  void rank_two(std::int64_t begin, std::int64_t end, const std::vector<double>& v, const std::vector<double>& w,
                const std::vector<double>& u, double* product) {
    constexpr std::int64_t kLanes = 16;  // as in dot()
    std::fill(product + begin, product + m, 0.0);
    for (std::int64_t i = begin; i < end; ++i) {
      double *row = &reflectors[index(i * m)], sums[kLanes] = {};
      const double vi = v[index(i)], wi = w[index(i)], ui = u[index(i)];
      const double *vs = v.data(), *ws = w.data(), *us = u.data();
      const auto change = [&](std::int64_t j, double& sum) {
        const double value = row[j] - (vi * ws[j] + wi * vs[j]);
        row[j] = value;
        sum += value * us[j];
        product[j] += value * ui;
      };
      row[i] -= vi * wi + wi * vi;
      std::int64_t j = i + 1;
      for (; j + kLanes <= m; j += kLanes) {
#pragma GCC ivdep
        for (std::int64_t l = 0; l < kLanes; ++l) change(j + l, sums[l]);
      }
      for (; j < m; ++j) change(j, sums[0]);
      double sum = row[i] * ui;
      for (const double part : sums) sum += part;
      product[i] += sum;
    }
  }
};

/// B [m, columns] cut into bands of columns that stay in a core's cache while many row operations pass over them.
class Bands {
 public:
  Bands(std::span<const double> b, std::int64_t m, std::int64_t columns) : m_(m), columns_(columns) {
    for (std::int64_t first = 0; first < columns; first += kWidth) {
      const std::int64_t width = std::min(kWidth, columns - first);
      std::vector<double> band(index(m * width));
      for (std::int64_t i = 0; i < m; ++i) std::copy_n(&b[index(i * columns + first)], width, &band[index(i * width)]);
      bands_.push_back(std::move(band));
    }
  }
  template <class Change>
  void each(Change&& change) {
    parallel_for(static_cast<std::int64_t>(bands_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) change(bands_[index(b)], std::min(kWidth, columns_ - b * kWidth));
    });
  }
  /// Row k of the result is row order[k].
  std::vector<double> rows(std::span<const std::size_t> order) const {
    std::vector<double> b(index(m_ * columns_));
    for (std::size_t band = 0; band < bands_.size(); ++band) {
      const std::int64_t first = static_cast<std::int64_t>(band) * kWidth, width = std::min(kWidth, columns_ - first);
      for (std::int64_t k = 0; k < m_; ++k)
        std::copy_n(&bands_[band][order[index(k)] * index(width)], width, &b[index(k * columns_ + first)]);
    }
    return b;
  }

 private:
  static constexpr std::int64_t kWidth = 32;
  std::int64_t m_, columns_;
  std::vector<std::vector<double>> bands_;
};

/// rows i, i+1 <- c row_i - s row_{i+1}, s row_i + c row_{i+1}
struct Rotation {
  std::int64_t i;
  double c, s;
};

void rotate_rows(const std::vector<Rotation>& rotations, Bands& bands) {
  bands.each([&](std::vector<double>& band, std::int64_t width) {
    for (const auto& [i, c, s] : rotations) {
      double *a = &band[index(i * width)], *b = a + width;
      for (std::int64_t j = 0; j < width; ++j) {
        const double x = a[j], y = b[j];
        a[j] = c * x - s * y;
        b[j] = s * x + c * y;
      }
    }
  });
}

/// Diagonalises T in place by implicit QL steps with Wilkinson's shift, and turns the bands with it.
void diagonalise(Tridiagonal& t, Bands& bands) {
  constexpr std::size_t kFlush = std::size_t{1} << 18;
  auto &d = t.diagonal, &e = t.below;
  const std::int64_t m = t.m;
  double norm = 0;
  for (const double value : d) norm = std::max(norm, std::abs(value));
  std::vector<Rotation> rotations;
  for (std::int64_t l = 0; l < m; ++l) {
    for (int step = 0;; ++step) {
      // What rounding makes of an eigenvalue of zero may be eps norm, and a block of such values is all noise: it need
      // not be taken apart further than that.
      const double floor = (step < 30 ? 1e-3 : 0.1 * (step - 20)) * norm;
      std::int64_t end = l;  // of the unreduced block that starts at l
      for (; end + 1 < m; ++end) {
        const double size = std::abs(d[index(end)]) + std::abs(d[index(end + 1)]);
        if (std::abs(e[index(end)]) <= kEps * std::max(size, floor)) break;
      }
      if (end == l) break;
      AKIN_CHECK(step < 60, "eigenvalues: no convergence in 60 steps for a {} x {} matrix", m, m);
      const double half = (d[index(l + 1)] - d[index(l)]) / (2 * e[index(l)]);
      double g = d[index(end)] - d[index(l)] + e[index(l)] / (half + std::copysign(std::hypot(half, 1.0), half));
      double s = 1, c = 1, p = 0;
      bool split = false;
      for (std::int64_t i = end - 1; i >= l; --i) {
        const double f = s * e[index(i)], b = c * e[index(i)], r = std::hypot(f, g);
        e[index(i + 1)] = r;
        if (r == 0) {  // the block falls apart at i + 1
          d[index(i + 1)] -= p;
          e[index(end)] = 0;
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[index(i + 1)] - p;
        const double q = (d[index(i)] - g) * s + 2 * c * b;
        p = s * q;
        d[index(i + 1)] = g + p;
        g = c * q - b;
        rotations.push_back({i, c, s});
      }
      if (rotations.size() > kFlush) {
        rotate_rows(rotations, bands);
        rotations.clear();
      }
      if (split) continue;
      d[index(l)] -= p;
      e[index(l)] = g;
      e[index(end)] = 0;
    }
  }
  rotate_rows(rotations, bands);
}

}  // namespace

Eigen eigen_psd(std::span<const double> g, std::int64_t m, std::span<const double> b, std::int64_t columns) {
  AKIN_CHECK(m >= 0 && g.size() == index(m * m), "eigen_psd: {} values for a {} x {} matrix", g.size(), m, m);
  AKIN_CHECK(b.size() == index(m * columns), "eigen_psd: {} values for {} x {}", b.size(), m, columns);
  std::vector<double> a(g.begin(), g.end());
  double largest = 0;
  for (std::int64_t i = 0; i < m; ++i) largest = std::max(largest, a[index(i * m + i)]);
  for (const double value : a) AKIN_CHECK(std::isfinite(value), "eigen_psd: the matrix holds {}", value);
  if (largest > 0) {
    for (double& value : a) value /= largest;  // so that squares neither overflow nor vanish
  }
  Tridiagonal t(std::move(a), m);
  Bands bands(b, m, columns);
  bands.each([&](std::vector<double>& band, std::int64_t width) {
    std::vector<double> product(index(width));
    for (std::int64_t k = 0; k + 2 < m; ++k) {
      if (t.scale[index(k)] == 0) continue;
      const double* v = &t.reflectors[index(k * m)];
      std::fill(product.begin(), product.end(), 0.0);
      for (std::int64_t i = k + 1; i < m; ++i)
        for (std::int64_t j = 0; j < width; ++j) product[index(j)] += v[i] * band[index(i * width + j)];
      for (std::int64_t i = k + 1; i < m; ++i) {
        const double factor = t.scale[index(k)] * v[i];
        for (std::int64_t j = 0; j < width; ++j) band[index(i * width + j)] -= factor * product[index(j)];
      }
    }
  });
  diagonalise(t, bands);

  std::vector<std::size_t> order(index(m));
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return t.diagonal[i] > t.diagonal[j]; });
  Eigen result{std::vector<double>(index(m)), bands.rows(order)};
  for (std::size_t k = 0; k < order.size(); ++k) result.values[k] = std::max(t.diagonal[order[k]], 0.0) * largest;
  return result;
}

Eigen eigen_psd(std::span<const double> g, std::int64_t m) {
  std::vector<double> identity(index(m * m), 0.0);
  for (std::int64_t i = 0; i < m; ++i) identity[index(i * m + i)] = 1;
  return eigen_psd(g, m, identity, m);
}

Cholesky::Cholesky(std::span<const double> g, std::int64_t m) : m_(m), l_(g.begin(), g.end()) {
  AKIN_CHECK(m >= 0 && g.size() == index(m * m), "Cholesky: {} values for a {} x {} matrix", g.size(), m, m);
  for (std::int64_t i = 0; i < m && positive_; ++i) {
    double* row = &l_[index(i * m)];
    for (std::int64_t j = 0; j < i; ++j) {
      const double* other = &l_[index(j * m)];
      row[j] = (row[j] - dot(row, other, j)) / other[j];
    }
    const double left = row[i] - dot(row, row, i);
    // What rounding may leave of a pivot that is zero on paper.
    positive_ = left > 4 * kEps * double(m) * row[i];
    row[i] = std::sqrt(std::max(left, 0.0));
  }
}

double Cholesky::log_det() const {
  double sum = 0;
  for (std::int64_t i = 0; i < m_; ++i) sum += 2 * std::log(l_[index(i * m_ + i)]);
  return sum;
}

double Cholesky::inverse_form(std::span<const double> v) const {
  AKIN_CHECK(v.size() == index(m_), "Cholesky: {} values for a {} x {} matrix", v.size(), m_, m_);
  std::vector<double> x(v.begin(), v.end());
  double sum = 0;
  for (std::int64_t i = 0; i < m_; ++i) {
    const double* row = &l_[index(i * m_)];
    x[index(i)] = (x[index(i)] - dot(row, x.data(), i)) / row[i];
    sum += x[index(i)] * x[index(i)];
  }
  return sum;
}

}  // namespace akin
