#include "distill/similarity/metrics/hscore.hpp"

#include <algorithm>
#include <cmath>

#include "distill/similarity/metrics/spectrum.hpp"

namespace akin {
namespace {

/// Variance of the class means along direction k, times N: sum_c (u_k^T 1_c)^2 / n_c times sigma_k.
double between(const Spectrum& s, std::size_t k) {
  double sum = 0;
  for (std::size_t c = 0; c < s.class_images.size(); ++c)
    if (s.class_images[c] > 0) sum += s.squares[k * s.class_images.size() + c] / s.class_images[c];
  return sum;
}

double plain(const Spectrum& s) {
  AKIN_CHECK(s.rank > 0, "H-score is undefined: the features are the same for all images");
  double sum = 0;
  for (std::size_t k = 0; k < s.rank; ++k) sum += between(s, k) / s.sigma[k];
  return sum;
}

double shrinkage_of(const Spectrum& s) {
  double trace = 0, squares = 0;
  for (const double sigma : s.sigma) trace += sigma / s.images, squares += sigma / s.images * (sigma / s.images);
  return ledoit_wolf(s.images, double(s.columns), trace, squares, s.fourth / s.images);
}

double regularised(const Spectrum& s) {
  AKIN_CHECK(s.rank > 0, "H-score is undefined: the features are the same for all images");
  const double shrinkage = shrinkage_of(s);
  double trace = 0, sum = 0;
  for (const double sigma : s.sigma) trace += sigma / s.images;
  const double added = shrinkage * trace / double(s.columns);
  for (std::size_t k = 0; k < (added > 0 ? s.sigma.size() : s.rank); ++k)
    sum += between(s, k) / (s.images - 1) / ((1 - shrinkage) * s.sigma[k] / s.images + added);
  return (1 - shrinkage) * sum;
}

}  // namespace

double ledoit_wolf(double n, double d, double trace, double squared_norm, double fourth) {
  if (d < 2) return 0;  // a single variance: nothing to shrink to
  const double mu = trace / d, distance = squared_norm / d - mu * mu;
  const double noise = std::min((fourth - squared_norm) / (n * d), distance);
  return noise > 0 ? noise / distance : 0;
}

Similarity hscore(const Probe& probe, HScoreForm form) {
  const bool is_plain = form == HScoreForm::plain;
  Similarity result{is_plain ? "hscore" : "hscore-reg", 0};
  const Spectrum s = spectrum_of(sample_of("H-score", probe, result.warnings), true);
  result.value = is_plain ? plain(s) : regularised(s);
  if (is_plain && double(s.rank) >= s.images - 1) {
    result.warnings.push_back(
        fmt::format("{} images in {} columns: the H-score of any features is one less than the classes, so it cannot "
                    "rank; use hscore-reg",
                    s.images, s.columns));
  }
  if (!is_plain && shrinkage_of(s) > 0.5)
    result.warnings.push_back(
        fmt::format("the covariance is shrunk by {:.2f}: too few images for {} columns", shrinkage_of(s), s.columns));
  return result;
}

Resampler hscore_resampler(const Probe& probe, HScoreForm form) {
  std::vector<std::string> warnings;
  return spectrum_resampler(sample_of("H-score", probe, warnings), true,
                            form == HScoreForm::plain ? plain : regularised);
}

}  // namespace akin
