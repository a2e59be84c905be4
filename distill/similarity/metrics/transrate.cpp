#include "distill/similarity/metrics/transrate.hpp"

#include <algorithm>

#include "distill/similarity/metrics/linalg.hpp"
#include "distill/similarity/metrics/sample.hpp"

namespace akin {
namespace {

double coding_rate(const Sample& z, double eps) {
  WeightedGram gram = weighted_gram(z);
  for (double& value : gram.g) value /= z.images * eps;
  for (std::int64_t i = 0; i < gram.size; ++i) gram.g[static_cast<std::size_t>(i * gram.size + i)] += 1;
  const Cholesky factor(gram.g, gram.size);
  AKIN_CHECK(factor.positive(),
             "TransRate is undefined: features are too large for eps {}; give a larger one, such as transrate:{}", eps,
             1e6 * eps);
  return 0.5 * factor.log_det();
}

double value_of(Sample sample, double eps) {
  centre(sample);
  double value = coding_rate(sample, eps);
  for (int c = 0; c < sample.classes; ++c) {
    Sample part;
    part.k = sample.k;
    for (std::int64_t i = 0; i < sample.rows; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (sample.labels[at] != c) continue;
      const auto row = sample.row(i);
      part.x.insert(part.x.end(), row.begin(), row.end());
      part.weight.push_back(sample.weight[at]);
      part.images += sample.weight[at];
      ++part.rows;
    }
    if (part.rows > 0) value -= part.images / sample.images * coding_rate(part, eps);
  }
  return value;
}

}  // namespace

Similarity transrate(const Probe& probe, double eps) {
  Similarity result{eps == kTransRateEps ? "transrate" : fmt::format("transrate:{}", eps), 0};
  const Sample sample = sample_of("TransRate", probe, result.warnings);
  result.value = value_of(sample, eps);
  result.warnings.push_back("TransRate depends on the unit of the features, for its eps is a number of their squares");
  const auto sizes = sample.class_weights();
  if (std::none_of(sizes.begin(), sizes.end(), [](double size) { return size > 1; })) {
    result.warnings.push_back(
        "every probe image has a label of its own, so TransRate speaks of the features' size only; use leep or logme");
  }
  return result;
}

Resampler transrate_resampler(const Probe& probe, double eps) {
  std::vector<std::string> warnings;
  return resample(compact(sample_of("TransRate", probe, warnings)),
                  [eps](const Sample& sample) { return value_of(sample, eps); });
}

}  // namespace akin
