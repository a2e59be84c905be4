// akin rank: how similar is each source's task to the target's?
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/output_cache_place.hpp"
#include "apps/profiling.hpp"
#include "apps/ranks.hpp"
#include "apps/run_folder.hpp"
#include "apps/value_lists.hpp"
#include "distill/report/table.hpp"
#include "distill/similarity/bank_ranking.hpp"
#include "distill/task/label_list.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  TaskFlags task;
  std::vector<std::string> sources, tables, probabilities, logits;
  std::string metrics = "parc", layers, label_file, out, cache;
  int classes = 0;
  std::uint64_t seed = 0;
  bool force = false;
};

/// What is ranked, and on which labels.
struct Bank {
  std::string target;
  std::size_t labelled = 0;
  std::vector<Candidate> candidates;
};

std::string shown(double v, double scale, int digits) {
  return std::isfinite(v) ? fmt::format("{:.{}f}", scale * v, digits) : "–";
}

std::string table_of(const BankRanking& ranking) {
  using Align = TextTable::Align;
  const Measurement& measured = ranking.measured;
  const double scale = measured.metric.scale();
  const int digits = scale == 1 ? 3 : 1;
  TextTable table({{"source"},
                   {measured.metric.title + (scale == 1 ? "" : " x100"), Align::right},
                   {"95 % interval", Align::right},
                   {"chance", Align::right},
                   {"best in %", Align::right},
                   {"weight", Align::right}});
  std::string reasons;
  for (const std::size_t s : ranking.order()) {
    const SimilarityRow& r = measured.rows[s];
    const bool interval = std::isfinite(r.confidence.low) && std::isfinite(r.confidence.high);
    table.add(
        {r.source, r.undefined.empty() ? shown(r.similarity.value, scale, digits) : "undefined",
         interval ? shown(r.confidence.low, scale, digits) + " to " + shown(r.confidence.high, scale, digits) : "–",
         shown(r.chance.mean, scale, digits), shown(r.best_share, 100, 0), shown(ranking.weights.alpha[s], 1, 3)});
    const bool same_for_all = std::all_of(measured.rows.begin(), measured.rows.end(),
                                          [&](const SimilarityRow& other) { return other.undefined == r.undefined; });
    if (!r.undefined.empty() && !(same_for_all && !reasons.empty()))
      reasons += fmt::format("{}: {}\n", same_for_all ? "all sources" : r.source, r.undefined);
  }
  if (std::isfinite(measured.agreement))
    reasons += fmt::format("agreement of two draws' rankings (Kendall's tau): {:.2f}\n", measured.agreement);
  if (!ranking.choice.why.empty()) reasons += ranking.choice.why + "\n";
  return table.str(stdout_columns()) + reasons;
}

/// Sources run over the labelled images of a data set.
Bank bank_of_images(Context& ctx, Options& o, const Events& events) {
  LabelManifest labels = o.task.manifest();
  labels.draw.seed = o.seed;
  labels.unlabelled.emplace();  // none: sources look at labelled images only
  check_class_names(labels, o.task.target);
  const std::vector<Source> sources = open_sources(ctx, o.sources);
  const Task task = load_task({o.task.target, labels, o.task.format.format()});
  tell(o.common, task.pool());
  if (ctx.ranks != nullptr) {
    std::string what = task.hash();
    for (const Source& source : sources) what += " " + source.hash;
    check_same(*ctx.ranks, what, "images or sources");
  }
  const OutputCachePlace cache(o.cache, o.task.target);
  const OutputOptions options{.cache = cache.folder(), .match_channels = o.common.settings.match_channels};
  const std::vector<Outputs> outputs = bank_outputs(ctx, task, sources, options, events);
  const std::optional<Outputs> reference = reference_outputs(ctx, task, rank_options_of(o.common.settings), options);
  return {task.pool().name, task.split.labelled.size(),
          candidates_of(ctx, sources, outputs, task, probe_of(task, o.common.settings.probe),
                        reference ? &*reference : nullptr)};
}

/// What was left out of tables, taken for something or put right, as warnings.
void tell(const Events& events, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) events.stage("warning: " + note);
}

/// --probabilities or --logits: one file a table, in their order.
void add_predictions(std::vector<FeatureTable>& tables, const std::vector<std::string>& files, const char* option,
                     bool are_logits, const Events& events) {
  if (files.empty()) return;
  if (files.size() != tables.size())
    fail_usage("{}: {} files for {} tables; give one for each, in the same order", option, files.size(), tables.size());
  for (std::size_t t = 0; t < files.size(); ++t) {
    const std::size_t told = tables[t].notes.size();
    add_predictions(tables[t], read_feature_table(files[t]), are_logits);
    tell(events, {tables[t].notes.begin() + std::ptrdiff_t(told), tables[t].notes.end()});
  }
}

