// Multinomial logistic regression in double: the linear probe's solver.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace akin {

struct LogisticOptions {
  double l2 = 1e-2;         ///< > 0
  double tolerance = 1e-7;  ///< on the largest element of the gradient
  int iterations = 2000;    ///< at most
};

/// weight [D, C], bias [C]: logits = x weight + bias.
struct LogisticFit {
  std::vector<double> weight, bias;
  double loss = 0;      ///< the objective
  double gradient = 0;  ///< its largest element there
  int iterations = 0;
  bool converged = false;
};

/// Minimises mean_i CE(y_i, softmax(x_i weight + bias)) + l2/2 ||weight||_F^2 for x [N, D] and labels in 0..classes-1;
/// the bias is not penalised. L-BFGS (Nocedal, Wright, "Numerical Optimization", 2nd ed., algorithm 7.4) with
/// backtracking, from zero or from `start`. The problem is strictly convex in the weights, so the start changes the
/// time only. scikit-learn's LogisticRegression(C) is l2 = 1 / (N C).
LogisticFit fit_logistic(std::span<const double> x, std::span<const int> labels, int classes,
                         const LogisticOptions& options = {}, const LogisticFit* start = nullptr);

/// Logits [N, C] of rows x [N, D].
std::vector<double> logistic_logits(const LogisticFit& fit, std::span<const double> x, std::int64_t rows);

}  // namespace akin
