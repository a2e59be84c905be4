// akin distill: students of one target from a bank of sources, and their report.
#include <algorithm>
#include <chrono>
#include <optional>

#include "apps/commands.hpp"
#include "apps/distill_run.hpp"
#include "apps/flags.hpp"
#include "apps/profiling.hpp"
#include "apps/ranks.hpp"
#include "apps/value_lists.hpp"
#include "distill/task/label_list.hpp"
#include "engine/io/file.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  TaskFlags task;
  DistillRun run;
  std::string methods = "scratch,fixmatch,equal,nearest,weighted", seeds = "0";
};

/// "2 labels a class", or what the manifest or table says.
std::string budget_of(const TaskFlags& task) {
  const LabelManifest m = task.manifest();
  if (m.lists_labelled()) {
    std::size_t n = m.named.size();
    for (const ListedImages& list : m.labelled) n += list.images.size();
    return fmt::format("{} labels listed in {}", n, last_name(task.labels));
  }
  if (m.draw.fraction > 0) return fmt::format("labels of {:g} % of each class", 100 * m.draw.fraction);
  if (m.draw.labels_per_class == kAllLabels) return "all labels";
  return fmt::format("{} labels a class", m.draw.labels_per_class);
}

void run(const CLI::App& app, Options& o) {
  const std::string begun = iso_time();
  const auto clock = std::chrono::steady_clock::now();
  DistillRun& run = o.run;
  run.methods = parse_methods(o.methods);
  run.seeds = parse_seeds(o.seeds);
  choose_student(std::string(o.common.settings.student), run.sources, o.common.settings);
  check(o.common.settings);
  const bool needs_bank = std::any_of(run.methods.begin(), run.methods.end(), uses_sources);
  if (needs_bank && run.sources.empty())
    fail_usage("--sources: all methods but scratch and fixmatch need at least one");
  if (run.out.empty() && run.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
  const std::filesystem::path data = o.task.target;
  const ImageFormat format = o.task.format.format();
  run.target = {.name = last_name(data), .load = [=] { return load_target(data, format); }, .data = data};
  run.labels = o.task.manifest();
  run.budget = budget_of(o.task);
  check_class_names(run.labels, data);
  if (!o.task.labels.empty()) run.files.emplace_back(o.task.labels);
  const std::shared_ptr<Ranks> ranks = join_ranks(o.common);
  Context ctx = start(o.common);
  use_ranks(ctx, ranks, o.common);
  o.common.settings.slices = count_slices(ctx, o.common.settings.slices, o.common.settings.sync_batchnorm);
  check_slices(o.common.settings);
  const Profiling profiling(o.common, ctx, ranks == nullptr || ranks->is_first());
  run_distillation(app, o.common, run, ctx, begun, clock);
}

}  // namespace

void add_distill(CLI::App& akin, const Console* console) {
  CLI::App* app = akin.add_subcommand("distill", "Train students of a target from a bank of sources");
  const auto o = std::make_shared<Options>();
  o->common.console = console;
  add_task(*app, o->task, true);
  app->add_option("--sources", o->run.sources, "Models, or tables of features and logits")
      ->default_str("")  // an empty list would be saved as a source called []
      ->type_name("FILE...")
      ->group("Data");
  add_setting(*app, o->common.settings, "match_channels");
  app->add_option("--methods", o->methods, "Any of " + method_names())->type_name("NAME,...")->group("Distillation");
  app->add_option("--seeds", o->seeds, "Each draws other labelled images and weights")
      ->type_name("N,...")
      ->group("Distillation");
  add_settings(*app, o->common.settings, "Similarity");
  app->add_option("--student", o->common.settings.student,
                  fmt::format("Network: {}; or start from a source's network, by its name or file; or init: from that "
                              "of --init",
                              fmt::join(known_architectures(), ", ")))
      ->type_name("NAME|FILE")
      ->group("Network");
  add_settings(*app, o->common.settings, "Network", false, {"student"});
  for (const char* group : {"Training", "Distillation"}) add_settings(*app, o->common.settings, group);
  add_run_place(*app, o->run);
  add_detect_anomaly(*app, o->common);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_ranks(*app, o->common);
  add_exchange(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes report.html, student.safetensors (of the first seed: the best on validation\n"
      "images, without any the last method named), students/, results.csv,\n"
      "similarity.csv, weights.csv, log.jsonl and config.toml. Interrupted, it keeps a checkpoint.\n\n"
      "Example:\n"
      "  akin distill --target data/mnist --labels-per-class 2 --unlabelled 10000 --sources bank/*.safetensors \\\n"
      "    --student resnet8 --student-width 8 --seeds 0,1 --out runs/mnist");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
