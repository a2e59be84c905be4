#include "distill/similarity/metrics/sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "distill/report/figures.hpp"
#include "distill/similarity/metrics/linalg.hpp"
#include "kernels/gram.hpp"

namespace akin {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

std::vector<double> Sample::class_weights() const {
  std::vector<double> sizes(index(classes), 0.0);
  for (std::size_t i = 0; i < labels.size(); ++i) sizes[index(labels[i])] += weight[i];
  return sizes;
}

Sample sample_of(const std::string& metric, const Probe& probe, std::vector<std::string>& warnings) {
  const auto of_labels = check_labels(metric, probe);
  warnings.insert(warnings.end(), of_labels.begin(), of_labels.end());
  Sample sample;
  sample.x = matrix_of(metric, "features", probe.features, probe.labels.size());
  sample.rows = probe.features.shape()[0];
  sample.k = sample.columns = probe.features.shape()[1];
  sample.weight.assign(probe.labels.size(), 1.0);
  sample.labels = probe.labels;
  sample.classes = probe.classes;
  sample.images = double(sample.rows);
  const std::int64_t constant = constant_columns<double>(sample.x, sample.rows);
  AKIN_CHECK(constant < sample.k,
             "{} is undefined: the features are the same for all {} images. Check the source's weights and the scaling "
             "of its input; leep and nce look at class probabilities instead",
             metric, sample.rows);
  if (constant > 0)
    warnings.push_back(fmt::format("{} of {} feature columns are the same for all images", constant, sample.k));
  return sample;
}

Sample compact(Sample sample) {
  if (sample.k <= sample.rows) return sample;
  const std::int64_t n = sample.rows;
  std::vector<double> gram(index(n * n));
  gram_xxt<double>(kFast, n, sample.k, sample.x, gram);
  const Eigen eigen = eigen_psd(gram, n);
  sample.k = n;
  sample.x.resize(index(n * n));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < n; ++c)
      sample.x[index(i * n + c)] = eigen.vectors[index(c * n + i)] * std::sqrt(eigen.values[index(c)]);
  }
  return sample;
}

void centre(Sample& sample) {
  std::vector<double> mean(index(sample.k), 0.0);
  for (std::int64_t i = 0; i < sample.rows; ++i) {
    for (std::int64_t c = 0; c < sample.k; ++c)
      mean[index(c)] += sample.weight[index(i)] / sample.images * sample.x[index(i * sample.k + c)];
  }
  for (std::int64_t i = 0; i < sample.rows; ++i)
    for (std::int64_t c = 0; c < sample.k; ++c) sample.x[index(i * sample.k + c)] -= mean[index(c)];
}

Resampler resample(Sample sample, SampleValue value) {
  const auto all = std::make_shared<const Sample>(std::move(sample));
  return [all, value = std::move(value)](std::span<const int> counts, std::span<const int> labels) {
    Sample drawn;
    drawn.k = all->k;
    drawn.columns = all->columns;
    drawn.classes = all->classes;
    for (std::int64_t i = 0; i < all->rows; ++i) {
      if (counts[index(i)] == 0) continue;
      const auto row = all->row(i);
      drawn.x.insert(drawn.x.end(), row.begin(), row.end());
      drawn.weight.push_back(counts[index(i)]);
      drawn.labels.push_back(labels[index(i)]);
      drawn.images += counts[index(i)];
      ++drawn.rows;
    }
    try {
      return value(drawn);
    } catch (const Error&) {
      return not_measured;
    }
  };
}

WeightedGram weighted_gram(Sample sample) {
  const std::int64_t n = sample.rows, k = sample.k;
  WeightedGram result{n < k, std::min(n, k), {}, std::move(sample.x)};
  for (std::int64_t i = 0; i < n; ++i) {
    const double root = std::sqrt(sample.weight[index(i)]);
    for (std::int64_t c = 0; c < k && root != 1; ++c) result.rows[index(i * k + c)] *= root;
  }
  result.g.resize(index(result.size * result.size));
  if (result.by_rows) {
    gram_xxt<double>(kFast, n, k, result.rows, result.g);
  } else {
    gram_xty<double>(kFast, n, k, k, result.rows, result.rows, result.g);
  }
  return result;
}

}  // namespace akin
