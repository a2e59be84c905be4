#include "distill/similarity/ranking.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "distill/similarity/measure.hpp"
#include "engine/profile.hpp"
#include "nn/cost.hpp"

namespace akin {

namespace {

/// Tables whose order is taken on trust, and models that are there twice.
void warn_of_tables(const std::vector<Source>& sources, const Events& events) {
  std::vector<std::string> unkeyed;
  std::map<std::string, std::string> models;
  for (const Source& source : sources) {
    if (source.is_table() && !source.rows.keyed()) unkeyed.push_back(source.name);
    const std::string& model = source.is_table() ? source.rows.model_sha256 : source.hash;
    if (model.empty()) continue;
    const auto [first, fresh] = models.emplace(model, source.name);
    if (!fresh) say(events, fmt::format("warning: sources {} and {} are one model", first->second, source.name));
  }
  if (!unkeyed.empty())
    say(events,
        fmt::format("warning: {} of {} sources are tables that do not say of which images their rows are ({}{}): their "
                    "order is taken on trust; give them names (docs/data.md)",
                    unkeyed.size(), sources.size(), unkeyed[0], unkeyed.size() > 1 ? ", ..." : ""));
}

/// What each source from `first` on may take, in multiply-adds an image; zeros where nobody is told.
std::vector<double> work_of(Context& ctx, const Task& task, const std::vector<Source>& sources, std::size_t first,
                            const Events& events) {
  std::vector<double> work(sources.size());
  if (!events.piece || sources.size() < first + 2) return work;
  Profiler* const profiler = std::exchange(ctx.profiler, nullptr);  // no part of the run
  for (std::size_t s = first; s < sources.size(); ++s)
    if (!sources[s].is_table())
      work[s] = static_cast<double>(cost_of(ctx, sources[s].model, task.pool().images.shape()).multiply_adds);
  ctx.profiler = profiler;
  return work;
}

}  // namespace

std::vector<Outputs> bank_outputs(Context& ctx, const Task& task, const std::vector<Source>& sources,
                                  const OutputOptions& outputs, const Events& events, std::vector<Outputs> known) {
  AKIN_CHECK(known.size() <= sources.size(), "{} sources, but outputs of {}", sources.size(), known.size());
  const auto pictures = static_cast<std::int64_t>(task.target.size());
  const std::vector<double> work = work_of(ctx, task, sources, known.size(), events);
  const double in_all = std::accumulate(work.begin(), work.end(), 0.0);
  double before = 0;
  OutputOptions own = outputs;
  if (!own.taken) own.taken = std::make_shared<TakenPictures>();
  for (std::size_t s = known.size(); s < sources.size(); before += work[s++]) {
    const Source& source = sources[s];
    begin_piece(events, {"sources", source.name, std::int64_t(s) + 1, std::ssize(sources), before, work[s], in_all});
    own.progress = [&](std::int64_t done) {
      if (events.progress) events.progress("outputs of " + source.name, done, pictures, "images", "");
    };
    own.tell = [&](const std::string& line) { say(events, line); };
    known.push_back(source_outputs(ctx, source, task, own));
  }
  end_pieces(events);
  warn_of_tables(sources, events);
  return known;
}

std::optional<Outputs> reference_outputs(Context& ctx, const Task& task, const RankOptions& options,
                                         const OutputOptions& outputs) {
  if (options.reference.empty()) return std::nullopt;
  Source source = open_source(ctx, options.reference);
  if (options.files) options.files->check(options.reference, "--reference");
  return source_outputs(ctx, source, task, outputs);
}

Ranking rank_sources(Context& ctx, const Task& task, const std::vector<Source>& sources, const RankOptions& options,
                     const OutputOptions& outputs, std::uint64_t seed, const Events& events,
                     std::vector<Outputs> known) {
  AKIN_CHECK(!sources.empty(), "the bank has no source");
  AKIN_CHECK(known.empty() || known.size() == sources.size(), "{} sources, but outputs of {}", sources.size(),
             known.size());
  Ranking ranking;
  ranking.metric = choose_metric(options.metric, task, sources, options.probe_limit);
  const Metric metric = find_metric(ranking.metric.name);
  ranking.mapping = parse_mapping(options.mapping.empty() ? metric.default_mapping : options.mapping);
  ranking.outputs = bank_outputs(ctx, task, sources, outputs, events, std::move(known));
  const Indices probe = probe_of(task, options.probe_limit);
  const std::optional<Outputs> reference = reference_outputs(ctx, task, options, outputs);
  const std::vector<Candidate> bank =
      candidates_of(ctx, sources, ranking.outputs, task, probe, reference ? &*reference : nullptr);
  const StageScope stage(ctx, "similarity");
  const Measurement measured = measure(metric, bank, {.replicates = options.replicates, .seed = seed}, ctx.ranks.get());
  ranking.rows = measured.rows;
  for (SimilarityRow& row : ranking.rows) row.metric_why = ranking.metric.why;
  return ranking;
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
