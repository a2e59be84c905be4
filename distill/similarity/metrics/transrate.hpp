// TransRate: Huang, Huang, Rong, Yang, Wei, "Frustratingly Easy Transferability Estimation", ICML 2022.
//
//   R(Z) = 1/2 log|1 + Z^T Z / (n eps)|,  Z [n,D]: the rate at which n features are coded with distortion eps
//   TransRate = R(X) - sum_c (n_c / N) R(X_c),  columns of X centred over all images, X_c the rows of class c
//
// At least about 0; higher is better. eps = 1e-4 and has the unit of squared features: TransRate is not free of
// scaling, so compare sources only where features have like scales. akin's choice: classes are weighted by their
// images; the authors' code takes the plain mean over classes, which is the same where classes have equally many.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

inline constexpr double kTransRateEps = 1e-4;

/// N D min(N,D) FLOPs and a Cholesky factor of that size; classes likewise.
Similarity transrate(const Probe& probe, double eps = kTransRateEps);
Resampler transrate_resampler(const Probe& probe, double eps = kTransRateEps);

}  // namespace akin
