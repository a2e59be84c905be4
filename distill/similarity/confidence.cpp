#include "distill/similarity/confidence.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/common/rng.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {
namespace {

constexpr std::uint32_t kBootstrapStream = 0xB0075, kShuffleStream = 0x5F1E;

void check(const ConfidenceOptions& options) {
  if (options.replicates < 1) fail_usage("confidence: {} replicates; expected at least 1", options.replicates);
  if (!(options.level > 0 && options.level < 1)) {
    fail_usage("confidence: level {}; expected a number between 0 and 1, such as 0.95", options.level);
  }
}

Array gather(const Array& from, const std::vector<std::size_t>& rows) {
  if (from.numel() == 0) return {};
  std::vector<std::int64_t> dims = from.shape().dims();
  dims[0] = static_cast<std::int64_t>(rows.size());
  Array to(from.dtype(), Shape(dims));
  const std::size_t stride = to.byte_size() / rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(to.bytes() + i * stride, from.bytes() + rows[i] * stride, stride);
  }
  return to;
}

/// For a metric without a cheap form: the metric itself on the rows drawn.
Resampler by_gathering(const Metric& metric, const Probe& probe) {
  return [&metric, &probe](std::span<const int> counts, std::span<const int> labels) {
    std::vector<std::size_t> rows;
    std::vector<int> drawn;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      for (int c = 0; c < counts[i]; ++c) {
        rows.push_back(i);
        drawn.push_back(labels[i]);
      }
    }
    try {
      return metric
          .score({gather(probe.features, rows), drawn, probe.classes, gather(probe.probabilities, rows), nullptr,
                  gather(probe.reference, rows)})
          .value;
    } catch (const Error&) {
      return not_measured;
    }
  };
}

/// The metric on all draws, on all threads.
std::vector<double> values_of(const Resampler& resampled, std::span<const Redraw> draws) {
  const std::size_t together = resampled.takes_many() ? 32 : 1;
  std::vector<double> values(draws.size(), not_measured);
  parallel_tasks(static_cast<std::int64_t>((draws.size() + together - 1) / together), [&](std::int64_t task, int) {
    const std::size_t begin = static_cast<std::size_t>(task) * together;
    const std::size_t count = std::min(together, draws.size() - begin);
    resampled(draws.subspan(begin, count), std::span(values).subspan(begin, count));
  });
  return values;
}

std::vector<double> defined(const std::vector<double>& values) {
  std::vector<double> kept;
  std::copy_if(values.begin(), values.end(), std::back_inserter(kept), [](double v) { return !std::isnan(v); });
  std::sort(kept.begin(), kept.end());
  return kept;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / double(values.size());
}

/// Linear between order statistics.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * double(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - double(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

Resampler resampler_of(const Metric& metric, const Probe& probe) {
  return metric.resampler ? metric.resampler(probe) : by_gathering(metric, probe);
}

Confidence confidence_of(std::vector<double> draws, double value, double low, double high, double level) {
  Confidence result;
  result.draws = std::move(draws);
  std::vector<double> kept = defined(result.draws);
  const auto lost = result.draws.size() - kept.size();
  if (lost > 0) {
    result.warnings.push_back(fmt::format("{} of {} bootstrap draws are undefined and left out: too few images a class",
                                          lost, result.draws.size()));
  }
  if (kept.size() < 2) return result;
  const double mean = mean_of(kept), shift = value - mean;
  double squares = 0;
  for (double& draw : kept) {
    squares += (draw - mean) * (draw - mean);
    draw += shift;
  }
  for (double& draw : result.draws) draw += shift;
  result.std = std::sqrt(squares / double(kept.size() - 1));
  const double tail = (1 - level) / 2;
  result.low = std::clamp(quantile(kept, tail), low, high);
  result.high = std::clamp(quantile(kept, 1 - tail), low, high);
  return result;
}

Chance chance_of(std::vector<double> draws, double value, double level) {
  Chance result;
  result.draws = std::move(draws);
  const std::vector<double> kept = defined(result.draws);
  if (kept.empty()) return result;
  const auto reached = std::count_if(kept.begin(), kept.end(), [&](double v) { return v >= value; });
  result.mean = mean_of(kept);
  result.high = quantile(kept, level);
  result.p_value = double(1 + reached) / double(1 + kept.size());
  return result;
}

Draws draws_of(std::span<const int> labels, int classes, const ConfidenceOptions& options) {
  check(options);
  std::vector<std::vector<std::size_t>> members(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i) members[static_cast<std::size_t>(labels[i])].push_back(i);
  Draws draws;
  for (int replicate = 0; replicate < options.replicates; ++replicate) {
    const auto r = static_cast<std::uint64_t>(replicate);
    Rng rng(options.seed, kBootstrapStream, r);
    std::vector<int> counts(labels.size(), 0);
    for (const auto& images : members) {
      for (std::size_t k = 0; k < images.size(); ++k)
        ++counts[images[rng.below(static_cast<std::uint32_t>(images.size()))]];
    }
    draws.bootstrap.push_back({std::move(counts), {labels.begin(), labels.end()}});

    Rng shuffle(options.seed, kShuffleStream, r);
    std::vector<std::size_t> order(labels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[shuffle.below(static_cast<std::uint32_t>(i))]);
    std::vector<int> other;
    for (const std::size_t i : order) other.push_back(labels[i]);
    draws.shuffled.push_back({std::vector<int>(labels.size(), 1), std::move(other)});
    draws.orders.push_back(std::move(order));
  }
  return draws;
}

