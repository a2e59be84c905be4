#include "distill/similarity/measure.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "distill/similarity/shared_rows.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {
namespace {

/// Applies fn to a source's numbers; an Error becomes the reason why there are none.
template <class F>
void try_for(SimilarityRow& row, F&& fn) {
  try {
    fn();
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    row.similarity.value = not_measured;
    row.undefined = e.what();
  }
}

std::vector<SimilarityRow*> defined_of(Measurement& result) {
  std::vector<SimilarityRow*> rows;
  for (SimilarityRow& row : result.rows)
    if (row.undefined.empty()) rows.push_back(&row);
  return rows;
}

/// The final values of a metric over the bank, for the probe and for every draw.
void combine(Measurement& result, std::span<const Candidate> bank, const ConfidenceOptions& options) {
  const std::vector<SimilarityRow*> rows = defined_of(result);
  std::vector<int> layers;
  for (std::size_t s = 0; s < bank.size(); ++s)
    if (result.rows[s].undefined.empty()) layers.push_back(bank[s].layers);
  std::vector<double> values;
  for (const SimilarityRow* row : rows) values.push_back(row->similarity.value);
  try {
    values = result.metric.over_bank(values, layers);
  } catch (const Error& e) {
    for (SimilarityRow* row : rows) {
      row->similarity.value = not_measured;
      row->undefined = e.what();
      row->confidence = {};
      row->chance = {};
    }
    return;
  }
  const auto over_draws = [&](auto&& draws_of) {
    const std::size_t draws = rows.empty() ? 0 : draws_of(*rows[0]).size();
    for (std::size_t r = 0; r < draws; ++r) {
      std::vector<double> drawn;
      for (SimilarityRow* row : rows) drawn.push_back(draws_of(*row)[r]);
      const bool usable = std::none_of(drawn.begin(), drawn.end(), [](double v) { return std::isnan(v); });
      std::vector<double> final(rows.size(), not_measured);
      if (usable) {
        try {
          final = result.metric.over_bank(drawn, layers);
        } catch (const Error&) {  // all alike in this draw
        }
      }
      for (std::size_t s = 0; s < rows.size(); ++s) draws_of(*rows[s])[r] = final[s];
    }
  };
  // An interval may be missing for one source (see measure); then no draw can be combined.
  const auto complete = [&](auto&& draws_of) {
    return std::all_of(rows.begin(), rows.end(),
                       [&](SimilarityRow* row) { return draws_of(*row).size() == draws_of(*rows[0]).size(); });
  };
  const auto bootstrap_of = [](SimilarityRow& row) -> std::vector<double>& { return row.confidence.draws; };
  const auto shuffles_of = [](SimilarityRow& row) -> std::vector<double>& { return row.chance.draws; };
  const bool has_both = options.replicates > 0 && complete(bootstrap_of) && complete(shuffles_of);
  if (has_both) {
    over_draws(bootstrap_of);
    over_draws(shuffles_of);
  }
  for (std::size_t s = 0; s < rows.size(); ++s) {
    SimilarityRow& row = *rows[s];
    row.similarity.value = values[s];
    std::vector<double> drawn = std::move(row.confidence.draws), shuffled = std::move(row.chance.draws);
    row.confidence =
        has_both ? confidence_of(std::move(drawn), values[s], result.metric.low, result.metric.high, options.level)
                 : Confidence{};
    row.chance = has_both ? chance_of(std::move(shuffled), values[s], options.level) : Chance{};
  }
}

/// Labels that draws can be made of; others are the metric's to refuse.
bool sound_labels(const Probe& probe) {
  return std::all_of(probe.labels.begin(), probe.labels.end(),
                     [&](int label) { return label >= 0 && label < probe.classes; });
}

/// `promise`: the value, where it is to come with those of others.
SimilarityRow row_of(const Metric& metric, const Candidate& candidate, const Draws* draws, double level,
                     const Promise& promise) {
  SimilarityRow row{.source = candidate.name, .similarity = {metric.name, not_measured}};
  Resampler resampled;
  try_for(row, [&] {
    if (draws != nullptr && metric.scored) {
      Scored scored = metric.scored(candidate.probe);
      row.similarity = std::move(scored.similarity);
      resampled = std::move(scored.resampler);
    } else {
      row.similarity = promise ? promise() : metric.score(candidate.probe);
    }
    AKIN_CHECK(std::isfinite(row.similarity.value),
               "{} is undefined: numbers of the table are too large or too small to be multiplied; scale all of them "
               "alike",
               metric.name);
  });
  if (!row.undefined.empty() || draws == nullptr) return row;
  try {
    const double value = row.similarity.value;
    if (!resampled) resampled = resampler_of(metric, candidate.probe);
    row.confidence = bootstrap(metric, candidate.probe, value, *draws, resampled, level);
    row.chance = chance_level(metric, candidate.probe, value, *draws, resampled, level);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {  // too large a probe for the tables that repeated evaluation needs
    row.confidence = {};
    row.similarity.warnings.push_back(fmt::format("no interval: {}", e.what()));
  }
  return row;
}

}  // namespace

std::string Measurement::first_undefined() const {
  for (const SimilarityRow& row : rows)
    if (!row.undefined.empty()) return fmt::format("source {}: {}", row.source, row.undefined);
  return "";
}

std::vector<double> Measurement::values() const {
  std::vector<double> all;
  for (const SimilarityRow& row : rows) all.push_back(row.similarity.value);
  return all;
}

Measurement measure(const Metric& metric, std::span<const Candidate> bank, const ConfidenceOptions& options,
                    Ranks* ranks) {
  if (ranks != nullptr) check_same_bank(*ranks, metric, bank, options);
  Measurement result{metric, std::vector<SimilarityRow>(bank.size())};
  const std::vector<std::size_t> own = own_sources(ranks, bank.size());
  std::optional<Draws> draws;
  if (options.replicates > 0 && !bank.empty() && sound_labels(bank[0].probe))
    draws = draws_of(bank[0].probe.labels, bank[0].probe.classes, options);
  const auto there = [](const Candidate& c) { return on_gpu(c.probe); };
  const bool here = std::none_of(bank.begin(), bank.end(), there);
  std::vector<Promise> promises(bank.size());
  if (metric.score_bank && !draws && std::all_of(bank.begin(), bank.end(), there)) {
    std::vector<const Probe*> probes;
    for (const std::size_t s : own) probes.push_back(&bank[s].probe);
    std::vector<Promise> made = metric.score_bank(probes);
    for (std::size_t i = 0; i < own.size(); ++i) promises[own[i]] = std::move(made[i]);
  }
  // A source a thread, or all threads for one source; the numbers are the same.
  const auto each = [&](std::int64_t task, int) {
    const std::size_t s = own[static_cast<std::size_t>(task)];
    const Probe& probe = bank[s].probe;
    std::optional<Draws> other;
    const Draws* its = draws && sound_labels(probe) ? &*draws : nullptr;  // a metric of a reference looks at no label
    if (its != nullptr && probe.labels != bank[0].probe.labels)
      its = &other.emplace(draws_of(probe.labels, probe.classes, options));
    result.rows[s] = row_of(metric, bank[s], its, options.level, promises[s]);
  };
  if (here && std::ssize(own) >= max_threads()) {
    parallel_tasks(std::ssize(own), each);
  } else {
    for (std::int64_t i = 0; i < std::ssize(own); ++i) each(i, 0);
  }
  if (ranks != nullptr) gather_rows(*ranks, result.rows);
  if (metric.over_bank) combine(result, bank, options);
  if (options.replicates == 0) return result;

  std::vector<Confidence> spread;
  const std::vector<SimilarityRow*> rows = defined_of(result);
  for (const SimilarityRow* row : rows)
    if (!row->confidence.draws.empty()) spread.push_back(row->confidence);
  if (spread.size() != rows.size()) return result;
  const std::vector<double> shares = best_shares(spread);
  for (std::size_t s = 0; s < rows.size(); ++s) rows[s]->best_share = shares[s];
  result.agreement = ranking_agreement(spread);
  for (SimilarityRow* row : rows) row->agreement = result.agreement;
  return result;
}

Probe make_probe(const Outputs& outputs, const Task& task, const Indices& probe) {
  Indices rows;
  Probe p;
  for (const std::int64_t i : probe) {
    const auto it = std::lower_bound(task.target.begin(), task.target.end(), i);
    AKIN_CHECK(it != task.target.end() && *it == i, "probe: image {} is not one of the target's", i);
    rows.push_back(it - task.target.begin());
    p.labels.push_back(task.labels[static_cast<std::size_t>(i)]);
  }
  p.features = pick_rows(outputs.features, rows);
  if (outputs.logits.shape()[1] > 0) p.probabilities = softmax_rows(pick_rows(outputs.logits, rows));
  p.classes = static_cast<int>(task.classes());
  return p;
}

std::vector<Candidate> candidates_of(Context& ctx, const std::vector<Source>& sources,
                                     const std::vector<Outputs>& outputs, const Task& task, const Indices& probe,
                                     const Outputs* reference) {
  AKIN_CHECK(sources.size() == outputs.size(), "{} sources, but outputs of {}", sources.size(), outputs.size());
  Array reference_features;
  if (reference != nullptr) reference_features = make_probe(*reference, task, probe).features;
  std::vector<Candidate> bank;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    bank.push_back({sources[s].name, make_probe(outputs[s], task, probe), weight_layers(sources[s])});
    bank.back().probe.ctx = &ctx;
    bank.back().probe.reference = reference_features;
  }
  return bank;
}

int weight_layers(const Source& source) {
  if (source.is_table()) return 0;
  int layers = 0;
  for (const Parameter& p : source.model.network->parameters()) {
    layers += p.is_weight() && p.name.find("downsample") == std::string::npos;
  }
  return layers;
}

}  // namespace akin
