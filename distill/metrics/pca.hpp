// Exact principal components, for metrics that reduce features first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace akin {

/// Eigenvalues (largest first) and eigenvectors of a symmetric positive semidefinite G [m,m] by one-sided Jacobi
/// rotations of its rows (Hestenes 1958): rows of `vectors` [m,m] are unit eigenvectors; those of eigenvalues below
/// rounding are zero. About 8 sweeps of 6 m^3 FLOPs: a second for m = 500.
struct Eigen {
  std::vector<double> values, vectors;
};
Eigen eigen_psd(std::span<const double> g, std::int64_t m);

/// Scores [N, k] of the k strongest principal components of X [N, D], from the smaller of X^T X and X X^T.
/// The sign of a component is arbitrary on paper; here the score of largest size is positive (as in scikit-learn up
/// to 1.4). `k` comes back smaller, with a warning, where the data have fewer directions of any variance.
std::vector<double> principal_components(std::span<const double> x, std::int64_t n, std::int64_t d, std::int64_t& k,
                                         std::vector<std::string>& warnings);

}  // namespace akin
