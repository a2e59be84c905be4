#include "apps/distill_run.hpp"

#include <algorithm>
#include <optional>

#include "apps/output_cache_place.hpp"
#include "apps/run_journal.hpp"
#include "apps/value_lists.hpp"
#include "distill/report/table.hpp"
#include "distill/report/verdict.hpp"
#include "engine/io/file.hpp"
#include "engine/ranks.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// Lines of the report that say what was learnt from what.
void describe_task(ReportData& report, const CommonOptions& common, const DistillRun& run, const std::string& name,
                   const Shape& images) {
  report.title = !run.title.empty() ? run.title : name + ": " + run.budget;
  report.task = {{"target", name},
                 {"images", fmt::format("{} x {}, {}", images[1], images[2], images[3] == 1 ? "grey" : "colour")},
                 {"labels", run.budget},
                 {"teachers see", common.settings.teacher_view == "same" ? "the student's augmented images"
                                                                         : "unchanged images (outputs computed once)"}};
}

}  // namespace

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

void run_distillation(const CLI::App& app, const CommonOptions& common, const DistillRun& run, Context& ctx,
                      const std::string& begun, std::chrono::steady_clock::time_point clock) {
  const std::vector<Method>& methods = run.methods;
  const Grid grid = single_grid(run.target, run.labels, run.sources, methods, run.seeds, common.settings);
  GridInputs inputs = inputs_of(grid);
  inputs.files.insert(inputs.files.end(), run.files.begin(), run.files.end());
  const bool leads = ctx.ranks == nullptr || ctx.ranks->is_first();
  std::optional<RunFolder> folder;  // of the first rank, which alone writes
  if (leads) folder.emplace(run.kind, run.out, inputs, RunFolder::Wish{.resume = run.resume, .force = run.force});
  PipelineOptions p;
  if (leads) p.run_folder = folder->path();
  p.resume = run.resume;
  p.made_by = version_line();
  p.tensorboard = run.tensorboard;
  p.begins = [&](const std::vector<std::string>& written) { folder->begin(written); };
  const OutputCachePlace cache(std::any_of(methods.begin(), methods.end(), uses_sources) ? run.cache : "none",
                               run.target.data);
  p.cache = cache.folder();

  RunJournal journal;
  std::string name;
  Shape shape;
  // Everything is opened and checked before the run folder is made.
  p.opened = [&](const Task& first) {
    name = first.pool().name;
    shape = first.pool().images.shape();
    if (first.split.unlabelled.empty() && std::any_of(methods.begin(), methods.end(), has_second_term))
      say(common,
          name +
              ": no unlabelled pictures, so sources and FixMatch speak of the labelled ones (put others, as many "
              "as there are, into unlabelled/)");
    if (const std::string doubt = doubt_of_validation(first); run.kind == RunKind::distill && !doubt.empty())
      warn(common, doubt);
    warn_of_small_images(common, *make_network(ctx, student_architecture(ctx, common.settings, first)), shape);
    if (run.resume && !is_there(p.run_folder / "config.toml"))
      say(common, p.run_folder.string() + ": holds no stopped run; starting from the beginning");
    if (common.console == nullptr) catch_interrupts();
    save_config(app, p.run_folder);
    journal.open(p.run_folder, std::ssize(methods) * std::ssize(run.seeds));
  };
  if (!leads) p.opened = {};
  PipelineResult result = run_pipeline(ctx, grid, p, journaled(make_events(common), journal));
  if (!leads) return;
  AKIN_CHECK(result.finished,
             "stopped on request; what is done is kept in {}: the same command with --resume --out {} "
             "goes on",
             p.run_folder.string(), p.run_folder.string());

  ReportData& report = result.report;
  describe_task(report, common, run, name, shape);
  const auto last =
      std::find_if(methods.rbegin(), methods.rend(), [](Method m) { return traits(m).role == MethodRole::taught; });
  if (last != methods.rend()) report.student = title_of(*last);
  sign_report(report, app, ctx, begun, clock);
  write_report(report, p.run_folder);
  const std::size_t columns = common.console != nullptr ? 0 : stdout_columns();
  print(common, common.json ? results_json(report, p.run_folder.string())
                            : (report.sources.empty() ? "" : sources_table(report, columns) + "\n") +
                                  (run.kind == RunKind::distill ? results_table(report, columns) + "\n" : "") +
                                  verdict_text(report, columns));
  for (const std::string& note : report.notes) say(common, "note: " + note);
  say_files(common, p.run_folder, {"report.html", "student.safetensors", "results.csv"});
}

void add_run_place(CLI::App& app, DistillRun& run) {
  app.add_option("--out", run.out, "Run folder; default runs/<time>")->type_name("DIR")->group("Run");
  add_cache(app, run.cache);
  app.add_option("--title", run.title, "Of the report")->group("Run");
  add_tensorboard(app, run.tensorboard);
  app.add_flag("--resume", run.resume, "Go on with a stopped run, or add methods and seeds to a finished one")
      ->configurable(false)
      ->group("Run");
  app.add_flag("--force", run.force, "Start anew in a folder that holds a run")->configurable(false)->group("Run");
}

}  // namespace akin
