#include "distill/similarity/metrics/leep.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

namespace akin {
namespace {

struct Predictions {
  std::size_t n, z, classes;
  std::vector<double> p;          ///< [N, Z]
  std::vector<std::size_t> best;  ///< [N] argmax
};

Predictions predictions_of(const char* metric, const Probe& probe) {
  AKIN_CHECK(
      probe.probabilities.numel() > 0,
      "{}: the source gives no class probabilities; use a metric of features (parc, cka), or a source with a head",
      metric);
  Predictions result{probe.labels.size(),
                     0,
                     static_cast<std::size_t>(probe.classes),
                     matrix_of(metric, "probabilities", probe.probabilities, probe.labels.size()),
                     {}};
  result.z = static_cast<std::size_t>(probe.probabilities.shape()[1]);
  for (std::size_t i = 0; i < result.n; ++i) {
    const auto row = std::span<const double>(result.p).subspan(i * result.z, result.z);
    double sum = 0;
    for (const double value : row) {
      AKIN_CHECK(value >= 0, "{}: probability {} of probe image {} is negative; are these logits?", metric, value, i);
      sum += value;
    }
    // bf16 or f32 softmax over 1000 classes sums to 1 within 1e-2; logits do not.
    AKIN_CHECK(std::abs(sum - 1) <= 1e-2,
               "{}: probabilities of probe image {} sum to {}, expected 1; are these logits?", metric, i, sum);
    result.best.push_back(static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  return result;
}

double leep_value(const Predictions& source, std::span<const int> counts, std::span<const int> labels) {
  std::vector<double> joint(source.classes * source.z, 0.0), mass(source.z, 0.0);
  double n = 0;
  for (std::size_t i = 0; i < source.n; ++i) {
    if (counts[i] == 0) continue;
    n += counts[i];
    for (std::size_t z = 0; z < source.z; ++z) {
      joint[static_cast<std::size_t>(labels[i]) * source.z + z] += counts[i] * source.p[i * source.z + z];
      mass[z] += counts[i] * source.p[i * source.z + z];
    }
  }
  for (std::size_t k = 0; k < joint.size(); ++k) joint[k] = mass[k % source.z] > 0 ? joint[k] / mass[k % source.z] : 0;
  double sum = 0;
  for (std::size_t i = 0; i < source.n; ++i) {
    if (counts[i] == 0) continue;
    double likelihood = 0;
    for (std::size_t z = 0; z < source.z; ++z) {
      likelihood += joint[static_cast<std::size_t>(labels[i]) * source.z + z] * source.p[i * source.z + z];
    }
    sum += counts[i] * std::log(likelihood);
  }
  return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
}

double nce_value(const Predictions& source, std::span<const int> counts, std::span<const int> labels) {
  std::vector<double> joint(source.classes * source.z, 0.0), mass(source.z, 0.0);
  double n = 0;
  for (std::size_t i = 0; i < source.n; ++i) {
    joint[static_cast<std::size_t>(labels[i]) * source.z + source.best[i]] += counts[i];
    mass[source.best[i]] += counts[i];
    n += counts[i];
  }
  double sum = 0;
  for (std::size_t k = 0; k < joint.size(); ++k) {
    if (joint[k] > 0) sum += joint[k] * std::log(joint[k] / mass[k % source.z]);
  }
  return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
}

using Value = double (*)(const Predictions&, std::span<const int>, std::span<const int>);

Similarity score(const char* metric, Value value, const Probe& probe) {
  Similarity result{metric, 0, check_labels(metric, probe)};
  result.value = value(predictions_of(metric, probe), std::vector<int>(probe.labels.size(), 1), probe.labels);
  return result;
}

Resampler resampler(const char* metric, Value value, const Probe& probe) {
  check_labels(metric, probe);
  const auto source = std::make_shared<const Predictions>(predictions_of(metric, probe));
  return [source, value](std::span<const int> counts, std::span<const int> labels) {
    return value(*source, counts, labels);
  };
}

}  // namespace

Similarity leep(const Probe& probe) { return score("leep", leep_value, probe); }
Similarity nce(const Probe& probe) { return score("nce", nce_value, probe); }
Resampler leep_resampler(const Probe& probe) { return resampler("leep", leep_value, probe); }
Resampler nce_resampler(const Probe& probe) { return resampler("nce", nce_value, probe); }

}  // namespace akin
