// akin demo: the whole story on real images in some minutes.
#include "distill/demo/digits.hpp"

#include <memory>

#include "apps/commands.hpp"
#include "apps/demo_run.hpp"
#include "apps/flags.hpp"
#include "apps/value_lists.hpp"

namespace akin {

namespace {

struct Options {
  DemoRunOptions run{.common = {}, .data = "data", .out = "runs/demo", .seeds = "0,1", .resume = false};
  DemoOptions demo = demo_options();
};

void run(const CLI::App& app, Options& o) {
  DemoOptions& demo = o.demo;
  demo.data = o.run.data;
  demo.seeds = parse_seeds(o.run.seeds);
  for (Settings* s : {&demo.settings, &demo.bank.settings}) copy_settings(o.run.common.settings, "General", *s);
  GridInputs inputs;
  for (const char* name : {"mnist", "fashion", "cifar10"}) inputs.data.push_back(demo.data / name);
  run_demo_command(app, o.run, inputs, [&](Context& ctx, const PipelineOptions& place, const Events& events) {
    return run_demo(ctx, demo, place, events);
  });
}

}  // namespace

void add_demo(CLI::App& akin) {
  CLI::App* app =
      akin.add_subcommand("demo", "Train students on real images, and show who wins: handwritten digits, or birds");
  const auto o = std::make_shared<Options>();
  DemoOptions& d = o->demo;
  app->add_option("--data", o->run.data,
                  "Folder with mnist/, fashion/ and cifar10/, where they are at hand (scripts/get_data.sh)")
      ->type_name("DIR")
      ->group("Data");
  app->add_flag("--drawn-target", d.glyph_target, "Use drawn characters as the target even where MNIST is at hand")
      ->group("Data");
  app->add_option("--labels-per-class", d.labels_per_class, "Labelled target images of each class")
      ->transform(whole_in(1, 1000))
      ->group("Data");
  app->add_option("--unlabelled", d.unlabelled, "Unlabelled target images; 0: all")
      ->transform(whole_in(0, kMostImages))
      ->group("Data");
  app->add_option("--bank-images", d.bank.images, "Training images of a source")
      ->transform(whole_in(1, 1'000'000))
      ->group("Training");
  app->add_option("--bank-epochs", d.bank.settings.epochs, "Passes over them")
      ->transform(whole_in(1, 1'000'000))
      ->group("Training");
  add_demo_run(*app, o->run, d.settings);
  app->footer(
      "Writes report.html, results.csv and the students; the bank stays in <out>/bank.\n\n"
      "Example:\n  akin demo --seeds 0,1,2 --labels-per-class 5");
  add_demo_birds(*app);
  app->callback([app, o] {
    if (app->get_subcommands().empty()) run(*app, *o);
  });
}

}  // namespace akin
