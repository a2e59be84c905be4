// akin distill: students of one target from a bank of sources, and their report.
#include <algorithm>
#include <chrono>
#include <optional>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/profiling.hpp"
#include "apps/run_folder.hpp"
#include "distill/pipeline.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/path.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  TaskFlags task;
  std::vector<std::string> sources;
  std::string methods = "scratch,fixmatch,equal,nearest,weighted", seeds = "0", out, cache, title;
  bool resume = false, force = false;
};

/// "2 labels a class", or what the manifest says.
std::string budget_of(const TaskFlags& task) {
  const LabelManifest m = task.manifest();
  if (!m.labelled.empty()) return "labels as listed in " + std::filesystem::path(task.labels).filename().string();
  if (m.draw.fraction > 0) return fmt::format("labels of {:g} % of each class", 100 * m.draw.fraction);
  if (m.draw.labels_per_class == kAllLabels) return "all labels";
  return fmt::format("{} labels a class", m.draw.labels_per_class);
}

/// Lines of the report that say what was learnt from what.
void describe_task(ReportData& report, const Options& o, const std::string& name, const Shape& images) {
  report.title = !o.title.empty() ? o.title : name + ": " + budget_of(o.task);
  report.task = {
      {"target", name},
      {"images", fmt::format("{} x {}, {}", images[1], images[2], images[3] == 1 ? "grey" : "colour")},
      {"labels", budget_of(o.task)},
      {"teachers see", o.common.settings.teacher_view == "same" ? "the student's augmented images"
                                                                : "unchanged images (outputs computed once)"}};
}

std::vector<Method> parse_methods(const std::string& text) {
  std::vector<Method> methods;
  for (const std::string& name : split_list(text, "--methods")) {
    const Method method = parse_method(name);
    if (std::find(methods.begin(), methods.end(), method) != methods.end())
      fail_usage("--methods '{}': {} twice", text, name);
    methods.push_back(method);
  }
  return methods;
}

void run(const CLI::App& app, Options& o) {
  const std::string begun = iso_time();
  const auto clock = std::chrono::steady_clock::now();
  const std::vector<Method> methods = parse_methods(o.methods);
  check(o.common.settings);
  const bool needs_bank = std::any_of(methods.begin(), methods.end(), uses_sources);
  if (needs_bank && o.sources.empty()) fail_usage("--sources: all methods but scratch and fixmatch need at least one");
  if (o.out.empty() && o.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
  const std::filesystem::path data = o.task.target;
  const ImageFormat format = o.task.format.format();
  const GridTarget target{.name = last_name(data), .load = [&] { return load_target(data, format); }, .data = data};
  const Grid grid = single_grid(target, o.task.manifest(), o.sources, methods, parse_seeds(o.seeds), o.common.settings);
  GridInputs inputs = inputs_of(grid);
  if (!o.task.labels.empty()) inputs.files.emplace_back(o.task.labels);
  const RunFolder folder(RunKind::distill, o.out, inputs, {.resume = o.resume, .force = o.force});
  PipelineOptions p;
  p.run_folder = folder.path();
  p.resume = o.resume;
  p.made_by = version_line();
  p.begins = [&](const std::vector<std::string>& written) { folder.begin(written); };
  if (o.cache != "none")
    p.cache = o.cache.empty() ? whole_path(p.run_folder).parent_path() / "cache" : std::filesystem::path(o.cache);
  if (needs_bank && !o.cache.empty() && !p.cache.empty()) check_outside(p.cache, data);

  Context ctx = start(o.common);
  const Profiling profiling(o.common, ctx);
  std::string name;
  Shape shape;
  // Everything is opened and checked before the run folder is made.
  p.opened = [&](const Task& first) {
    name = first.pool().name;
    shape = first.pool().images.shape();
    if (first.split.unlabelled.empty() && std::any_of(methods.begin(), methods.end(), needs_unlabelled))
      say(o.common,
          name +
              ": no unlabelled pictures, so sources and FixMatch speak of the labelled ones (put others, as many as "
              "there are, into unlabelled/)");
    if (const std::string doubt = doubt_of_validation(first); !doubt.empty()) warn(doubt);
    warn_of_small_images(*make_network(ctx, student_architecture(ctx, o.common.settings, first)), shape);
    if (o.resume && !is_there(p.run_folder / "config.toml"))
      say(o.common, p.run_folder.string() + ": holds no stopped run; starting from the beginning");
    if (needs_bank && !o.cache.empty() && !p.cache.empty()) {
      make_folder(p.cache);
      const AtomicFile probe(p.cache / "probe");
    }
    catch_interrupts();
    save_config(app, p.run_folder);
  };
  PipelineResult result = run_pipeline(ctx, grid, p, make_events(o.common));
  AKIN_CHECK(result.finished,
             "stopped on request; what is done is kept in {}: the same command with --resume --out {} "
             "goes on",
             p.run_folder.string(), p.run_folder.string());

  ReportData& report = result.report;
  describe_task(report, o, name, shape);
  const auto last =
      std::find_if(methods.rbegin(), methods.rend(), [](Method m) { return traits(m).role == MethodRole::taught; });
  if (last != methods.rend()) report.student = title_of(*last);
  sign_report(report, app, ctx, begun, clock);
  write_report(report, p.run_folder);
  print(o.common.json ? results_json(report)
                      : (report.sources.empty() ? "" : sources_table(report) + "\n") + results_table(report));
  say(o.common, fmt::format("{}: report.html, student.safetensors, results.csv", p.run_folder.string()));
}

}  // namespace

void add_distill(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("distill", "Train students of a target from a bank of sources");
  const auto o = std::make_shared<Options>();
  add_task(*app, o->task, true);
  app->add_option("--sources", o->sources, "Models, or tables of features and logits")
      ->default_str("")  // an empty list would be saved as a source called []
      ->type_name("FILE...")
      ->group("Data");
  add_setting(*app, o->common.settings, "match_channels");
  app->add_option("--methods", o->methods, "Any of " + method_names())->type_name("NAME,...")->group("Distillation");
  app->add_option("--seeds", o->seeds, "Each draws other labelled images and weights")
      ->type_name("N,...")
      ->group("Distillation");
  for (const char* group : {"Similarity", "Network", "Training", "Distillation"})
    add_settings(*app, o->common.settings, group);
  app->add_option("--out", o->out, "Run folder; default runs/<time>")->type_name("DIR")->group("Run");
  app->add_option("--cache", o->cache, "Folder for the sources' outputs; default: cache beside the run folder; or none")
      ->type_name("DIR")
      ->group("Run");
  app->add_option("--title", o->title, "Of the report")->group("Run");
  app->add_flag("--resume", o->resume, "Go on with a stopped run, or add methods and seeds to a finished one")
      ->configurable(false)
      ->group("Run");
  app->add_flag("--force", o->force, "Start anew in a folder that holds a run")->configurable(false)->group("Run");
  add_detect_anomaly(*app, o->common);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes report.html, student.safetensors (the last method named, first seed), students/, results.csv,\n"
      "similarity.csv, weights.csv, log.jsonl and config.toml. Interrupted, it keeps a checkpoint.\n\n"
      "Example:\n"
      "  akin distill --target data/mnist --labels-per-class 2 --unlabelled 10000 --sources bank/*.safetensors \\\n"
      "    --student resnet8 --student-width 8 --seeds 0,1 --out runs/mnist");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
