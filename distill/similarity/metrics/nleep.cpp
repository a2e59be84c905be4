#include "distill/similarity/metrics/nleep.hpp"

#include <algorithm>

#include "distill/similarity/metrics/leep.hpp"
#include "distill/similarity/metrics/mixture.hpp"
#include "distill/similarity/metrics/pca.hpp"
#include "distill/similarity/metrics/sample.hpp"

namespace akin {
namespace {

constexpr double kShare = 0.8;
constexpr std::int64_t kPerClass = 5;
constexpr std::uint64_t kSeed = 0;

Probe with_posteriors(const Probe& probe, std::vector<std::string>& warnings) {
  const Sample sample = sample_of("N-LEEP", probe, warnings);
  std::int64_t k = 0;
  const auto scores = principal_components_of_share(sample.x, sample.rows, sample.k, kShare, k);
  const auto sizes = sample.class_weights();
  const std::int64_t classes = std::count_if(sizes.begin(), sizes.end(), [](double size) { return size > 0; });
  const std::int64_t components = std::max(classes, std::min(kPerClass * classes, sample.rows / 5));
  AKIN_CHECK(components < sample.rows,
             "N-LEEP is undefined: {} images for {} components, so each would be explained by itself. Give at least 2 "
             "labels a class, or use leep or logme",
             sample.rows, components);
  if (sample.rows < 5 * components) {
    warnings.push_back(
        fmt::format("{} images for {} components: images partly explain themselves, so N-LEEP is too high", sample.rows,
                    components));
  }
  const Mixture mixture =
      fit_mixture(scores, sample.rows, k, cluster_centres(scores, sample.rows, k, components, kSeed));
  Probe result{{}, probe.labels, probe.classes};
  result.probabilities = Array::from(posteriors(mixture, scores, sample.rows), {sample.rows, mixture.components});
  return result;
}

}  // namespace

Similarity nleep(const Probe& probe) {
  Similarity result{"nleep", 0};
  result.warnings.push_back("N-LEEP depends on the order of the images, at some of which its mixture starts");
  result.value = leep(with_posteriors(probe, result.warnings)).value;
  return result;
}

Resampler nleep_resampler(const Probe& probe) {
  std::vector<std::string> warnings;
  return leep_resampler(with_posteriors(probe, warnings));
}

}  // namespace akin
