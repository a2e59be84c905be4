#include "distill/similarity/bank_ranking.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "distill/report/figures.hpp"
#include "distill/task/table_file.hpp"

namespace akin {

namespace {

/// The weights in DistillWeighted; NaN where there are none, with the reason in `why`.
Weights weights_of(const Measurement& measured, const Mapping& mapping, double power, std::string& why) {
  Weights none;
  for (const SimilarityRow& row : measured.rows) none.sources.push_back(row.source);
  none.raw = measured.values();
  none.mapped = none.alpha = std::vector<double>(none.raw.size(), not_measured);
  if (const std::string undefined = measured.first_undefined(); !undefined.empty()) {
    why = fmt::format("{} is undefined for a source", measured.metric.name);
    return none;
  }
  try {
    return make_weights(none.sources, none.raw, mapping, power);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    why = e.what();
    none.mapped = map_similarity(none.raw, mapping);
    return none;
  }
}

/// What a name stands for with these labels and sources.
MetricChoice choose(const std::string& name, const std::vector<Candidate>& bank) {
  std::vector<std::string> headless;
  for (const Candidate& c : bank)
    if (c.probe.probabilities.numel() == 0) headless.push_back(c.name);
  const Probe& probe = bank.front().probe;
  return choose_metric(name, std::ssize(probe.labels), probe.classes, headless);
}

}  // namespace

std::vector<std::size_t> BankRanking::order() const {
  const std::vector<double> values = measured.values();
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return !std::isnan(values[a]) && (std::isnan(values[b]) || values[a] > values[b]);
  });
  return order;
}

bool BankRanking::ranked() const {
  return std::any_of(measured.rows.begin(), measured.rows.end(),
                     [](const SimilarityRow& row) { return row.undefined.empty(); });
}

BankRanking rank_bank(const std::vector<Candidate>& bank, const std::string& metric, const BankRankOptions& options) {
  BankRanking out;
  out.choice = choose(metric, bank);
  out.measured = measure(find_metric(out.choice.name), bank, {.replicates = options.replicates, .seed = options.seed},
                         options.ranks);
  out.mapping = parse_mapping(options.mapping.empty() ? out.measured.metric.default_mapping : options.mapping);
  std::string why;
  out.weights = weights_of(out.measured, out.mapping, options.power, why);
  out.warnings = shared_warnings(out.measured.rows);
  for (SimilarityRow& row : out.measured.rows) row.metric_why = out.choice.why;
  out.disputed = disputed_lead(out.measured.rows);
  if (!out.disputed.empty()) out.warnings.push_back(out.disputed);
  out.warnings.insert(out.warnings.end(), out.weights.warnings.begin(), out.weights.warnings.end());
  if (!why.empty()) out.warnings.push_back("no weights: " + why);
  return out;
}

Json json_of(const BankRanking& ranking) {
  Json sources = Json::array();
  for (const std::size_t s : ranking.order()) {
    const SimilarityRow& r = ranking.measured.rows[s];
    sources.push_back({{"source", r.source},
                       {"value", number(r.similarity.value)},
                       {"low", number(r.confidence.low)},
                       {"high", number(r.confidence.high)},
                       {"chance", number(r.chance.mean)},
                       {"chance_high", number(r.chance.high)},
                       {"p_value", number(r.chance.p_value)},
                       {"best_share", number(r.best_share)},
                       {"mapped", number(ranking.weights.mapped[s])},
                       {"weight", number(ranking.weights.alpha[s])},
                       {"undefined", r.undefined.empty() ? Json(nullptr) : Json(r.undefined)},
                       {"warnings", r.similarity.warnings}});
  }
  const auto said = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"metric", ranking.measured.metric.name},
          {"metric_why", said(ranking.choice.why)},
          {"unsure", said(ranking.disputed)},
          {"mapping", name_of(ranking.mapping)},
          {"ranking_tau", number(ranking.measured.agreement)},
          {"sources", sources}};
}

TableBank bank_of(Context& ctx, const std::vector<FeatureTable>& tables, const LabelList& labels, std::int64_t limit,
                  const Array& reference) {
  TableBank bank;
  bank.probe = evenly(all_indices(std::ssize(labels.labels)), labels.labels, std::ssize(labels.classes), limit);
  bank.candidates = candidates_of(tables, labels, bank.probe, reference);
  for (const FeatureTable& table : tables)
    for (std::string& note : columns_of_labels(table.features, labels.labels, table.rows.file))
      bank.notes.push_back(std::move(note));
  for (Candidate& candidate : bank.candidates) candidate.probe.ctx = &ctx;
  return bank;
}

}  // namespace akin
