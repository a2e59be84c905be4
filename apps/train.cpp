// akin train: a classifier on one labelled data set, such as a source of a bank.
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "engine/io/file.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  std::string data, out;
  FormatFlags format;
  ClassifierOptions classifier;
  bool resume = false, force = false;
};

std::string curve_lines(const TrainResult& result) {
  std::string text;
  for (const TrainPoint& p : result.curve)
    text += nlohmann::ordered_json{{"step", p.step}, {"loss", p.loss}}.dump() + "\n";
  return text;
}

/// Whether the run in `out` is done. Throws, before anything there is touched, where it is or was another one.
bool is_finished(Context& ctx, const CLI::App& app, const std::filesystem::path& out, const std::string& settings) {
  const std::filesystem::path model = out / "model.safetensors", checkpoint = out / "checkpoint.safetensors";
  const bool stopped = std::filesystem::exists(checkpoint);
  if (!stopped && !std::filesystem::exists(model)) return false;
  const std::string found = stopped ? std::string() : load_model(ctx, model).info.settings;
  // A model of an akin that kept no digest passes for finished.
  const bool same = stopped ? is_checkpoint_of(checkpoint, settings) : found.empty() || found == settings;
  AKIN_CHECK(same,
             "{}: was trained with other settings or data ({}): --resume needs the same ones; --force starts anew, "
             "--out DIR chooses another folder",
             (stopped ? checkpoint : model).string(), changes_since(app, out, {"data"}));
  return !stopped;
}

void run(const CLI::App& app, Options& o) {
  if (o.out.empty()) {
    if (o.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
    o.out = "runs/" + run_stamp();
  }
  const std::filesystem::path out = o.out, model_file = out / "model.safetensors";
  check_run_folder(out, {"model.safetensors", "checkpoint.safetensors"}, o.resume, o.force);
  Context ctx = start(o.common);
  const ImageSet set = load_images(o.data, Split::train, o.format.format());
  const bool has_test = has_split(o.data, Split::test);
  const ImageSet test = has_test ? load_images(o.data, Split::test, o.format.format()) : ImageSet{};

  ClassifierOptions& c = o.classifier;
  // A network that cannot be is refused before the run folder is made.
  Architecture architecture = c.architecture;
  architecture.channels = set.images.shape()[3];
  architecture.classes = static_cast<std::int64_t>(set.classes.size());
  warn_of_small_images(*make_network(ctx, architecture), set.images.shape());
  const std::string print_of_run = fingerprint(app, {"data"}, content_hash(set));
  if (o.resume && !o.force && is_finished(ctx, app, out, print_of_run)) {
    say(o.common, model_file.string() + ": is finished already, nothing to do");
    return;
  }
  if (o.resume && !std::filesystem::exists(out / "checkpoint.safetensors"))
    say(o.common, o.out + ": holds no stopped run; starting from the beginning");
  catch_interrupts();
  save_config(app, out);
  if (o.force) std::filesystem::remove(out / "checkpoint.safetensors");
  c.train.checkpoint = out / "checkpoint.safetensors";
  c.train.resume = o.resume;
  c.train.fingerprint = print_of_run;
  const std::int64_t images = set.images.shape()[0], steps = std::max<std::int64_t>(1, c.epochs * images / c.batch);
  c.train.eval_every = std::max<std::int64_t>(1, images / c.batch);
  const Events events = make_events(o.common);
  TrainHooks hooks;
  hooks.stop = events.stop;
  hooks.progress = [&](std::int64_t done, double loss) {
    events.progress("training on " + set.name, done, steps, "steps", fmt::format("loss {:.3f}", loss));
  };
  const auto clock = std::chrono::steady_clock::now();
  TrainedClassifier trained = train_classifier(ctx, set, c, hooks);
  AKIN_CHECK(trained.result.finished, "stopped at step {} of {}; {}: the same command with --resume --out {} goes on",
             trained.result.steps, steps, c.train.checkpoint.string(), o.out);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
  trained.model.info.settings = print_of_run;
  // Saved before the test as well: a test that fails shall not cost the training.
  save_model(model_file, *trained.model.network, trained.model.info);
  write_file_atomic(out / "log.jsonl", std::string_view(curve_lines(trained.result)));
  if (has_test) {
    trained.model.info.test_accuracy = evaluate_model(ctx, trained.model, test);
    save_model(model_file, *trained.model.network, trained.model.info);
  }
  remove_checkpoint(c.train);
  const double accuracy = trained.model.info.test_accuracy;
  if (o.common.json) {
    const nlohmann::ordered_json j = {{"model", model_file.string()},
                                      {"steps", steps},
                                      {"loss", trained.result.curve.back().loss},
                                      {"test_accuracy", has_test ? nlohmann::ordered_json(accuracy) : nullptr},
                                      {"seconds", seconds}};
    print(j.dump(2) + "\n");
  } else {
    const std::string result = has_test
                                   ? fmt::format("{:.2f} % of {} test images right", 100 * accuracy, test.labels.size())
                                   : std::string("no test split to measure accuracy on");
    print(fmt::format("{}: {} after {} step{} ({:.1f} s)\n", model_file.string(), result, steps, steps == 1 ? "" : "s",
                      seconds));
  }
}

}  // namespace

void add_train(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("train", "Train a classifier on a labelled data set (a source, for example)");
  const auto o = std::make_shared<Options>();
  app->add_option("--data", o->data, "Folder of the data set")->required()->type_name("DIR")->group("Data");
  add_format(*app, o->format);
  add_architecture(*app, o->classifier.architecture, "arch", "");
  app->add_option("--epochs", o->classifier.epochs, "Passes over the data")->group("Training");
  app->add_option("--batch", o->classifier.batch, "Images a step")->group("Training");
  app->add_option("--seed", o->classifier.seed, "Of weights, order and augmentation")->group("Training");
  app->add_flag("--augment,!--no-augment", o->classifier.augment, "Shift images at random")
      ->default_str("true")
      ->group("Training");
  app->add_flag("--flip,!--no-flip", o->classifier.flip, "Mirror images at random; not for characters")
      ->default_str("false")
      ->group("Training");
  add_training(*app, o->classifier.train);
  app->add_option("--out", o->out, "Run folder; default runs/<time>")->type_name("DIR")->group("Run");
  app->add_flag("--resume", o->resume, "Go on with a stopped run")->configurable(false)->group("Run");
  app->add_flag("--force", o->force, "Start anew in a folder that holds a run")->configurable(false)->group("Run");
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes model.safetensors, log.jsonl and config.toml. Interrupted, it keeps a checkpoint.\n\n"
      "Example:\n  akin train --data data/fashion --arch resnet8 --width 16 --epochs 8 --out runs/fashion");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
