// LogME: You, Liu, Wang, Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", ICML 2021;
// the fixed point is that of the authors' later "Ranking and Tuning Pre-trained Models", JMLR 2022.
//
//   for each class, y = 1 for its images and 0 elsewhere; features X [N,D] as they are, w ~ N(0, 1/alpha),
//   y ~ N(X w, 1/beta); alpha and beta that make the evidence largest, found by iteration from 1, 1:
//     t = alpha / beta,   gamma = sum_k sigma_k / (sigma_k + t)
//     alpha = gamma / (|m|^2 + 1e-5),   beta = (N - gamma) / (|y - X m|^2 + 1e-5),   m = the mean of w given y
//   at most 11 times, until t changes by no more than 1e-3 of itself
//   LogME = mean over classes of  log p(y | X) / N,
//     log p = 1/2 (D log alpha + N log beta - log|alpha + beta X^T X| - beta |y - X m|^2 - alpha |m|^2 - N log 2 pi)
//   log|alpha + beta X^T X| has D terms, D - min(N,D) of them log alpha. Code that is widely copied leaves these out
//   and is wrong wherever N < D.
//
// Any real number; higher is better. Needs no two images of a class. Not free of scaling: 1e-5 is a number of the
// features' own unit, and so is the prior's start. akin's choice: classes without an image in the probe are left out.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// N D min(N,D) FLOPs and an eigenvalue problem of that size.
Similarity logme(const Probe& probe);
Resampler logme_resampler(const Probe& probe);

}  // namespace akin
