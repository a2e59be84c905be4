// Exact principal components, for metrics that reduce features first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace akin {

/// Scores [N, k] of the k strongest principal components of X [N, D], from the smaller of X^T X and X X^T.
/// The sign of a component is arbitrary on paper; here the score of largest size is positive (as in scikit-learn up
/// to 1.4). `k` comes back smaller, with a warning, where the data have fewer directions of any variance.
std::vector<double> principal_components(std::span<const double> x, std::int64_t n, std::int64_t d, std::int64_t& k,
                                         std::vector<std::string>& warnings);

/// The fewest components that hold more than `share` of the variance; `k` says how many: 0 where features do not vary.
std::vector<double> principal_components_of_share(std::span<const double> x, std::int64_t n, std::int64_t d,
                                                  double share, std::int64_t& k);

}  // namespace akin
