#include "distill/similarity/metrics/gbc.hpp"

#include <algorithm>
#include <cmath>

#include "distill/similarity/metrics/hscore.hpp"
#include "distill/similarity/metrics/linalg.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "distill/similarity/metrics/sample.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

constexpr std::int64_t kComponents = 64;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Gaussian {
  std::vector<double> mean, covariance;  // [k], and [k, k], or its diagonal [k]
  double log_det = 0;
};

bool has_matrix(GbcForm form) { return form == GbcForm::full || form == GbcForm::shrunk; }

/// Rows of class `c` around their mean, times the square roots of their weights; all classes for c = -1.
std::vector<double> residuals(const Sample& s, const std::vector<std::vector<double>>& means, int c) {
  std::vector<double> rows;
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const int label = s.labels[index(i)];
    if (c >= 0 && label != c) continue;
    for (std::int64_t j = 0; j < s.k; ++j)
      rows.push_back(std::sqrt(s.weight[index(i)]) * (s.row(i)[index(j)] - means[index(label)][index(j)]));
  }
  return rows;
}

std::vector<double> products(const std::vector<double>& rows, std::int64_t k) {
  std::vector<double> g(index(k * k), 0.0);
  gram_xty<double>(kFast, static_cast<std::int64_t>(rows.size()) / k, k, k, rows, rows, g);
  return g;
}

/// T of the header.
std::vector<double> within(const Sample& s, const std::vector<std::vector<double>>& means) {
  const std::vector<double> rows = residuals(s, means, -1);
  std::vector<double> t = products(rows, s.k);
  double trace = 0, squares = 0, fourth = 0;
  for (double& value : t) value /= s.images, squares += value * value;
  for (std::int64_t j = 0; j < s.k; ++j) trace += t[index(j * s.k + j)];
  for (std::int64_t i = 0; i < s.rows; ++i) {
    double square = 0;
    for (std::int64_t j = 0; j < s.k; ++j) square += rows[index(i * s.k + j)] * rows[index(i * s.k + j)];
    fourth += square * square / s.weight[index(i)];  // the row holds the root of its weight
  }
  AKIN_CHECK(
      trace > 0,
      "GBC is undefined: nothing varies within the classes (one label a class?). Give at least 2 labels a class, "
      "or use leep or logme");
  const double shrinkage = ledoit_wolf(s.images, double(s.k), trace, squares, fourth / s.images);
  for (double& value : t) value *= 1 - shrinkage;
  for (std::int64_t j = 0; j < s.k; ++j) t[index(j * s.k + j)] += shrinkage * trace / double(s.k);
  return t;
}

double log_det(const std::vector<double>& covariance, std::int64_t k, GbcForm form, const char* whose) {
  const auto complain = [&] {
    fail("GBC is undefined: the covariance {} is singular in {} columns. Give more labels a class, or use {}", whose, k,
         form == GbcForm::shrunk ? "leep or logme" : "gbc, which shrinks covariances");
  };
  if (has_matrix(form)) {
    const Cholesky factor(covariance, k);
    if (!factor.positive()) complain();
    return factor.log_det();
  }
  double sum = 0;
  for (const double variance : covariance) {
    if (!(variance > 0)) complain();
    sum += std::log(variance);
  }
  return sum;
}

