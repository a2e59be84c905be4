// CKA, centred kernel alignment with linear kernels: Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network
// Representations Revisited", ICML 2019. Debiased: Song et al., "Feature Selection via Dependence Maximization",
// JMLR 2012; Nguyen, Raghu, Kornblith, "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021.
//
//   Xc, Yc: columns centred.      v(A,B) = ||Bc^T Ac||_F^2
//   CKA = v(X,Y) / sqrt(v(X,X) v(Y,Y))                       in [0, 1]
//   debiased: each v(A,B) becomes v - N/(N-2) sum_i a_i b_i + (sum_i a_i)(sum_i b_i) / ((N-1)(N-2)),
//   a_i, b_i the squared norms of centred rows; N >= 4; in [-1, 1], and zero on average for unrelated A and B.
//   v is computed from D x E column products or, when N is smaller than both, from N x N Grams: the same number.
//   Against labels, with N < D, v(X,X) is summed over blocks of the Gram, which is not kept, and v(X,Y) from sums over
//   classes.
//
// Undefined, and an Error: features or labels that do not vary; debiased with N < 4 or no class of two images.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

enum class CkaForm { biased, debiased };

/// Features against one-hot labels.
Similarity cka(const Probe& probe, CkaForm form);

/// Features [N, D] against features [N, E] of the same N images.
Similarity cka(const Array& x, const Array& y, CkaForm form);

/// N^2 FLOPs an evaluation. Repeated draws of one image count as equal images, which raises CKA: compare spreads.
Resampler cka_resampler(const Probe& probe, CkaForm form);

}  // namespace akin