Confidence bootstrap(const Metric& metric, const Probe& probe, double value, const Draws& draws,
                     const Resampler& resampled, double level) {
  Confidence result = confidence_of(values_of(resampled, draws.bootstrap), value, metric.low, metric.high, level);
  const auto sizes = class_sizes(probe.labels, probe.classes);
  const auto single = std::count(sizes.begin(), sizes.end(), 1.0);
  if (single > 0) {
    result.warnings.push_back(
        fmt::format("{} class(es) have one image, which every draw repeats: the interval is too narrow", single));
  }
  return result;
}

Confidence bootstrap(const Metric& metric, const Probe& probe, double value, const ConfidenceOptions& options) {
  const Draws draws = draws_of(probe.labels, probe.classes, options);
  return bootstrap(metric, probe, value, draws, resampler_of(metric, probe), options.level);
}

Chance chance_level(const Metric& metric, const Probe& probe, double value, const Draws& draws,
                    const Resampler& resampled, double level) {
  AKIN_CHECK(metric.needs_reference == bool(metric.shuffler), "metric {}: a reference without a shuffler", metric.name);
  if (!metric.needs_reference) return chance_of(values_of(resampled, draws.shuffled), value, level);
  const ReferenceShuffler shuffled = metric.shuffler(probe);
  std::vector<double> values(draws.orders.size(), not_measured);
  parallel_tasks(static_cast<std::int64_t>(values.size()), [&](std::int64_t task, int) {
    const auto r = static_cast<std::size_t>(task);
    values[r] = shuffled(draws.orders[r]);
  });
  return chance_of(std::move(values), value, level);
}

Chance chance_level(const Metric& metric, const Probe& probe, double value, const ConfidenceOptions& options) {
  const Draws draws = draws_of(probe.labels, probe.classes, options);
  return chance_level(metric, probe, value, draws, metric.needs_reference ? Resampler() : resampler_of(metric, probe),
                      options.level);
}

std::vector<double> best_shares(std::span<const Confidence> sources) {
  std::vector<double> shares(sources.size(), 0.0);
  if (sources.empty()) return shares;
  double counted = 0;
  for (const Confidence& source : sources) {
    AKIN_CHECK(source.draws.size() == sources[0].draws.size(), "best_shares: {} draws of one source, {} of another",
               source.draws.size(), sources[0].draws.size());
  }
  for (std::size_t r = 0; r < sources[0].draws.size(); ++r) {
    double best = -std::numeric_limits<double>::infinity(), ties = 0;
    bool all_defined = true;
    for (const Confidence& source : sources) {
      const double draw = source.draws[r];
      all_defined = all_defined && !std::isnan(draw);
      if (draw > best) {
        best = draw;
        ties = 0;
      }
      ties += draw == best;
    }
    if (!all_defined) continue;
    ++counted;
    for (std::size_t s = 0; s < sources.size(); ++s) shares[s] += sources[s].draws[r] == best ? 1 / ties : 0;
  }
  for (double& share : shares) share = counted > 0 ? share / counted : not_measured;
  return shares;
}

std::string disputed_lead(const std::string& metric, std::span<const std::string> sources,
                          std::span<const double> values, std::span<const double> shares) {
  AKIN_CHECK(sources.size() == values.size() && sources.size() == shares.size(),
             "disputed_lead: {} sources, {} values, {} shares", sources.size(), values.size(), shares.size());
  const std::size_t none = sources.size();
  std::size_t first = none, rival = none;
  for (std::size_t s = 0; s < none; ++s)
    if (std::isfinite(values[s]) && std::isfinite(shares[s]) && (first == none || values[s] > values[first])) first = s;
  for (std::size_t s = 0; s < none; ++s)
    if (s != first && std::isfinite(shares[s]) && (rival == none || shares[s] > shares[rival])) rival = s;
  if (first == none || rival == none || shares[first] >= kSureShare) return "";
  return fmt::format(
      "{} is the most similar source by {}, but wins only {:.0f} % of the bootstrap draws, {} {:.0f} %: with these "
      "labels it is unsure which one is nearest",
      sources[first], metric, 100 * shares[first], sources[rival], 100 * shares[rival]);
}

double ranking_agreement(std::span<const Confidence> sources) {
  if (sources.size() < 2) return not_measured;
  const std::size_t half = sources[0].draws.size() / 2;
  double sum = 0, counted = 0;
  for (std::size_t r = 0; r < half; ++r) {
    // Over all pairs of sources: in one order or in opposite ones; ties of one draw shrink its number of pairs.
    double agreement = 0, first_pairs = 0, second_pairs = 0;
    bool all_defined = true;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      const double a = sources[s].draws[r], b = sources[s].draws[r + half];
      all_defined = all_defined && !std::isnan(a) && !std::isnan(b);
      for (std::size_t t = 0; t < s; ++t) {
        const double da = a - sources[t].draws[r], db = b - sources[t].draws[r + half];
        first_pairs += da != 0;
        second_pairs += db != 0;
        agreement += da == 0 || db == 0 ? 0 : (da > 0) == (db > 0) ? 1 : -1;
      }
    }
    if (!all_defined || first_pairs == 0 || second_pairs == 0) continue;
    sum += agreement / std::sqrt(first_pairs * second_pairs);
    ++counted;
  }
  return counted > 0 ? sum / counted : not_measured;
}

}  // namespace akin
