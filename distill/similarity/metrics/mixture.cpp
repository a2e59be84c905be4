#include "distill/similarity/metrics/mixture.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/common/error.hpp"
#include "kernels/common/rng.hpp"

namespace akin {
namespace {

constexpr std::uint32_t kCentreStream = 0xCE27;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

double squared_distance(const double* a, const double* b, std::int64_t k) {
  double sum = 0;
  for (std::int64_t j = 0; j < k; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

/// Variance of each column.
std::vector<double> column_variances(std::span<const double> x, std::int64_t n, std::int64_t k) {
  std::vector<double> mean(index(k), 0.0), variance(index(k), 0.0);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < k; ++j) mean[index(j)] += x[index(i * k + j)] / double(n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < k; ++j) {
      const double from = x[index(i * k + j)] - mean[index(j)];
      variance[index(j)] += from * from / double(n);
    }
  return variance;
}

/// E step: posteriors, and the mean of log p(x_i).
double expect(const Mixture& m, std::span<const double> x, std::int64_t n, std::vector<double>& p) {
  std::vector<double> constant(index(m.components)), precision(m.variances.size());
  for (std::int64_t v = 0; v < m.components; ++v) {
    double sum = 2 * std::log(m.weights[index(v)]) - double(m.columns) * std::log(2 * std::numbers::pi);
    for (std::int64_t j = 0; j < m.columns; ++j) {
      const std::size_t at = index(v * m.columns + j);
      sum -= std::log(m.variances[at]);
      precision[at] = 1 / m.variances[at];
    }
    constant[index(v)] = 0.5 * sum;
  }
  p.resize(index(n * m.components));
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    double* row = &p[index(i * m.components)];
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::int64_t v = 0; v < m.components; ++v) {
      double square = 0;
      for (std::int64_t j = 0; j < m.columns; ++j) {
        const std::size_t at = index(v * m.columns + j);
        const double from = x[index(i * m.columns + j)] - m.means[at];
        square += from * from * precision[at];
      }
      row[v] = constant[index(v)] - 0.5 * square;
      largest = std::max(largest, row[v]);
    }
    for (std::int64_t v = 0; v < m.components; ++v) sum += row[v] = std::exp(row[v] - largest);
    for (std::int64_t v = 0; v < m.components; ++v) row[v] /= sum;
    total += largest + std::log(sum);
  }
  return total / double(n);
}

/// M step.
void maximise(Mixture& m, std::span<const double> x, std::int64_t n, const std::vector<double>& p, double floor) {
  // A component that nothing belongs to keeps this much, so that nothing is divided by zero.
  constexpr double kNothing = 10 * std::numeric_limits<double>::epsilon();
  std::vector<double> mass(index(m.components), kNothing);
  std::fill(m.means.begin(), m.means.end(), 0.0);
  std::fill(m.variances.begin(), m.variances.end(), 0.0);
  const auto each = [&](auto&& visit) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t v = 0; v < m.components; ++v) {
        const double share = p[index(i * m.components + v)];
        for (std::int64_t j = 0; j < m.columns; ++j)
          visit(index(v * m.columns + j), share, x[index(i * m.columns + j)]);
      }
  };
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t v = 0; v < m.components; ++v) mass[index(v)] += p[index(i * m.components + v)];
  each([&](std::size_t at, double share, double value) { m.means[at] += share * value; });
  for (std::size_t at = 0; at < m.means.size(); ++at) m.means[at] /= mass[at / index(m.columns)];
  each([&](std::size_t at, double share, double value) {
    m.variances[at] += share * (value - m.means[at]) * (value - m.means[at]);
  });
  for (std::size_t at = 0; at < m.means.size(); ++at)
    m.variances[at] = m.variances[at] / mass[at / index(m.columns)] + floor;
  double total = 0;
  for (const double value : mass) total += value;
  for (std::size_t v = 0; v < mass.size(); ++v) m.weights[v] = mass[v] / total;
}

}  // namespace

