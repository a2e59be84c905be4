// Eigenvalues of the features' second moments, and how the classes lie along their directions: all that LogME and the
// H-scores need, from the smaller of X^T X and X X^T.
//
//   X = U S V^T, sigma = S^2;   g[k,c] = v_k^T X^T 1_c = s_k u_k^T 1_c,   1_c [N] marks the images of class c
#pragma once

#include "distill/similarity/metrics/sample.hpp"

namespace akin {

struct Spectrum {
  std::vector<double> sigma;         ///< [K], largest first
  std::vector<double> squares;       ///< [K, C]: g^2
  std::vector<double> class_images;  ///< [C]
  double images = 0;                 ///< N
  std::int64_t columns = 0;          ///< D
  std::size_t rank = 0;              ///< sigma above max(N, D) eps sigma[0]
  double fourth = 0;                 ///< sum over images of ||x||^4
};

/// `centred`: of X with its columns' means taken away.
Spectrum spectrum_of(Sample sample, bool centred);

/// A metric that is a function of the spectrum. Where every image counts once, the eigenvectors are worked out once and
/// any labels cost N K FLOPs a class.
Resampler spectrum_resampler(Sample sample, bool centred, std::function<double(const Spectrum&)> value);

}  // namespace akin
