// Similarity to a reference: features R [N,E] of a model trained on the target, for the same images. No labels enter.
//
// RSA, representational similarity analysis: Dwivedi, Roig, "Representation Similarity Analysis for Efficient Task
// Taxonomy & Transfer Learning", CVPR 2019.
//   RSA = Spearman's rho of 1 - Pearson(X_i, X_j) and 1 - Pearson(R_i, R_j) over i < j, ties averaged; in [-1, 1]
// DDS, duality diagram similarity: Dwivedi, Huang, Cichy, Roig, "Duality Diagram Similarity: A Generic Framework for
// Initialization Selection in Task Transfer Learning", ECCV 2020.
//   DDS = debiased CKA of 1 - cos(X_i, X_j) and 1 - cos(R_i, R_j), taken for Gram matrices. Debiasing takes away what
//   is added to all pairs, and both signs cancel, so this is debiased CKA (cka.hpp) of rows brought to norm 1; N >= 4.
//
// Both with columns z-scored first, as the public PARC benchmark does. Correlations are rounded as in PARC (parc.hpp),
// and an image whose z-scored features are all equal (RSA) or all zero (DDS) is unlike all others.
// Undefined, and an Error: no reference, or features that do not vary.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

Similarity rsa(const Probe& probe);
/// Pairs of an image with itself are left out. 40 bytes a pair.
Resampler rsa_resampler(const Probe& probe);
Similarity dds(const Probe& probe);
/// Repeated draws of one image count as equal images.
Resampler dds_resampler(const Probe& probe);

ReferenceShuffler rsa_shuffler(const Probe& probe);
ReferenceShuffler dds_shuffler(const Probe& probe);

}  // namespace akin
