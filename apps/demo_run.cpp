#include "apps/demo_run.hpp"

#include <chrono>

#include "apps/flags.hpp"
#include "apps/run_folder.hpp"
#include "apps/run_journal.hpp"
#include "distill/report/table.hpp"

namespace akin {

void add_demo_run(CLI::App& app, DemoRunOptions& options, Settings& students) {
  for (const char* name : {"steps", "p", "lambda"}) add_setting(app, students, name)->group("Training");
  app.add_option("--seeds", options.seeds,
                 "One run of every method for each: other labelled images, other random numbers")
      ->type_name("N,...")
      ->group("Run");
  app.add_option("--out", options.out, "Run folder; what it holds of banks and caches is used again")
      ->type_name("DIR")
      ->group("Run");
  app.add_flag("--resume", options.resume, "Go on with a stopped run")->configurable(false)->group("Run");
  add_tensorboard(app, options.tensorboard);
  add_common(app, options.common);
  add_config(app);
}

void run_demo_command(const CLI::App& app, const DemoRunOptions& o, const GridInputs& inputs,
                      const std::function<PipelineResult(Context&, const PipelineOptions&, const Events&)>& run) {
  const auto clock = std::chrono::steady_clock::now();
  const std::string begun = iso_time();
  Context ctx = start(o.common);
  const RunFolder folder(app.get_name() == "birds" ? RunKind::birds : RunKind::demo, o.out, inputs,
                         {.resume = o.resume, .takes_force = false});
  catch_interrupts();
  RunJournal journal;
  journal.open(o.out);  // a demo makes its bank first
  const PipelineOptions place{.run_folder = o.out,
                              .cache = std::filesystem::path(o.out) / "cache",
                              .resume = o.resume,
                              .made_by = version_line(),
                              .tensorboard = o.tensorboard,
                              .opened = [&](const Task&) { save_config(app, o.out); },
                              .begins = [&](const std::vector<std::string>& written) { folder.begin(written); }};
  PipelineResult result = run(ctx, place, journaled(make_events(o.common), journal));
  AKIN_CHECK(result.finished, "stopped; the same command with --resume goes on from {}", o.out);
  sign_report(result.report, app, ctx, begun, clock);
  write_report(result.report, o.out);
  if (o.common.json) return print(results_json(result.report));
  const std::size_t columns = stdout_columns();
  print(sources_table(result.report, columns) + "\n" + results_table(result.report, columns) + "\n");
  for (const std::string& note : result.report.notes) say(o.common, "note: " + note);
  say_files(o.common, o.out, {"report.html", "student.safetensors", "results.csv"});
}

}  // namespace akin