std::vector<Gaussian> gaussians_of(const Sample& s, GbcForm form) {
  const auto sizes = s.class_weights();
  std::vector<std::vector<double>> means(sizes.size(), std::vector<double>(index(s.k), 0.0));
  for (std::int64_t i = 0; i < s.rows; ++i) {
    const std::size_t c = index(s.labels[index(i)]);
    for (std::int64_t j = 0; j < s.k; ++j) means[c][index(j)] += s.weight[index(i)] / sizes[c] * s.row(i)[index(j)];
  }
  const std::vector<double> shared = form == GbcForm::shrunk ? within(s, means) : std::vector<double>();
  std::vector<Gaussian> result;
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    if (sizes[c] == 0) continue;
    const double freedom = sizes[c] - 1, prior = form == GbcForm::shrunk ? double(s.k) : 0;
    AKIN_CHECK(
        freedom + prior > 0,
        "GBC is undefined: class {} has one probe image. Give at least 2 labels a class, or use gbc, which takes "
        "its spread from the other classes",
        c);
    std::vector<double> covariance = products(residuals(s, means, static_cast<int>(c)), s.k);
    for (std::size_t at = 0; at < covariance.size(); ++at)
      covariance[at] = (covariance[at] + (prior > 0 ? prior * shared[at] : 0)) / (freedom + prior);
    if (!has_matrix(form)) {
      std::vector<double> variances;
      double mean = 0;
      for (std::int64_t j = 0; j < s.k; ++j) variances.push_back(covariance[index(j * s.k + j)]);
      for (const double variance : variances) mean += variance / double(s.k);
      if (form == GbcForm::spherical) variances.assign(variances.size(), mean);
      covariance = std::move(variances);
    }
    const double determinant = log_det(covariance, s.k, form, fmt::format("of class {}", c).c_str());
    result.push_back({std::move(means[c]), std::move(covariance), determinant});
  }
  return result;
}

double distance(const Gaussian& a, const Gaussian& b, std::int64_t k, GbcForm form) {
  std::vector<double> between(a.mean.size()), middle(a.covariance.size());
  for (std::size_t j = 0; j < between.size(); ++j) between[j] = a.mean[j] - b.mean[j];
  for (std::size_t at = 0; at < middle.size(); ++at) middle[at] = 0.5 * (a.covariance[at] + b.covariance[at]);
  double square = 0, determinant = 0;
  if (has_matrix(form)) {
    const Cholesky factor(middle, k);
    AKIN_CHECK(factor.positive(), "GBC is undefined: the covariance of two classes together is singular in {} columns",
               k);
    square = factor.inverse_form(between);
    determinant = factor.log_det();
  } else {
    for (std::size_t j = 0; j < between.size(); ++j) {
      square += between[j] * between[j] / middle[j];
      determinant += std::log(middle[j]);
    }
  }
  return square / 8 + 0.5 * (determinant - 0.5 * (a.log_det + b.log_det));
}

double value_of(const Sample& sample, GbcForm form) {
  const std::vector<Gaussian> classes = gaussians_of(sample, form);
  double sum = 0;
  for (std::size_t a = 0; a < classes.size(); ++a)
    for (std::size_t b = a + 1; b < classes.size(); ++b)
      sum += 2 * std::exp(-distance(classes[a], classes[b], sample.k, form));
  return -sum;
}

Sample prepared(const Probe& probe, GbcForm form, std::vector<std::string>& warnings) {
  Sample sample = sample_of("GBC", probe, warnings);
  if (form == GbcForm::full) return sample;
  std::vector<std::string> fewer;  // 64 is an upper limit
  std::int64_t kept = kComponents;
  sample.x = principal_components(sample.x, sample.rows, sample.k, kept, fewer);
  sample.k = kept;
  const auto sizes = sample.class_weights();
  const auto single = std::count(sizes.begin(), sizes.end(), 1.0);
  if (form == GbcForm::shrunk && single > 0)
    warnings.push_back(fmt::format("{} class(es) have one image; their spread is taken from the others", single));
  return sample;
}

const char* name_of(GbcForm form) {
  switch (form) {
    case GbcForm::full:
      return "gbc:full";
    case GbcForm::diagonal:
      return "gbc:diagonal";
    case GbcForm::spherical:
      return "gbc:spherical";
    default:
      return "gbc";
  }
}

}  // namespace

Similarity gbc(const Probe& probe, GbcForm form) {
  Similarity result{name_of(form), 0};
  result.value = value_of(prepared(probe, form, result.warnings), form);
  return result;
}

Resampler gbc_resampler(const Probe& probe, GbcForm form) {
  std::vector<std::string> warnings;
  return resample(prepared(probe, form, warnings), [form](const Sample& sample) { return value_of(sample, form); });
}

}  // namespace akin