std::vector<double> cluster_centres(std::span<const double> x, std::int64_t n, std::int64_t k, std::int64_t components,
                                    std::uint64_t seed) {
  AKIN_CHECK(n >= 1 && k >= 1 && components >= 1, "clusters: {} rows, {} columns, {} clusters", n, k, components);
  const auto uniform = [&](std::int64_t draw) {  // 53 bits
    Rng rng(seed, kCentreStream, static_cast<std::uint64_t>(draw));
    const std::uint64_t high = rng.next_u32(), low = rng.next_u32();
    return double((high << 21) ^ (low >> 11)) * 0x1p-53;
  };
  std::vector<double> centres, nearest(index(n), std::numeric_limits<double>::infinity());
  auto pick = static_cast<std::int64_t>(uniform(0) * double(n));
  for (std::int64_t v = 0; v < components; ++v) {
    centres.insert(centres.end(), &x[index(pick * k)], &x[index(pick * k)] + k);
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      nearest[index(i)] = std::min(nearest[index(i)], squared_distance(&x[index(i * k)], &centres[index(v * k)], k));
      total += nearest[index(i)];
    }
    if (!(total > 0)) break;  // every row is a centre
    double left = uniform(v + 1) * total;
    pick = -1;
    for (std::int64_t i = 0; i < n; ++i) {
      if (nearest[index(i)] == 0) continue;
      pick = i;  // the last one, should rounding leave a rest
      left -= nearest[index(i)];
      if (left < 0) break;
    }
  }

  const auto found = static_cast<std::int64_t>(centres.size()) / k;
  std::vector<std::int64_t> of(index(n), -1);
  for (int round = 0; round < 25; ++round) {
    bool moved = false;
    std::vector<double> sums(centres.size(), 0.0), counts(index(found), 0.0);
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::int64_t v = 0; v < found; ++v) {
        const double distance = squared_distance(&x[index(i * k)], &centres[index(v * k)], k);
        if (distance < least) least = distance, best = v;
      }
      moved = moved || best != of[index(i)];
      of[index(i)] = best;
      counts[index(best)] += 1;
      for (std::int64_t j = 0; j < k; ++j) sums[index(best * k + j)] += x[index(i * k + j)];
    }
    if (!moved) break;
    for (std::size_t at = 0; at < centres.size(); ++at)
      if (counts[at / index(k)] > 0) centres[at] = sums[at] / counts[at / index(k)];
  }
  return centres;
}

Mixture fit_mixture(std::span<const double> x, std::int64_t n, std::int64_t k, std::span<const double> means,
                    const MixtureOptions& options) {
  AKIN_CHECK(n >= 1 && k >= 1 && x.size() == index(n * k) && !means.empty() && means.size() % index(k) == 0,
             "mixture: {} values for {} rows of {} columns, {} for the means", x.size(), n, k, means.size());
  Mixture m;
  m.columns = k;
  m.components = static_cast<std::int64_t>(means.size()) / k;
  m.weights.assign(index(m.components), 1 / double(m.components));
  m.means.assign(means.begin(), means.end());
  std::vector<double> own = column_variances(x, n, k);
  double mean = 0;
  for (const double variance : own) mean += variance / double(k);
  AKIN_CHECK(mean > 0, "mixture: the {} rows do not vary", n);
  const double floor = options.floor * mean;
  for (double& variance : own) variance += floor;
  for (std::int64_t v = 0; v < m.components; ++v) m.variances.insert(m.variances.end(), own.begin(), own.end());
  std::vector<double> p;
  m.log_likelihood = -std::numeric_limits<double>::infinity();
  for (m.steps = 1; m.steps <= options.steps; ++m.steps) {
    const double before = m.log_likelihood;
    m.log_likelihood = expect(m, x, n, p);
    maximise(m, x, n, p, floor);
    if (m.log_likelihood - before < options.tolerance) break;
  }
  return m;
}

std::vector<double> posteriors(const Mixture& mixture, std::span<const double> x, std::int64_t n) {
  std::vector<double> p;
  expect(mixture, x, n, p);
  return p;
}

}  // namespace akin
