// LogME: You, Liu, Wang, Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", ICML 2021.
//
//   for each class, y = 1 for its images and 0 elsewhere; features X [N,D] as they are, w ~ N(0, 1/alpha),
//   y ~ N(X w, 1/beta); alpha and beta that make the evidence largest:
//     q(t) = y^T (1 + X X^T / t)^-1 y = |y - X m|^2 + t |m|^2,   t = alpha / beta, m = the mean of w given y
//     beta = N / (q + 1e-5) for a given t, and the t of the largest  -N log(q + 1e-5) - log|1 + X X^T / t|
//   LogME = mean over classes of  log p(y | X) / N,
//     log p = 1/2 (N log(beta / 2 pi) - log|1 + X X^T / t| - beta q)
//
// log|1 + X X^T / t| is log|alpha + beta X^T X| - D log alpha with all of its D terms: code that is widely copied
// leaves D - min(N,D) of them out and is wrong wherever N < D. akin's choices: t is looked for on a grid and by
// Newton's steps, where the authors iterate from t = 1 for at most 11 steps: that ends far from the top where features
// have another unit (times 1000, the authors' value fell from -0.71 to -1.86), and their 1e-5, here added to squared
// labels only, is there a number of the features' unit too. Classes without an image in the probe are left out.
//
// Any real number; higher is better. Needs no two images of a class. Free of the unit of the features; not of their
// zero, for the model has no constant term.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// N D min(N,D) FLOPs, an eigenvalue problem of that size, and 100 min(N,D) a class.
Similarity logme(const Probe& probe);
Resampler logme_resampler(const Probe& probe);

}  // namespace akin
