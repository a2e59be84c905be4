// akin fit: the best model that a folder of pictures and a bank can give, and how good it is.
#include <algorithm>
#include <chrono>
#include <optional>

#include "apps/commands.hpp"
#include "apps/distill_run.hpp"
#include "apps/flags.hpp"
#include "apps/profiling.hpp"
#include "distill/fit/fit_plan.hpp"
#include "distill/fit/model_bank.hpp"
#include "distill/report/html.hpp"
#include "distill/report/table.hpp"
#include "distill/task/settings_file.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  DistillRun run;
  std::string data, size, student, bank, flip;
  std::int64_t steps = 0;
  std::uint64_t seed = 0;
  bool dry_run = false;
};

constexpr int kSide = 64;  ///< of pictures where nobody says: what docs/results.md was measured at

/// The folder to take models from: --bank, or bank/ beside the user, or the user's own.
std::filesystem::path bank_of(const Options& o) {
  if (!o.bank.empty()) {
    AKIN_CHECK(is_folder(o.bank), "--bank {}: is no folder; `akin bank add FILE --bank {}` makes one{}", o.bank, o.bank,
               nearest_file(o.bank));
    return o.bank;
  }
  return is_folder("bank") ? std::filesystem::path("bank") : default_bank();
}

std::string megabytes(std::int64_t bytes) { return fmt::format("{} MB", (bytes + (1 << 20) - 1) >> 20); }

std::string counted(std::int64_t n, const char* what) {
  return fmt::format("{} {}{}", show_integer(n), what, n == 1 ? "" : "s");
}

/// What was found and what will be done, a line each.
std::vector<std::string> plan_lines(const FitPlan& plan, const ImageSet& pool, const std::vector<Source>& sources) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}: {} of {} ({}), {} without labels, {} to test on", pool.name,
                              counted(plan.labelled + plan.validation, "labelled picture"),
                              fmt::format("{} classes", pool.classes.size()),
                              plan.fewest == plan.most ? fmt::format("{} each", plan.most)
                                                       : fmt::format("{} to {} each", plan.fewest, plan.most),
                              show_integer(plan.unlabelled), show_integer(plan.test)));
  lines.push_back(
      fmt::format("{} are learnt from, {} choose the model, the test pictures are looked at once, at the end",
                  show_integer(plan.labelled), show_integer(plan.validation)));
  const Shape& s = pool.images.shape();
  lines.push_back(fmt::format("the student sees {}x{} pixels{}; it starts from {}", s[1], s[2],
                              s[3] == 1 ? ", grey" : "", plan.start.empty() ? "random weights" : plan.start));
  if (sources.empty())
    lines.push_back(
        "no bank of trained networks is at hand, so nobody teaches; `akin bank add FILE` makes one (docs/data.md says "
        "where networks come from)");
  std::string methods;
  for (const Method m : plan.methods) methods += (methods.empty() ? "" : ", ") + std::string(title_of(m));
  const std::string from = sources.empty() ? "" : " from " + counted(std::ssize(sources), "source");
  lines.push_back(fmt::format("{}{}; {} steps a student", methods, from, show_integer(plan.settings.steps)));
  lines.push_back(fmt::format("about {}, {} of memory, {} on disk", show_seconds(plan.seconds),
                              megabytes(plan.memory_bytes), megabytes(plan.disk_bytes)));
  return lines;
}

