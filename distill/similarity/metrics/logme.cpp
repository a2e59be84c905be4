#include "distill/similarity/metrics/logme.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "distill/similarity/metrics/spectrum.hpp"

namespace akin {
namespace {

constexpr int kSteps = 11;
constexpr double kFloor = 1e-5, kSettled = 1e-3;

/// log p(y | X) of the class in column c of the spectrum.
double evidence(const Spectrum& s, std::size_t c) {
  const std::size_t classes = s.class_images.size();
  const double n = s.images, d = double(s.columns);
  double alpha = 1, beta = 1, value = 0;
  for (int step = 0; step < kSteps; ++step) {
    const double t = alpha / beta;
    double gamma = 0, weights = 0, explained = 0;
    for (std::size_t k = 0; k < s.sigma.size(); ++k) {
      const double sigma = s.sigma[k], square = s.squares[k * classes + c] / ((t + sigma) * (t + sigma));
      gamma += sigma / (sigma + t);
      weights += square;
      explained += square * (2 * t + sigma);
    }
    const double residual = std::max(s.class_images[c] - explained, 0.0);  // |y|^2 is the class's images
    alpha = gamma / (weights + kFloor);
    beta = (n - gamma) / (residual + kFloor);
    double log_det = (d - double(s.sigma.size())) * std::log(alpha);
    for (const double sigma : s.sigma) log_det += std::log(alpha + beta * sigma);
    value = 0.5 * (d * std::log(alpha) + n * std::log(beta) - log_det - beta * residual - alpha * weights -
                   n * std::log(2 * std::numbers::pi));
    if (std::abs(alpha / beta - t) <= kSettled * t) break;
  }
  return value;
}

double value_of(const Spectrum& s) {
  double sum = 0, classes = 0;
  for (std::size_t c = 0; c < s.class_images.size(); ++c) {
    if (s.class_images[c] == 0) continue;
    sum += evidence(s, c) / s.images;
    ++classes;
  }
  AKIN_CHECK(std::isfinite(sum) && classes > 0, "LogME is undefined: the evidence of these features is not finite");
  return sum / classes;
}

}  // namespace

Similarity logme(const Probe& probe) {
  Similarity result{"logme", 0};
  result.value = value_of(spectrum_of(sample_of("LogME", probe, result.warnings), false));
  return result;
}

Resampler logme_resampler(const Probe& probe) {
  std::vector<std::string> warnings;
  return spectrum_resampler(sample_of("LogME", probe, warnings), false, value_of);
}

}  // namespace akin