/// Tables that say neither of which images nor of which labels their rows are.
void warn_of_trust(const std::vector<FeatureTable>& tables, const Events& events) {
  std::vector<std::string> files;
  for (const FeatureTable& table : tables)
    if (!table.rows.keyed() && table.rows.labels.empty()) files.push_back(table.rows.file);
  if (files.empty()) return;
  const std::string more = files.size() > 1
                               ? fmt::format(" and {} other table{} do", files.size() - 1, files.size() > 2 ? "s" : "")
                               : " does";
  events.stage(
      fmt::format("warning: {}{} not say of which images the rows are (no images_sha256, no names): their order is "
                  "taken on trust",
                  files[0], more));
}

/// Tables that some program made of labelled images.
Bank bank_of_tables(Context& ctx, const Options& o, const Events& events) {
  std::vector<FeatureTable> tables;
  for (const std::string& file : o.tables) {
    tables.push_back(read_feature_table(file));
    for (const FeatureTable& other : tables)
      if (&other != &tables.back() && other.name == tables.back().name)
        fail_usage("--tables: {} and {} would both be called '{}'; leave one out or rename it", other.rows.file, file,
                   other.name);
    tell(events, tables.back().notes);
  }
  add_predictions(tables, o.probabilities, "--probabilities", false, events);
  add_predictions(tables, o.logits, "--logits", true, events);
  FeatureTable reference;
  std::vector<FeatureTable*> more;
  if (!o.common.settings.reference.empty()) {
    reference = read_feature_table(o.common.settings.reference);
    tell(events, reference.notes);
    more.push_back(&reference);
  }
  LabelList labels;
  if (o.label_file.empty()) {
    tell(events, align_tables(tables, nullptr, more));
    labels = labels_of(tables, o.classes);
    tell(events, labels.notes);
  } else {
    labels = read_labels(o.label_file, o.classes);
    tell(events, labels.notes);
    tell(events, align_tables(tables, &labels, more));
  }
  TableBank bank = bank_of(ctx, tables, labels, o.common.settings.probe, reference.features);
  warn_of_trust(tables, events);
  tell(events, bank.notes);
  if (bank.probe.size() < labels.labels.size())
    say(o.common,
        fmt::format("{} of {} rows, evenly over the classes (--probe)", bank.probe.size(), labels.labels.size()));
  return {labels.rows.file, labels.labels.size(), std::move(bank.candidates)};
}

void set_layers(Bank& bank, const std::string& text) {
  if (text.empty()) return;
  const std::vector<float> layers = parse_floats(text, "--layers");
  if (layers.size() != bank.candidates.size())
    fail_usage("--layers: {} numbers for {} sources; give one for each, in the same order", layers.size(),
               bank.candidates.size());
  for (std::size_t s = 0; s < layers.size(); ++s) {
    if (!(layers[s] >= 1 && layers[s] <= kMostLayers) || layers[s] != std::floor(layers[s]))
      fail_usage("--layers: {} is no number of layers", layers[s]);
    bank.candidates[s].layers = static_cast<int>(layers[s]);
  }
}

/// The metrics asked for; "all" stands for each that the input allows. UsageError where one is unknown.
std::vector<std::string> metrics_of(const Options& o) {
  std::vector<std::string> names;
  for (const std::string& name : split_list(o.metrics, "--metric")) {
    if (name != "all") {
      if (name != kAutoMetric) find_metric(name);
      names.push_back(name);
      continue;
    }
    for (const Metric& metric : metrics())
      if (!metric.needs_reference || !o.common.settings.reference.empty()) names.push_back(metric.name);
  }
  return names;
}

void check_usage(const CLI::App& app, const Options& o) {
  if (o.tables.empty()) {
    if (o.task.target.empty() || o.sources.empty())
      fail_usage(
          "give --target DIR and --sources FILE... (images), or --tables FILE... (features that were computed "
          "elsewhere)");
    if (!o.label_file.empty() || !o.probabilities.empty() || !o.logits.empty() || o.classes > 0)
      fail_usage("--label-file, --probabilities, --logits and --classes go with --tables");
    return;
  }
  if (!o.task.target.empty() || !o.sources.empty())
    fail_usage("--tables needs no images: leave out --target and --sources, or give tables as --sources");
  for (const char* option : {"--labels-per-class", "--labels", "--size", "--channels", "--match-channels"})
    if (app.count(option) > 0)
      fail_usage("{} goes with --target; of --tables all rows are labelled, --probe takes some of them", option);
  if (!o.probabilities.empty() && !o.logits.empty()) fail_usage("give --probabilities or --logits, not both");
}

/// Throws where --out would write over something else than an earlier list of values.
void check_out(const Options& o) {
  if (o.out.empty()) return;
  std::vector<std::filesystem::path> inputs{o.label_file, o.task.labels, o.common.settings.reference};
  for (const auto* files : {&o.sources, &o.tables, &o.probabilities, &o.logits})
    inputs.insert(inputs.end(), files->begin(), files->end());
  check_output_file(o.out, o.force, inputs);
  if (!o.task.target.empty()) check_outside(o.out, o.task.target);
}

