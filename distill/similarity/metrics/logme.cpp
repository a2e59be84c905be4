#include "distill/similarity/metrics/logme.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "distill/similarity/metrics/spectrum.hpp"

namespace akin {
namespace {

constexpr double kFloor = 1e-5;  // in squared labels: bounds the evidence where features fit the labels exactly
// The grid in doublings: the best t is above kFloor / N^2 of the smallest eigenvalue, and beyond a million times the
// largest the evidence is that of its limit.
constexpr double kBelow = 36, kAbove = 20, kStep = std::numbers::ln2;
constexpr double kSettled = 1e-9;  // of log t
constexpr int kSteps = 60;

/// log p(y | X) of one class as a function of t = alpha / beta: the best beta for a t is known.
class Evidence {
 public:
  struct Point {
    double height;            // of what is made largest
    double slope, curvature;  // its derivatives by log t
    double evidence;
  };

  Evidence(const Spectrum& s, std::size_t c)
      : sigma_(std::span(s.sigma).first(s.rank)), images_(s.images), square_(s.class_images[c]), outside_(square_) {
    const std::size_t classes = s.class_images.size();
    for (std::size_t k = 0; k < s.rank; ++k) {
      along_.push_back(s.squares[k * classes + c] / sigma_[k]);
      outside_ -= along_[k];
    }
    outside_ = std::max(outside_, 0.0);
  }

  Point at(double t) const {
    double q = outside_, q1 = 0, q2 = 0, log_det = 0, gamma = 0, gamma1 = 0;
    for (std::size_t k = 0; k < along_.size(); ++k) {
      const double left = t / (t + sigma_[k]), taken = sigma_[k] / (t + sigma_[k]);
      q += along_[k] * left;
      q1 += along_[k] * left * taken;
      q2 += along_[k] * left * taken * (taken - left);
      log_det += std::log1p(sigma_[k] / t);
      gamma += taken;
      gamma1 -= left * taken;
    }
    const double share = q1 / (q + kFloor);
    Point p = point(q, log_det);
    p.slope = 0.5 * (gamma - images_ * share);
    p.curvature = 0.5 * (gamma1 - images_ * (q2 / (q + kFloor) - share * share));
    return p;
  }
  /// Point::height for each value of t; `left` [K, T] and `log_det` [T] as in Grid.
  std::vector<double> heights(std::span<const double> left, std::span<const double> log_det) const {
    std::vector<double> q(log_det.size(), outside_);
    for (std::size_t k = 0; k < along_.size(); ++k)
      for (std::size_t i = 0; i < q.size(); ++i) q[i] += along_[k] * left[k * q.size() + i];
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = point(q[i], log_det[i]).height;
    return q;
  }
  /// Large t: no feature counts.
  Point limit() const { return point(square_, 0); }

 private:
  /// q = y^T (1 + X X^T / t)^-1 y, log_det = log |1 + X X^T / t|
  Point point(double q, double log_det) const {
    const double beta = images_ / (q + kFloor);
    return {-0.5 * (images_ * std::log(q + kFloor) + log_det), 0, 0,
            0.5 * (images_ * std::log(beta / (2 * std::numbers::pi)) - log_det - beta * q)};
  }

  std::span<const double> sigma_;
  double images_, square_, outside_;  // N, |y|^2, and what of it no feature reaches
  std::vector<double> along_;         // (u_k^T y)^2
};

/// Values of log t, a doubling apart, that reach beyond both ends of the eigenvalues; for each what all classes share.
struct Grid {
  std::vector<double> log_t, log_det;  // [T]
  std::vector<double> left;            // [K, T]: t / (t + sigma)
};

Grid grid_of(const Spectrum& s) {
  Grid grid;
  const double first = std::log(s.sigma[s.rank - 1]) - kBelow * kStep, last = std::log(s.sigma[0]) + kAbove * kStep;
  for (int i = 0; first + i * kStep <= last; ++i) grid.log_t.push_back(first + i * kStep);
  grid.log_det.assign(grid.log_t.size(), 0.0);
  for (std::size_t k = 0; k < s.rank; ++k) {
    for (std::size_t i = 0; i < grid.log_t.size(); ++i) {
      const double t = std::exp(grid.log_t[i]);
      grid.left.push_back(t / (t + s.sigma[k]));
      grid.log_det[i] += std::log1p(s.sigma[k] / t);
    }
  }
  return grid;
}

/// The grid finds the highest hill, Newton's steps its top.
double best_evidence(const Evidence& evidence, const Grid& grid) {
  const std::vector<double> heights = evidence.heights(grid.left, grid.log_det);
  const auto highest = std::max_element(heights.begin(), heights.end());
  double top = grid.log_t[static_cast<std::size_t>(highest - heights.begin())];
  double low = top - kStep, high = top + kStep;
  Evidence::Point point = evidence.at(std::exp(top));
  for (int i = 0; i < kSteps; ++i) {
    (point.slope > 0 ? low : high) = top;
    const double newton = top - point.slope / point.curvature;
    const double next = point.curvature < 0 && newton > low && newton < high ? newton : 0.5 * (low + high);
    const bool settled = std::abs(next - top) <= kSettled;
    top = next;
    point = evidence.at(std::exp(top));
    if (settled) break;
  }
  const Evidence::Point limit = evidence.limit();
  return point.height > limit.height ? point.evidence : limit.evidence;
}

double value_of(const Spectrum& s) {
  AKIN_CHECK(s.rank > 0, "LogME is undefined: all features are zero");
  const Grid grid = grid_of(s);
  double sum = 0, classes = 0;
  for (std::size_t c = 0; c < s.class_images.size(); ++c) {
    if (s.class_images[c] == 0) continue;
    sum += best_evidence(Evidence(s, c), grid) / s.images;
    ++classes;
  }
  AKIN_CHECK(std::isfinite(sum) && classes > 0, "LogME is undefined: the evidence of these features is not finite");
  return sum / classes;
}

}  // namespace

Similarity logme(const Probe& probe) {
  Similarity result{"logme", 0};
  result.warnings.push_back("LogME depends on where the features' zero is, for its model has no constant term");
  result.value = value_of(spectrum_of(sample_of("LogME", probe, result.warnings), false));
  return result;
}

Resampler logme_resampler(const Probe& probe) {
  std::vector<std::string> warnings;
  return spectrum_resampler(sample_of("LogME", probe, warnings), false, value_of);
}

}  // namespace akin
