// A mixture of Gaussians with diagonal covariances, fitted by expectation maximisation (Dempster, Laird, Rubin 1977).
//
//   p(x) = sum_v w_v N(x; mean_v, diag(variance_v)),   posterior P[i,v] = w_v N(x_i; ...) / p(x_i)
//   E: P from w, mean, variance.   M: n_v = sum_i P[i,v],  w_v = n_v / N,  mean_v = sum_i P[i,v] x_i / n_v,
//      variance_v = sum_i P[i,v] (x_i - mean_v)^2 / n_v + floor
//   until the mean of log p(x_i) gains less than `tolerance`, or `steps` times.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace akin {

struct MixtureOptions {
  double floor = 1e-6;  ///< added to every variance, as a share of the data's mean variance
  double tolerance = 1e-3;
  int steps = 100;
};

struct Mixture {
  std::int64_t components = 0, columns = 0;
  std::vector<double> weights, means, variances;  ///< [V], [V, K], [V, K]
  double log_likelihood = 0;                      ///< mean of log p(x_i) before the last M step
  int steps = 0;
};

/// Starting points for `components` clusters of x [n,k]: k-means++ (Arthur, Vassilvitskii, SODA 2007) drawn from
/// `seed`, then at most 25 rounds of Lloyd's. Fewer points come back where x has fewer different rows. [V, K]
std::vector<double> cluster_centres(std::span<const double> x, std::int64_t n, std::int64_t k, std::int64_t components,
                                    std::uint64_t seed);

/// Fits from `means` [V, K], equal weights and the data's own variances. n V K FLOPs a step.
Mixture fit_mixture(std::span<const double> x, std::int64_t n, std::int64_t k, std::span<const double> means,
                    const MixtureOptions& options = {});

/// P [n, V]; rows sum to 1.
std::vector<double> posteriors(const Mixture& mixture, std::span<const double> x, std::int64_t n);

}  // namespace akin