void run(const CLI::App& app, Options& o) {
  check_usage(app, o);
  const std::shared_ptr<Ranks> ranks = join_ranks(o.common);
  const bool first = ranks == nullptr || ranks->is_first();  // it alone writes
  if (first) check_out(o);
  const std::vector<std::string> names = metrics_of(o);
  if (first && !o.out.empty()) {  // a file that cannot be written shall cost no measurement
    make_parent(o.out);
    const AtomicFile probe(o.out);
  }
  Context ctx = start(o.common);
  use_ranks(ctx, ranks);
  const Profiling profiling(o.common, ctx, first);
  const Events events = make_events(o.common);
  Bank bank = o.tables.empty() ? bank_of_images(ctx, o, events) : bank_of_tables(ctx, o, events);
  set_layers(bank, o.layers);
  Json metrics_json = Json::array();
  std::string text, csv;
  bool ranked = false;
  std::set<std::string> said;  // several metrics may warn of one thing
  const auto warn_once = [&](const std::string& line) {
    if (said.insert(line).second) events.stage("warning: " + line);
  };
  const Settings& s = o.common.settings;
  const BankRankOptions options{s.mapping, s.p, static_cast<int>(s.replicates), o.seed, ranks.get()};
  for (const std::string& name : names) {
    const StageScope stage(ctx, "similarity");
    const BankRanking ranking = rank_bank(bank.candidates, name, options);
    for (const std::string& line : ranking.warnings) warn_once(line);
    ranked = ranked || ranking.ranked();
    text += (text.empty() ? "" : "\n") + table_of(ranking);
    metrics_json.push_back(json_of(ranking));
    const std::string part = similarity_csv(ranking.measured.rows);
    csv += csv.empty() ? part : part.substr(part.find('\n') + 1);
  }
  if (first && !o.out.empty()) write_file_atomic(o.out, std::string_view(csv));
  const Json j = {{"target", bank.target}, {"labelled", bank.labelled}, {"seed", o.seed}, {"metrics", metrics_json}};
  print(o.common.json ? json_text(j) : text);
  AKIN_CHECK(ranked, "no source could be ranked by {}", o.metrics);
}

}  // namespace

void add_rank(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("rank", "Measure how similar each source's task is to the target's");
  const auto o = std::make_shared<Options>();
  add_task(*app, o->task, false);
  app->get_option("--target")->required(false);
  app->add_option("--sources", o->sources, "Models, or tables of features and logits for all images of the target")
      ->default_str("")  // an empty list would be saved as a source called []
      ->type_name("FILE...")
      ->group("Data");
  add_setting(*app, o->common.settings, "match_channels");
  app->add_option("--seed", o->seed, "Draws the labelled images")
      ->transform(whole_in(0, std::numeric_limits<std::int64_t>::max()))
      ->group("Data");
  const char* tables = "Tables instead of images";
  const auto add_files = [&](const char* name, std::vector<std::string>& files, const char* help) {
    app->add_option(name, files, help)->default_str("")->type_name("FILE...")->group(tables);
  };
  add_files("--tables", o->tables,
            "Features of the labelled images, one source a file: .npy, .csv, .safetensors, folder");
  app->add_option("--label-file", o->label_file,
                  "Their labels: .npy, .csv, .txt or .safetensors; default: the tables' own")
      ->type_name("FILE")
      ->group(tables);
  add_files("--probabilities", o->probabilities,
            "The sources' class probabilities, one file a table, for leep and nce");
  add_files("--logits", o->logits, "The same before the softmax");
  app->add_option("--classes", o->classes, "Classes of the target; 0: as many as the labels show")
      ->transform(whole_in(0, 1'000'000))
      ->group(tables);
  app->add_option("--metric", o->metrics,
                  "One or more of " + list_of_metrics() + "; or all. Also parc:K, knn:K, " +
                      "transrate:EPS, gbc:full|diagonal|spherical, plasticity:METRIC, and auto: leep below 5 labels a "
                      "class, else parc")
      ->type_name("NAME,...")
      ->group("Similarity");
  app->add_option("--layers", o->layers, "Weight layers of each source, for plasticity, where a table does not say")
      ->type_name("N,...")
      ->group("Similarity");
  add_settings(*app, o->common.settings, "Similarity", false, {"metric"});
  app->add_option("--out", o->out, "Also write all values as CSV")->type_name("FILE")->group("Run");
  app->add_flag("--force", o->force, "Replace that file")->configurable(false)->group("Run");
  add_cache(*app, o->cache);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_ranks(*app, o->common);
  add_config(*app);
  app->footer(
      "Columns: the metric, its bootstrap interval, its value with shuffled labels, how often the source is the\n"
      "nearest one in bootstrap draws, and its weight in DistillWeighted. A metric that is undefined for a source "
      "says\n"
      "why and leaves the others alone.\n\n"
      "Example:\n  akin rank --target data/mnist --labels-per-class 5 --sources bank/*.safetensors --metric parc,cka\n"
      "  akin rank --tables resnet.npy vit.csv --label-file y.txt --metric all");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
