// akin rank: how similar is each source's task to the target's?
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "distill/table.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  CommonOptions common;
  TaskFlags task;
  RankOptions rank;
  std::vector<std::string> sources;
  std::string metrics = "parc", out;
  std::uint64_t seed = 0;
  bool match_channels = false;
};

Json number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

std::string shown(double v, double scale, int digits) {
  return std::isfinite(v) ? fmt::format("{:.{}f}", scale * v, digits) : "–";
}

/// Most similar first.
std::vector<std::size_t> order_of(const Ranking& ranking) {
  std::vector<std::size_t> order(ranking.rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return ranking.rows[a].similarity.value > ranking.rows[b].similarity.value;
  });
  return order;
}

std::string table_of(const std::string& metric, const Ranking& ranking, const Weights& weights) {
  using Align = TextTable::Align;
  const double scale = metric_scale(metric);
  const int digits = scale == 1 ? 3 : 1;
  TextTable table({{"source"},
                   {find_metric(metric).title + (scale == 1 ? "" : " x100"), Align::right},
                   {"95 % interval", Align::right},
                   {"chance", Align::right},
                   {"best in %", Align::right},
                   {"weight", Align::right}});
  for (const std::size_t s : order_of(ranking)) {
    const SimilarityRow& r = ranking.rows[s];
    const bool interval = std::isfinite(r.confidence.low) && std::isfinite(r.confidence.high);
    table.add(
        {r.source, shown(r.similarity.value, scale, digits),
         interval ? shown(r.confidence.low, scale, digits) + " to " + shown(r.confidence.high, scale, digits) : "–",
         shown(r.chance.mean, scale, digits), shown(r.best_share, 100, 0), shown(weights.alpha[s], 1, 3)});
  }
  return table.str();
}

Json json_of(const std::string& metric, const Ranking& ranking, const Weights& weights) {
  Json sources = Json::array();
  for (const std::size_t s : order_of(ranking)) {
    const SimilarityRow& r = ranking.rows[s];
    sources.push_back({{"source", r.source},
                       {"value", number(r.similarity.value)},
                       {"low", number(r.confidence.low)},
                       {"high", number(r.confidence.high)},
                       {"chance", number(r.chance.mean)},
                       {"chance_high", number(r.chance.high)},
                       {"p_value", number(r.chance.p_value)},
                       {"best_share", number(r.best_share)},
                       {"mapped", number(weights.mapped[s])},
                       {"weight", number(weights.alpha[s])},
                       {"warnings", r.similarity.warnings}});
  }
  return {{"metric", metric}, {"mapping", name_of(ranking.mapping)}, {"sources", sources}};
}

/// The weights in DistillWeighted; NaN with a warning where there are none, for the similarities are still worth
/// seeing.
Weights weights_of(const Ranking& ranking, const RankOptions& rank, const PipelineEvents& events) {
  try {
    return weights_for(Method::weighted, ranking, rank);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    events.stage(fmt::format("warning: no weights: {}", e.what()));
    Weights weights = weights_for(Method::nearest, ranking, rank);
    weights.warnings.clear();
    weights.alpha.assign(weights.alpha.size(), std::numeric_limits<double>::quiet_NaN());
    return weights;
  }
}

void run(Options& o) {
  const std::vector<std::string> names = split_list(o.metrics, "--metric");
  for (const std::string& name : names) find_metric(name);
  if (!o.rank.mapping.empty()) parse_mapping(o.rank.mapping);
  Context ctx = start(o.common);
  std::vector<Source> sources = open_sources(ctx, o.sources);
  // Sources look at labelled images only, so the split asks for a single unlabelled one.
  LabelManifest labels = o.task.manifest();
  labels.draw.seed = o.seed;
  labels.draw.unlabelled = 1;
  labels.unlabelled.reset();
  const Task task = load_task({o.task.target, labels, o.task.format.format()});
  const PipelineEvents events = make_events(o.common);
  Json metrics_json = Json::array();
  std::string text, csv;
  std::vector<Outputs> outputs;  // computed for the first metric
  for (const std::string& name : names) {
    RankOptions rank = o.rank;
    rank.metric = name;
    Ranking ranking = rank_sources(ctx, task, sources, rank, {.match_channels = o.match_channels}, o.seed, events,
                                   std::move(outputs));
    const Weights weights = weights_of(ranking, rank, events);
    for (const SimilarityRow& r : ranking.rows)
      for (const std::string& w : r.similarity.warnings) events.stage(fmt::format("warning: {}: {}", r.source, w));
    for (const std::string& w : weights.warnings) events.stage("warning: " + w);
    text += (text.empty() ? "" : "\n") + table_of(name, ranking, weights);
    metrics_json.push_back(json_of(name, ranking, weights));
    const std::string part = similarity_csv(ranking.rows);
    outputs = std::move(ranking.outputs);
    csv += csv.empty() ? part : part.substr(part.find('\n') + 1);
  }
  if (!o.out.empty()) write_file_atomic(o.out, std::string_view(csv));
  const Json j = {{"target", task.pool.name},
                  {"labelled", task.split.labelled.size()},
                  {"seed", o.seed},
                  {"metrics", metrics_json}};
  print(o.common.json ? j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : text);
}

}  // namespace

void add_rank(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("rank", "Measure how similar each source's task is to the target's");
  const auto o = std::make_shared<Options>();
  o->task.split.labels_per_class = 5;
  add_task(*app, o->task, false);
  app->add_option("--sources", o->sources, "Models, or tables of features and logits")
      ->required()
      ->default_str("")  // an empty list would be saved as a source called []
      ->type_name("FILE...")
      ->group("Data");
  app->add_flag("--match-channels", o->match_channels, "Turn grey to colour and colour to grey as a source expects")
      ->group("Data");
  app->add_option("--seed", o->seed, "Draws the labelled images")->group("Data");
  app->add_option("--metric", o->metrics, "One or more of parc[:components], cka, cka-debiased, leep, nce")
      ->type_name("NAME,...")
      ->group("Similarity");
  add_rank_options(*app, o->rank);
  app->add_option("--out", o->out, "Also write all values as CSV")->type_name("FILE")->group("Run");
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Columns: the metric, its bootstrap interval, its value with shuffled labels, how often the source is the\n"
      "nearest one in bootstrap draws, and its weight in DistillWeighted.\n\n"
      "Example:\n  akin rank --target data/mnist --labels-per-class 5 --sources bank/*.safetensors --metric parc,cka");
  app->callback([o] { run(*o); });
}

}  // namespace akin