void run(const CLI::App& app, Options& o) {
  const std::string begun = iso_time();
  const auto clock = std::chrono::steady_clock::now();
  DistillRun& run = o.run;
  if (run.out.empty() && run.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
  if (run.sources.empty())
    for (const std::filesystem::path& file : bank_files(bank_of(o))) run.sources.push_back(file.string());
  if (!o.student.empty()) choose_student(o.student, run.sources, o.common.settings);
  ImageFormat format = o.size.empty() ? ImageFormat{.height = kSide, .width = kSide} : parse_size(o.size);

  layout_of(o.data);  // says what is wrong with it
  Context ctx = start(o.common);
  const Profiling profiling(o.common, ctx);
  const std::vector<Source> sources = open_sources(ctx, run.sources);
  std::shared_ptr<const TargetImages> images = load_target(o.data, format);
  const auto takes = [&](std::int64_t channels) {
    return std::any_of(sources.begin(), sources.end(), [&](const Source& s) {
      return !s.is_table() && s.model.info.architecture.channels == channels;
    });
  };
  const bool named = !o.student.empty() && o.common.settings.student != "init";
  if (images->pool.images.shape()[3] == 1 && takes(3) && !takes(1) && !named) {
    say(o.common, "grey pictures are brought to colour, as all networks of the bank take it");
    format.channels = 3;
    images = load_target(o.data, format);
  }
  Settings& settings = o.common.settings;
  settings.steps = o.steps;
  settings.flip = !o.flip.empty() ? o.flip : images->pool.images.shape()[3] == 3 && format.channels == 0 ? "h" : "none";
  FitPlan plan = plan_fit(ctx, *images, sources, run.sources, settings, o.seed);
  settings = plan.settings;
  check(settings);
  if (o.dry_run) tell(o.common, images->pool);  // a run tells it itself
  const std::vector<std::string> lines = plan_lines(plan, images->pool, sources);
  if (o.dry_run) {
    if (!o.common.json)
      return print(o.common, wrapped(fmt::format("{}\n", fmt::join(lines, "\n")),
                                     o.common.console != nullptr ? 0 : stdout_columns()));
    return print(o.common, json_text({{"labelled", plan.labelled},
                                      {"validation", plan.validation},
                                      {"unlabelled", plan.unlabelled},
                                      {"test", plan.test},
                                      {"start", plan.start},
                                      {"sources", run.sources},
                                      {"steps", settings.steps},
                                      {"seconds", plan.seconds},
                                      {"memory_bytes", plan.memory_bytes},
                                      {"disk_bytes", plan.disk_bytes}}));
  }
  for (const std::string& line : lines) say(o.common, line);

  run.target = {.name = last_name(o.data), .load = [images] { return images; }, .data = o.data};
  run.labels = std::move(plan.labels);
  run.budget = fmt::format("{} labelled pictures", plan.labelled);
  run.methods = plan.methods;
  run.seeds = {o.seed};
  run_distillation(app, o.common, run, ctx, begun, clock);
}

}  // namespace

void add_fit(CLI::App& akin, const Console* console) {
  CLI::App* app = akin.add_subcommand("fit", "From your pictures to the best small model: one command");
  const auto o = std::make_shared<Options>();
  o->common.settings = fit_settings();
  o->common.console = console;
  o->run.kind = RunKind::fit;
  app->add_option("data,--data", o->data, "Folder of pictures (docs/data.md)")->required()->type_name("DIR");
  app->add_option("--bank", o->bank, "Folder of trained networks (akin bank); default: bank/, else your own")
      ->type_name("DIR")
      ->group("Data");
  app->add_option("--sources", o->run.sources, "These models instead of a bank's")
      ->default_str("")
      ->type_name("FILE...")
      ->group("Data");
  app->add_option("--size", o->size, fmt::format("What the student sees; default {0}x{0}", kSide))
      ->type_name("HxW")
      ->group("Data");
  app->add_option("--student", o->student,
                  "Start from this model: of the bank, or a file; or a network's name; default: the bank's smallest")
      ->type_name("NAME|FILE")
      ->group("Training");
  app->add_option("--steps", o->steps, "Training steps of a student; 0: by the number of pictures")
      ->transform(whole_in(0, 100'000'000))
      ->group("Training");
  app->add_option("--flip", o->flip, "Mirror pictures: none, h, v or hv; empty: h, grey ones none")
      ->check(one_of({"none", "h", "v", "hv", ""}))
      ->group("Training");
  app->add_option("--seed", o->seed, "Of what is drawn at random")
      ->transform(whole_in(0, std::numeric_limits<std::int64_t>::max()))
      ->group("Training");
  app->add_flag("--dry-run", o->dry_run, "Say what was found and what it would take, and stop")
      ->configurable(false)
      ->group("Run");
  add_run_place(*app, o->run);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Takes all labels, holds a fifth of them out, ranks the bank, trains a probe of it, the student from labels "
      "alone\nand the taught student, and hands over the one that is best on what was held out: student.safetensors.\n"
      "report.html shows all of it.\n\nExample:\n  akin fit birds --out runs/birds");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
