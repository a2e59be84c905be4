// akin demo birds: deployed networks teach a small one to tell birds apart.
#include <chrono>
#include <memory>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/demo_birds.hpp"
#include "distill/table.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  BirdsDemoOptions demo = birds_demo_options();
  std::string data = "data/cub20", weights = "data/weights", out = "runs/birds", seeds = "0";
  bool resume = false;
};

void run(const CLI::App& app, Options& o) {
  const auto clock = std::chrono::steady_clock::now();
  const std::string begun = iso_time();
  BirdsDemoOptions& demo = o.demo;
  demo.data = o.data;
  demo.weights = o.weights;
  demo.out = o.out;
  demo.seeds = parse_seeds(o.seeds);
  demo.pipeline.resume = o.resume;
  demo.pipeline.fingerprint = fingerprint(app, {}, "birds");
  Context ctx = start(o.common);
  check_birds_files(demo);
  save_config(app, demo.out);
  catch_interrupts();
  PipelineResult result = run_birds_demo(ctx, demo, make_events(o.common));
  AKIN_CHECK(result.finished, "stopped; the same command with --resume goes on from {}", o.out);
  sign_report(result.report, app, ctx, begun, clock);
  write_report(result.report, demo.out);
  if (o.common.json) {
    print(results_json(result.report));
    return;
  }
  print(sources_table(result.report) + "\n" + results_table(result.report) + "\n");
  print(fmt::format("Report: {}\n", (demo.out / "report.html").string()));
}

}  // namespace

void add_demo_birds(CLI::App& demo) {
  CLI::App* app = demo.add_subcommand("birds", "Twenty kinds of birds, taught by deployed networks of 224x224");
  const auto o = std::make_shared<Options>();
  BirdsDemoOptions& d = o->demo;
  app->add_option("--data", o->data, "Pictures of 20 species (docs/data.md)")->type_name("DIR")->group("Data");
  app->add_option("--weights", o->weights, "Folder of the networks (docs/data.md)")->type_name("DIR")->group("Data");
  app->add_option("--labels-per-class", d.labels_per_class, "Labelled pictures of each species")->group("Data");
  app->add_option("--side", d.side, "Pixels a side of the student's images")->check(CLI::Range(32, 224))->group("Data");
  app->add_option("--seeds", o->seeds,
                  "One run of every method for each: other labelled pictures, other random numbers")
      ->group("Run");
  app->add_option("--steps", d.pipeline.student.train.schedule.steps, "Training steps of a student")->group("Training");
  app->add_option("--p", d.pipeline.rank.power, "Power of the similarity in DistillWeighted")->group("Training");
  app->add_option("--lambda", d.pipeline.student.lambda, "Share of the labelled loss")->group("Training");
  app->add_option("--out", o->out, "Run folder")->type_name("DIR")->group("Run");
  app->add_flag("--resume", o->resume, "Go on with a stopped run")->configurable(false)->group("Run");
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes report.html, results.csv and the students.\n\nExample:\n  akin demo birds --labels-per-class 3 --seeds "
      "0,1,2");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
