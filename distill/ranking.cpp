#include "distill/ranking.hpp"

#include <algorithm>
#include <cmath>

#include "distill/measure.hpp"
#include "kernels/common/rng.hpp"

namespace akin {

std::vector<Outputs> bank_outputs(Context& ctx, const Task& task, std::vector<Source>& sources,
                                  const OutputOptions& outputs, const PipelineEvents& events,
                                  std::vector<Outputs> known) {
  AKIN_CHECK(known.size() <= sources.size(), "{} sources, but outputs of {}", sources.size(), known.size());
  for (std::size_t s = known.size(); s < sources.size(); ++s) {
    Source& source = sources[s];
    OutputOptions own = outputs;
    own.progress = [&](std::int64_t done) {
      if (events.progress)
        events.progress("outputs of " + source.name, done, static_cast<std::int64_t>(task.target.size()), "images", "");
    };
    known.push_back(source_outputs(ctx, source, task, own));
  }
  return known;
}

std::optional<Outputs> reference_outputs(Context& ctx, const Task& task, const RankOptions& options,
                                         const OutputOptions& outputs) {
  if (options.reference.empty()) return std::nullopt;
  Source source = open_source(ctx, options.reference);
  return source_outputs(ctx, source, task, outputs);
}

Ranking rank_sources(Context& ctx, const Task& task, std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const PipelineEvents& events,
                     std::vector<Outputs> known) {
  AKIN_CHECK(!sources.empty(), "the bank has no source");
  AKIN_CHECK(known.empty() || known.size() == sources.size(), "{} sources, but outputs of {}", sources.size(),
             known.size());
  const Metric metric = find_metric(options.metric);
  Ranking ranking;
  ranking.mapping = parse_mapping(options.mapping.empty() ? metric.default_mapping : options.mapping);
  ranking.outputs = bank_outputs(ctx, task, sources, outputs, events, std::move(known));
  const Indices probe = probe_of(task, options.probe_limit);
  const std::optional<Outputs> reference = reference_outputs(ctx, task, options, outputs);
  const std::vector<Candidate> bank =
      candidates_of(ctx, sources, ranking.outputs, task, probe, reference ? &*reference : nullptr);
  const Measurement measured = measure(metric, bank, {.replicates = options.replicates, .seed = seed});
  AKIN_CHECK(measured.first_undefined().empty(), "{}", measured.first_undefined());
  ranking.rows = measured.rows;
  return ranking;
}

namespace {

std::vector<double> values_of(const Ranking& ranking) {
  std::vector<double> raw;
  for (const SimilarityRow& r : ranking.rows) raw.push_back(r.similarity.value);
  return raw;
}

std::vector<std::string> names_of(const Ranking& ranking) {
  std::vector<std::string> names;
  for (const SimilarityRow& r : ranking.rows) names.push_back(r.source);
  return names;
}

/// One of the sources, whatever the order in which they were named.
std::size_t draw_source(const std::vector<std::string>& names, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x72616e64;  // "rand"
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  const std::string& drawn = sorted[Rng(seed, kStream).below(static_cast<std::uint32_t>(sorted.size()))];
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), drawn) - names.begin());
}

}  // namespace

Weights single_weights(const Ranking& ranking, std::size_t source) {
  const std::size_t S = ranking.rows.size();
  AKIN_CHECK(source < S, "source {} of {}", source, S);
  Weights w{names_of(ranking),
            values_of(ranking),
            std::vector<double>(S, not_measured),
            std::vector<double>(S, 0.0),
            source,
            {}};
  w.alpha[source] = 1;
  const bool measured = std::all_of(w.raw.begin(), w.raw.end(), [](double v) { return std::isfinite(v); });
  if (measured) {
    w.mapped = map_similarity(w.raw, ranking.mapping);
    w.nearest = most_similar(ranking);
  }
  return w;
}

Weights weights_for(Method method, const Ranking& ranking, const RankOptions& options, std::uint64_t seed) {
  AKIN_CHECK(!ranking.rows.empty(), "no sources to weight; give at least one");
  switch (traits(method).weighting) {
    case Weighting::random:
      return single_weights(ranking, draw_source(names_of(ranking), seed));
    case Weighting::equal: {
      Weights w = single_weights(ranking, 0);
      w.alpha.assign(w.alpha.size(), 1 / static_cast<double>(w.alpha.size()));
      return w;
    }
    case Weighting::nearest:
      return make_weights(names_of(ranking), values_of(ranking), ranking.mapping, nearest_only);
    case Weighting::weighted:
      return make_weights(names_of(ranking), values_of(ranking), ranking.mapping, options.power);
    case Weighting::none:
    case Weighting::single:
      break;
  }
  fail("{}: has no weights of its own", title_of(method));
}

std::size_t most_similar(const Ranking& ranking, const std::function<bool(std::size_t)>& fits) {
  std::size_t best = ranking.rows.size();
  for (std::size_t s = 0; s < ranking.rows.size(); ++s) {
    if (fits && !fits(s)) continue;
    const double value = ranking.rows[s].similarity.value;
    AKIN_CHECK(std::isfinite(value), "the similarity of source \"{}\" is {}; expected a finite number",
               ranking.rows[s].source, value);
    if (best == ranking.rows.size() || value > ranking.rows[best].similarity.value) best = s;
  }
  return best;
}

}  // namespace akin
