// PARC, Pairwise Annotation Representation Comparison: Bolya, Mittapalli, Hoffman, "Scalable Diverse Model Selection
// for Accessible Transfer Learning", NeurIPS 2021.
//
//   X [N,D] features, columns z-scored (population std, a constant column becomes 0)
//   A[i,j] = 1 - Pearson(X[i,:], X[j,:])         B[i,j] = 0 if y_i == y_j, else 1 + 1/(C-1)
//   PARC = Spearman's rho of the strict upper triangles of A and B, ties averaged; in [-1, 1], printed x 100
//
// B comes from equality of labels. Worked out as one-hot correlations it would hold rounding noise that splits its
// ties, and the result would be wrong (at 37 classes by 0.1 and more). For the same reason correlations are rounded to
// multiples of 2^-40 before ranking: distances that are equal on paper (repeated images) are equal here.
//
// akin's choices: an image whose z-scored features are all equal has no correlation; it is given 0 with all others
// (A = 1) and a warning. Above 8192 images the correlations are counted in 65,536 bins, block by block of rows, and
// Similarity::error_bound and a warning say how far the value may be off:
//   sum_b same[b] different[b] / 2, the most that ties within bins move the rank sum, in units of rho, and what they
//   change in std(ranks). Otherwise every pair is ranked.
//
// Undefined, and an Error: no two images of one class (one label a class), one class only, features that do not vary.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

struct ParcOptions {
  int components = 0;                  ///< exact principal components taken first; 0: none
  std::int64_t histogram_from = 8193;  ///< images from which bins replace the sort
};

/// N^2 D FLOPs and a sort of N (N-1) / 2 whole numbers. Neither a matrix of correlations nor one of z-scores is in
/// memory: 4 bytes a pair, and the features once more in double.
Similarity parc(const Probe& probe, const ParcOptions& options = {});

/// parc() of each. Those on a GPU that have the same labels, and no more than kMostBatchRows images, are worked out
/// together: rank_sources (gpu_rows.hpp).
std::vector<Promise> parc_bank(std::span<const Probe* const> probes, const ParcOptions& options = {});

/// Pairs are ranked once. Pairs of an image with itself are left out, so that a bootstrap draw is not taken for a
/// perfect match; columns keep the z-score of the whole probe. 20 bytes a pair, 4 after it is made.
Resampler parc_resampler(const Probe& probe, const ParcOptions& options = {});

/// Both from one ranking: the value is parc()'s to the bit. No resampler where the pairs are not ranked (see above).
Scored parc_scored(const Probe& probe, const ParcOptions& options = {});

}  // namespace akin
