// akin demo: the whole story on real images in some minutes.
#include "distill/demo.hpp"

#include <chrono>
#include <memory>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/table.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  DemoOptions demo = demo_options();
  std::string data = "data", out = "runs/demo", seeds = "0,1";
  bool resume = false;
};

void run(const CLI::App& app, Options& o) {
  const auto clock = std::chrono::steady_clock::now();
  const std::string begun = iso_time();
  DemoOptions& demo = o.demo;
  demo.data = o.data;
  demo.out = o.out;
  demo.seeds = parse_seeds(o.seeds);
  demo.pipeline.resume = o.resume;
  demo.pipeline.fingerprint = fingerprint(app, {}, "demo");
  Context ctx = start(o.common);
  save_config(app, demo.out);
  catch_interrupts();
  PipelineResult result = run_demo(ctx, demo, make_events(o.common));
  AKIN_CHECK(result.finished, "stopped; the same command with --resume goes on from {}", o.out);
  sign_report(result.report, app, ctx, begun, clock);
  write_report(result.report, demo.out);
  if (o.common.json) {
    print(results_json(result.report));
    return;
  }
  print(sources_table(result.report) + "\n" + results_table(result.report) + "\n");
  for (const std::string& note : result.report.notes) say(o.common, "note: " + note);
  print(fmt::format("Report: {}\n", (demo.out / "report.html").string()));
}

}  // namespace

void add_demo(CLI::App& akin) {
  CLI::App* app =
      akin.add_subcommand("demo", "Train students on real images, and show who wins: handwritten digits, or birds");
  const auto o = std::make_shared<Options>();
  DemoOptions& d = o->demo;
  app->add_option("--data", o->data,
                  "Folder with mnist/, fashion/ and cifar10/, where they are at hand (scripts/get_data.sh)")
      ->type_name("DIR")
      ->group("Data");
  app->add_flag("--drawn-target", d.glyph_target, "Use drawn characters as the target even where MNIST is at hand")
      ->group("Data");
  app->add_option("--labels-per-class", d.labels_per_class, "Labelled target images of each class")->group("Data");
  app->add_option("--unlabelled", d.unlabelled, "Unlabelled target images")->group("Data");
  app->add_option("--seeds", o->seeds, "One run of every method for each: other labelled images, other random numbers")
      ->group("Run");
  app->add_option("--steps", d.pipeline.student.train.schedule.steps, "Training steps of a student")->group("Training");
  app->add_option("--bank-images", d.bank.images, "Training images of a source")->group("Training");
  app->add_option("--bank-epochs", d.bank.classifier.epochs, "Passes over them")->group("Training");
  app->add_option("--p", d.pipeline.rank.power, "Power of the similarity in DistillWeighted")->group("Training");
  app->add_option("--lambda", d.pipeline.student.lambda, "Share of the labelled loss")->group("Training");
  app->add_option("--out", o->out, "Run folder; its bank and caches are used again")->type_name("DIR")->group("Run");
  app->add_flag("--resume", o->resume, "Go on with a stopped run")->configurable(false)->group("Run");
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes report.html, results.csv and the students; the bank stays in <out>/bank.\n\n"
      "Example:\n  akin demo --seeds 0,1,2 --labels-per-class 5");
  add_demo_birds(*app);
  app->callback([app, o] {
    if (app->get_subcommands().empty()) run(*app, *o);
  });
}

}  // namespace akin
