// How sure is a similarity? A probe of a few hundred images is a sample: another draw gives other values, and labels
// without any meaning do not give exactly zero.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "distill/report/figures.hpp"
#include "distill/similarity/metrics/metric.hpp"

namespace akin {

struct ConfidenceOptions {
  int replicates = 200;
  double level = 0.95;
  std::uint64_t seed = 0;
};

/// Spread of a metric over bootstrap draws of the probe.
struct Confidence {
  double low = not_measured, high = not_measured;  ///< percentile interval, moved so that the draws' mean is `value`
  double std = not_measured;                       ///< standard deviation over draws: the standard error of the value
  std::vector<double> draws = {};                  ///< one value a draw, moved likewise; NaN where undefined
  std::vector<std::string> warnings = {};
};

/// Value of a metric when labels are shuffled over the images: what it gives for no relation at all.
struct Chance {
  double mean = not_measured, high = not_measured;  ///< mean, and the `level` quantile
  double p_value = not_measured;                    ///< (1 + shuffles at or above the value) / (1 + shuffles)
  std::vector<double> draws = {};                   ///< one value a shuffle; NaN where undefined
};

/// The changed probes that all sources of a bank share.
struct Draws {
  std::vector<Redraw> bootstrap;                      ///< images drawn again within their classes
  std::vector<Redraw> shuffled;                       ///< labels in another order
  std::vector<std::vector<std::size_t>> orders = {};  ///< that order: labels[orders[r][i]] is image i's in shuffle r
};
Draws draws_of(std::span<const int> labels, int classes, const ConfidenceOptions& options = {});

/// Draws as many images of each class as the probe has, with replacement, `replicates` times. Draws repeat images,
/// which raises or lowers most metrics by an amount of its own; so the interval is moved to the value measured on the
/// probe. The same seed and labels give the same draws for every source: their draws may be compared one by one.
/// `value` = metric.score(probe).value. A class of one image does not vary, so the interval is then too narrow: warned.
Confidence bootstrap(const Metric& metric, const Probe& probe, double value, const ConfidenceOptions& options = {});

/// The same with draws that were made before, of the probe's own labels, and what metric.resampler gives (or a metric
/// without one stands for).
Confidence bootstrap(const Metric& metric, const Probe& probe, double value, const Draws& draws,
                     const Resampler& resampled, double level);
Chance chance_level(const Metric& metric, const Probe& probe, double value, const Draws& draws,
                    const Resampler& resampled, double level);
/// metric.resampler's, or one that works the metric out on the rows drawn, which outlives neither metric nor probe.
Resampler resampler_of(const Metric& metric, const Probe& probe);

/// The same seed shuffles all sources alike. A metric of a reference has the reference's images shuffled.
Chance chance_level(const Metric& metric, const Probe& probe, double value, const ConfidenceOptions& options = {});

/// Interval and chance level from values already drawn, for `value` of a metric within [low, high].
Confidence confidence_of(std::vector<double> draws, double value, double low, double high, double level);
Chance chance_of(std::vector<double> draws, double value, double level);

/// For each source, the share of draws in which it is the most similar one (equal ones share). All from `bootstrap`
/// with the same options and labels. Draws undefined for any source are left out; NaN if none is left.
std::vector<double> best_shares(std::span<const Confidence> sources);

/// The share of draws that the most similar source wins where they agree on it.
inline constexpr double kSureShare = 0.6;

/// A warning where the source with the largest value wins fewer draws than `kSureShare`: its share, and that of the
/// source that wins most of the others. "" where it wins enough, where nobody can rival it, or where shares were not
/// measured. values[s] and shares[s] (best_shares) are those of sources[s]; a NaN takes no part.
std::string disputed_lead(const std::string& metric, std::span<const std::string> sources,
                          std::span<const double> values, std::span<const double> shares);

/// How alike two draws rank the sources: Kendall's tau-b of draw r and draw r + B/2, averaged over r. 1: the same
/// ranking in every draw; 0: no more than by chance. NaN for fewer than 2 sources, or where no pair of draws is
/// defined.
double ranking_agreement(std::span<const Confidence> sources);

}  // namespace akin
