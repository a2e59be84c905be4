// H-score: Bao et al., "An Information-Theoretic Approach to Transferability in Task Transfer Learning", ICIP 2019.
//
//   H = tr( pinv(cov X) cov E[X|y] ),  E[X|y] the mean of an image's class;  in [0, C-1]
//   Where N - 1 <= D and features have full rank it is exactly C - 1 for every source and cannot rank: warned.
//
// Regularised: Ibrahim, Ponomareva, Mazumder, "Newer Is Not Always Better: Rethinking Transferability Metrics, Their
// Peculiarities, Stability and Performance", ECML PKDD 2022, with the shrinkage s of Ledoit and Wolf, "A
// Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", J. Multivariate Analysis 2004:
//
//   H_s = (1 - s) tr( ((1 - s) S + s mu 1)^-1 cov E[X|y] ),  S = X^T X / N,  mu = tr S / D
//   s = min(1, b/d):  d = |S|^2/D - mu^2,  b = (sum_i |x_i|^4 / N - |S|^2) / (N D)   (|.| Frobenius, X centred)
//   cov E[X|y] is divided by N - 1 and S by N, as in the authors' code.
//
// Both are free of shifts and of scaling all columns alike; the plain one of any invertible linear map. akin's choice:
// directions whose variance is below max(N,D) eps of the largest are left out of the inverse.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

enum class HScoreForm { plain, regularised };

Similarity hscore(const Probe& probe, HScoreForm form);
Resampler hscore_resampler(const Probe& probe, HScoreForm form);

/// s of Ledoit and Wolf (scikit-learn's), from sums over centred images: N, D, tr S, |S|^2 and sum_i |x_i|^4 / N.
double ledoit_wolf(double n, double d, double trace, double squared_norm, double fourth);

}  // namespace akin
