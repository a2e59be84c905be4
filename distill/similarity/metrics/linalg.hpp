// Dense linear algebra of the similarity metrics, on the host and in double: eigenvalues of symmetric matrices and
// Cholesky factors. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace akin {

/// G = sum_k values[k] v_k v_k^T with orthonormal v_k; values largest first, those below 0 by rounding set to 0.
struct Eigen {
  std::vector<double> values;   ///< [m]
  std::vector<double> vectors;  ///< [m, columns]: row k is v_k^T B; with B the identity, v_k^T itself
};

/// Eigenvalues of a symmetric positive semidefinite G [m,m], and the products of its eigenvectors with B [m, columns]:
/// whoever needs few products does not pay for the vectors. Householder tridiagonalisation, then implicit QL
/// (Golub, Van Loan, "Matrix Computations", section 8.3). 2 m^3 FLOPs and 5 m^2 columns more. Errors are those of
/// rounding G: eps times the largest eigenvalue.
Eigen eigen_psd(std::span<const double> g, std::int64_t m, std::span<const double> b, std::int64_t columns);
/// The same with B the identity.
Eigen eigen_psd(std::span<const double> g, std::int64_t m);

/// G = L L^T of a symmetric positive definite matrix.
class Cholesky {
 public:
  /// m^3 / 3 FLOPs.
  Cholesky(std::span<const double> g, std::int64_t m);
  /// False where G is singular to rounding, or not positive definite; the rest is then undefined.
  bool positive() const { return positive_; }
  double log_det() const;
  /// v^T G^-1 v
  double inverse_form(std::span<const double> v) const;

 private:
  std::int64_t m_;
  std::vector<double> l_;  // lower triangle, row-major
  bool positive_ = true;
};

}  // namespace akin
