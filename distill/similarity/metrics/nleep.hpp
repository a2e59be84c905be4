// N-LEEP: Li, Jia, Sang, Zhu, Green, Wang, Gong, "Ranking Neural Checkpoints", CVPR 2021. LEEP (leep.hpp) without a
// head: the classes of the source are replaced by the components of a mixture of Gaussians over its features.
//
//   principal components that hold more than 80 % of the variance; a mixture of V Gaussians; P [N,V] its posteriors;
//   N-LEEP = LEEP(P, y), <= 0
//
// akin's choices: V = 5 a class, but no more than N / 5 and no fewer than the classes (images without a neighbour in
// their component would explain themselves); diagonal covariances, a floor of 1e-6 of the mean variance, k-means++ from
// a fixed seed, one start (mixture.hpp). Undefined, and an Error: V >= N, that is one label a class.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

Similarity nleep(const Probe& probe);
/// The mixture is that of the whole probe: intervals leave out its own spread.
Resampler nleep_resampler(const Probe& probe);

}  // namespace akin
