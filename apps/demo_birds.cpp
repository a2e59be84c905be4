// akin demo birds: deployed networks teach a small one to tell birds apart.
#include <memory>

#include "apps/commands.hpp"
#include "apps/demo_run.hpp"
#include "apps/flags.hpp"
#include "apps/value_lists.hpp"
#include "distill/demo/birds.hpp"

namespace akin {

namespace {

struct Options {
  DemoRunOptions run{.common = {}, .data = "data/cub20", .out = "runs/birds", .seeds = "0", .resume = false};
  std::string weights = "data/weights";
  BirdsDemoOptions demo = birds_demo_options();
};

void run(const CLI::App& app, Options& o) {
  BirdsDemoOptions& demo = o.demo;
  demo.data = o.run.data;
  demo.weights = o.weights;
  demo.seeds = parse_seeds(o.run.seeds);
  copy_settings(o.run.common.settings, "General", demo.settings);
  check_birds_files(demo);
  run_demo_command(app, o.run, {.data = {demo.data}, .files = {}},
                   [&](Context& ctx, const PipelineOptions& place, const Events& events) {
                     return run_birds_demo(ctx, demo, place, events);
                   });
}

}  // namespace

void add_demo_birds(CLI::App& demo) {
  CLI::App* app = demo.add_subcommand("birds", "Twenty kinds of birds, taught by deployed networks of 224x224");
  const auto o = std::make_shared<Options>();
  BirdsDemoOptions& d = o->demo;
  app->add_option("--data", o->run.data, "Pictures of 20 species (docs/data.md)")->type_name("DIR")->group("Data");
  app->add_option("--weights", o->weights, "Folder of the networks (docs/data.md)")->type_name("DIR")->group("Data");
  app->add_option("--labels-per-class", d.labels_per_class, "Labelled pictures of each species")
      ->transform(whole_in(1, 1000))
      ->group("Data");
  app->add_option("--side", d.side, "Pixels a side of the student's images")
      ->transform(whole_in(32, 224))
      ->group("Data");
  add_demo_run(*app, o->run, d.settings);
  app->footer(
      "Writes report.html, results.csv and the students.\n\nExample:\n  akin demo birds --labels-per-class 3 --seeds "
      "0,1,2");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
