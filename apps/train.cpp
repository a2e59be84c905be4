// akin train: a classifier on one labelled data set, such as a source of a bank.
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "apps/profiling.hpp"
#include "apps/ranks.hpp"
#include "apps/run_folder.hpp"
#include "apps/run_journal.hpp"
#include "distill/report/tensorboard.hpp"
#include "engine/io/file.hpp"
#include "nn/data/same_form.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

struct Options {
  Options() { common.settings = source_settings(); }
  CommonOptions common;
  std::string data, out;
  FormatFlags format;
  bool resume = false, force = false, tensorboard = false;
};

std::string curve_lines(const TrainResult& result) {
  std::string text;
  for (const CurvePoint& p : result.curve)
    text += nlohmann::ordered_json{{"step", p.step}, {"loss", p.loss}}.dump() + "\n";
  return text;
}

/// Whether the run in `out` is done. Throws, before anything there is touched, where it is or was another one, which
/// `settings` tells.
bool is_finished(Context& ctx, const std::filesystem::path& out, const Json& settings) {
  const std::filesystem::path model = out / "model.safetensors", checkpoint = out / "checkpoint.safetensors";
  const std::optional<std::string> stopped = checkpoint_fingerprint(checkpoint);
  if (!stopped && !is_there(model)) return false;
  const std::string found = stopped ? *stopped : load_model(ctx, model).info.settings;
  const Json before = json_or_null(found);
  std::string changes =
      before.is_object() ? settings_changes(before, settings) : "another program or an earlier akin made it";
  if (changes.empty() && stopped && *stopped != settings.dump()) changes = "an earlier akin made it";
  AKIN_CHECK(changes.empty(),
             "{}: was trained with other settings or data ({}): --resume needs the same ones; --force starts anew, "
             "--out DIR chooses another folder",
             (stopped ? checkpoint : model).string(), changes);
  return !stopped;
}

void run(const CLI::App& app, Options& o) {
  if (o.out.empty() && o.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
  const std::shared_ptr<Ranks> ranks = join_ranks(o.common);
  const bool first = ranks == nullptr || ranks->is_first();  // it alone has a run folder
  std::optional<RunFolder> folder;
  if (first)
    folder.emplace(RunKind::train, o.out, GridInputs{.data = {o.data}, .files = {}},
                   RunFolder::Wish{.resume = o.resume, .force = o.force});
  const std::filesystem::path out = first ? folder->path() : std::filesystem::path();
  const std::filesystem::path model_file = out / "model.safetensors";
  Context ctx = start(o.common);
  use_ranks(ctx, ranks, o.common);
  const Profiling profiling(o.common, ctx, first);
  const bool has_test = has_split(o.data, Split::test);
  std::vector<Split> wanted{Split::train};
  if (has_test) wanted.push_back(Split::test);
  std::vector<ImageSet> sets;
  {
    const StageScope stage(ctx, "load");
    sets = load_splits(o.data, wanted, o.format.format());
  }
  const ImageSet &set = sets.front(), &test = sets.back();
  tell(o.common, set);
  check_form(set, test, "test");

  o.common.settings.slices = count_slices(ctx, o.common.settings.slices, o.common.settings.sync_batchnorm);
  check(o.common.settings, false);
  ClassifierOptions c = classifier_of(o.common.settings);
  // A network that cannot be is refused before the run folder is made.
  Architecture architecture = c.architecture;
  architecture.channels = set.images.shape()[3];
  architecture.classes = static_cast<std::int64_t>(set.classes.size());
  warn_of_small_images(o.common, *make_network(ctx, architecture), set.images.shape());
  Json settings = settings_of_source(o.common.settings);
  settings["images"] = content_hash(set);
  settings["classes"] = class_names_hash(set);
  settings["test"] = has_test ? content_hash(test) : "";
  if (ranks != nullptr) check_same(*ranks, settings.dump(), "settings or images");
  char finished = first && o.resume && !o.force && is_finished(ctx, out, settings) ? 1 : 0;
  if (ranks != nullptr) ranks->broadcast(&finished, 1, 0, "whether the run is finished");
  if (finished != 0) {
    say(o.common, model_file.string() + ": is finished already, nothing to do");
    return;
  }
  if (first && o.resume && !is_there(out / "checkpoint.safetensors"))
    say(o.common, out.string() + ": holds no stopped run; starting from the beginning");
  const std::int64_t images = set.images.shape()[0], steps = std::max<std::int64_t>(1, c.epochs * images / c.batch);
  Schedule schedule = c.train.schedule;  // what cannot be is said before an earlier run is removed
  schedule.steps = steps;
  schedule.check();
  catch_interrupts();
  if (first) {
    save_config(app, out);
    folder->begin({"config.toml"});
  }
  const Place place{.checkpoint = out / "checkpoint.safetensors",
                    .checkpoint_every = o.common.settings.checkpoint_every,
                    .resume = o.resume,
                    .fingerprint = settings.dump()};
  c.train.eval_every = std::max<std::int64_t>(1, images / c.batch);
  RunJournal journal;
  if (first) journal.open(out, 1);
  const Events events = journaled(make_events(o.common), journal);
  TrainHooks hooks;
  hooks.stop = events.stop;
  hooks.progress = [&](std::int64_t done, double loss) {
    events.progress("training on " + set.name, done, steps, "steps", fmt::format("loss {:.3f}", loss));
  };
  const auto clock = std::chrono::steady_clock::now();
  TrainedClassifier trained = train_classifier(ctx, set, c, hooks, place);
  if (!first && !trained.result.finished) return;  // the first says so
  AKIN_CHECK(trained.result.finished, "stopped at step {} of {}; {}: the same command with --resume --out {} goes on",
             trained.result.steps, steps, place.checkpoint.string(), out.string());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
  if (!first) {
    if (has_test) evaluate_model(ctx, trained.model, test);  // its share
    return;
  }
  trained.model.info.settings = settings.dump();
  // Saved before the test as well: a test that fails shall not cost the training. Until the end the checkpoint says
  // that the run is not finished.
  save_model(model_file, *trained.model.network, trained.model.info);
  write_file_atomic(out / "log.jsonl", std::string_view(curve_lines(trained.result)));
  if (has_test) {
    trained.model.info.test_accuracy = evaluate_model(ctx, trained.model, test);
    save_model(model_file, *trained.model.network, trained.model.info);
  }
  if (o.tensorboard)
    write_tensorboard(out, "train",
                      {.test_accuracy = has_test ? trained.model.info.test_accuracy : not_measured, .seconds = seconds},
                      trained.result.curve);
  remove_checkpoint(place.checkpoint);
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
  for (const char* group : {"Network", "Training"}) add_settings(*app, o->common.settings, group, true);
  app->add_option("--out", o->out, "Run folder; default runs/<time>")->type_name("DIR")->group("Run");
  add_tensorboard(*app, o->tensorboard);
  app->add_flag("--resume", o->resume, "Go on with a stopped run")->configurable(false)->group("Run");
  app->add_flag("--force", o->force, "Start anew in a folder that holds a run")->configurable(false)->group("Run");
  add_detect_anomaly(*app, o->common);
  add_profiling(*app, o->common);
  add_common(*app, o->common);
  add_ranks(*app, o->common);
  add_exchange(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes model.safetensors, log.jsonl and config.toml. Interrupted, it keeps a checkpoint.\n\n"
      "Example:\n  akin train --data data/fashion --arch resnet8 --width 16 --epochs 8 --out runs/fashion");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
