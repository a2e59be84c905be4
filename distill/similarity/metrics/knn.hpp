// kNN: accuracy of k nearest neighbours among the other images of the probe, Euclidean distance, leave-one-out. In
// Renggli et al., "Which Model to Transfer? Finding the Needle in the Growing Haystack", CVPR 2022, and Bolya et al.,
// NeurIPS 2021, it is a baseline; in [0, 1], printed x 100.
//
//   The image itself is left out by its number, not by distance 0: a repeated image finds its copy. Of images equally
//   far the lower number is nearer; of labels with equally many votes the smallest wins. So that images equally far on
//   paper are so here, squared distances are rounded to multiples of 2^-40 of the largest squared norm.
//
// Undefined, and an Error: no class of two images, where every answer is wrong.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

/// N^2 D FLOPs; k is at most N - 1, with a warning where it is cut.
Similarity knn(const Probe& probe, int k = 1);
/// A drawn image's own copies are left out too. 4 bytes a pair.
Resampler knn_resampler(const Probe& probe, int k = 1);

}  // namespace akin
