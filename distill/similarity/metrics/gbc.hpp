// GBC, Gaussian Bhattacharyya coefficient: Pandy, Agostinelli, Uijlings, Ferrari, Mensink, "Transferability Estimation
// using Bhattacharyya Class Separability", CVPR 2022. How much the classes overlap, each taken for a Gaussian.
//
//   GBC = - sum over ordered pairs of classes a != b of exp(-D(a,b))
//   D(a,b) = 1/8 (m_a - m_b)^T S^-1 (m_a - m_b) + 1/2 log( |S| / sqrt(|S_a| |S_b|) ),   S = (S_a + S_b) / 2
//   S_c: covariance of class c, divided by n_c - 1. In [-C (C-1), 0]; classes without an image are left out.
//
// Covariances:
//   full       as above, of the features as they are: needs more images in each class than columns
//   diagonal, spherical   the paper's: of 64 principal components, only variances (of each column; one for all)
//   shrunk     akin's default, for few labels: of 64 principal components,
//                S_c' = ((n_c - 1) S_c + k T) / (n_c - 1 + k),   k columns,
//              T = the covariance within classes, all classes together, shrunk as Ledoit and Wolf do (hscore.hpp). So a
//              class of one image counts with what the others have.
// Undefined, and an Error: no class of two images (nothing varies within classes), or a singular covariance.
#pragma once

#include "distill/similarity/metrics/metric.hpp"

namespace akin {

enum class GbcForm { shrunk, full, diagonal, spherical };

/// C (C - 1) / 2 Cholesky factors of k x k (full, shrunk).
Similarity gbc(const Probe& probe, GbcForm form = GbcForm::shrunk);
/// Principal components are those of the whole probe.
Resampler gbc_resampler(const Probe& probe, GbcForm form = GbcForm::shrunk);

}  // namespace akin
