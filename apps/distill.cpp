// akin distill: students of one target from a bank of sources, and their report.
#include <algorithm>
#include <chrono>
#include <optional>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/flags.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  TaskFlags task;
  StudentFlags student;
  RankOptions rank;
  std::vector<std::string> sources;
  std::string methods = "scratch,fixmatch,equal,nearest,weighted", seeds = "0", out, cache, title, transfer;
  bool match_channels = false, resume = false, force = false;
};

/// Cuts the target's images into parts, for one seed after the other; they are read once.
class TaskMaker {
 public:
  explicit TaskMaker(const TaskFlags& flags) : labels_(flags.manifest()) {
    const ImageFormat format = flags.format.format();
    train_ = load_images(flags.target, Split::train, format);
    test_ = load_images(flags.target, Split::test, format);
    if (has_split(flags.target, Split::unlabeled)) unlabelled_ = load_images(flags.target, Split::unlabeled, format);
  }
  Task operator()(std::uint64_t seed) {
    if (kept_ && seed == kept_seed_) return *std::exchange(kept_, std::nullopt);
    LabelManifest labels = labels_;
    labels.draw.seed = seed;
    return make_task(train_, test_, unlabelled_, labels);
  }
  /// The task of `seed`, which the next call for it hands out.
  const Task& keep(std::uint64_t seed) {
    kept_ = (*this)(seed);
    kept_seed_ = seed;
    return *kept_;
  }

 private:
  LabelManifest labels_;
  ImageSet train_, test_, unlabelled_;
  std::optional<Task> kept_;
  std::uint64_t kept_seed_ = 0;
};

/// "2 labels a class", or what the manifest says.
std::string budget_of(const TaskFlags& task) {
  const LabelManifest m = task.manifest();
  if (!m.labelled.empty()) return "labels as listed in " + std::filesystem::path(task.labels).filename().string();
  if (m.draw.fraction > 0) return fmt::format("labels of {:g} % of each class", 100 * m.draw.fraction);
  return fmt::format("{} labels a class", m.draw.labels_per_class);
}

/// Lines of the report that say what was learnt from what.
void describe_task(ReportData& report, const Options& o, const std::string& name, const Shape& images) {
  report.title = !o.title.empty() ? o.title : name + ": " + budget_of(o.task);
  report.task = {{"target", name},
                 {"images", fmt::format("{} x {}, {}", images[1], images[2], images[3] == 1 ? "grey" : "colour")},
                 {"labels", budget_of(o.task)},
                 {"teachers see", o.student.teacher_view == "same" ? "the student's augmented images"
                                                                   : "unchanged images (outputs computed once)"}};
}

void run(const CLI::App& app, Options& o) {
  const std::string begun = iso_time();
  const auto clock = std::chrono::steady_clock::now();
  PipelineOptions p;
  p.rank = o.rank;
  p.methods.clear();
  for (const std::string& name : split_list(o.methods, "--methods")) {
    const Method method = parse_method(name);
    if (std::find(p.methods.begin(), p.methods.end(), method) != p.methods.end())
      fail_usage("--methods '{}': {} twice", o.methods, name);
    p.methods.push_back(method);
  }
  p.seeds = parse_seeds(o.seeds);
  p.student = o.student.student();
  p.student.train.schedule.check();
  p.student.train.optimizer.check();
  check(p.student);
  find_metric(o.rank.metric);
  if (!o.rank.mapping.empty()) parse_mapping(o.rank.mapping);
  const bool taught = std::any_of(p.methods.begin(), p.methods.end(), uses_sources);
  if (taught && o.sources.empty()) fail_usage("--sources: all methods but scratch and fixmatch need at least one");
  if (o.out.empty()) {
    if (o.resume) fail_usage("--resume: name the run folder to go on with, --out DIR");
    o.out = "runs/" + run_stamp();
  }
  p.transfer = o.transfer;
  p.run_folder = o.out;
  check_run_folder(p.run_folder, {"results.csv", "students", "checkpoints"}, o.resume, o.force);

  // Everything is opened and checked before the run folder is made.
  Context ctx = start(o.common);
  std::vector<Source> sources;
  if (taught) sources = open_sources(ctx, o.sources);
  TaskMaker tasks(o.task);
  const Task& first = tasks.keep(p.seeds.front());
  for (const Source& s : sources) check_channels(s, first, o.match_channels);
  Architecture student = p.student.architecture;
  student.channels = first.pool.images.shape()[3];
  student.classes = first.classes();
  const std::unique_ptr<Network> network = make_network(ctx, student);
  warn_of_small_images(*network, first.pool.images.shape());
  if (!o.student.init.empty()) start_from(ctx, *network, o.student.init);
  const std::string name = first.pool.name;
  const Shape shape = first.pool.images.shape();
  std::string inputs = first.hash;
  for (const Source& s : sources) inputs += "|" + s.hash;
  if (std::error_code none; std::filesystem::is_regular_file(o.task.labels, none))
    inputs += "|" + sha256_file(o.task.labels);

  p.outputs.match_channels = o.match_channels;
  const std::filesystem::path parent = p.run_folder.parent_path();
  if (o.cache != "none") p.outputs.cache = o.cache.empty() ? parent / "cache" : std::filesystem::path(o.cache);
  p.resume = o.resume;
  const std::vector<std::string> free_to_change = {"methods", "seeds", "target", "sources", "title", "replicates"};
  p.fingerprint = fingerprint(app, free_to_change, inputs);
  if (o.resume) {
    check_same_settings(p.run_folder, p.fingerprint, changes_since(app, p.run_folder, free_to_change));
    std::error_code none;
    if (!std::filesystem::exists(p.run_folder / "config.toml", none))
      say(o.common, o.out + ": holds no stopped run; starting from the beginning");
  }
  if (taught && !o.cache.empty() && !p.outputs.cache.empty()) {
    make_folder(p.outputs.cache);
    const AtomicFile probe(p.outputs.cache / "probe");
  }
  catch_interrupts();
  save_config(app, p.run_folder);
  PipelineResult result = run_pipeline(
      ctx, [&](std::uint64_t seed) { return tasks(seed); }, sources, p, make_events(o.common));
  AKIN_CHECK(result.finished,
             "stopped on request; what is done is kept in {}: the same command with --resume --out {} "
             "goes on",
             o.out, o.out);

  ReportData& report = result.report;
  describe_task(report, o, name, shape);
  const auto last =
      std::find_if(p.methods.rbegin(), p.methods.rend(), [](Method m) { return traits(m).role == MethodRole::taught; });
  if (last != p.methods.rend()) report.student = title_of(*last);
  sign_report(report, app, ctx, begun, clock);
  write_report(report, p.run_folder);
  print(o.common.json ? results_json(report)
                      : (report.sources.empty() ? "" : sources_table(report) + "\n") + results_table(report));
  say(o.common, fmt::format("{}: report.html, student.safetensors, results.csv", o.out));
}

}  // namespace

void add_distill(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("distill", "Train students of a target from a bank of sources");
  const auto o = std::make_shared<Options>();
  add_task(*app, o->task, true);
  app->add_option("--sources", o->sources, "Models, or tables of features and logits")
      ->default_str("")  // an empty list would be saved as a source called []
      ->type_name("FILE...")
      ->group("Data");
  app->add_flag("--match-channels", o->match_channels, "Turn grey to colour and colour to grey as a source expects")
      ->group("Data");
  app->add_option("--methods", o->methods, "Any of " + method_names())->type_name("NAME,...")->group("Distillation");
  app->add_option(
         "--transfer", o->transfer,
         "Source that transfer and the methods named after it start from; empty: the most similar one of the student's "
         "architecture")
      ->type_name("NAME")
      ->group("Distillation");
  app->add_option("--seeds", o->seeds, "Each draws other labelled images and weights")
      ->type_name("N,...")
      ->group("Distillation");
  app->add_option("--metric", o->rank.metric, "Similarity of tasks: " + list_of_metrics())->group("Similarity");
  add_rank_options(*app, o->rank);
  add_student(*app, o->student);
  app->add_option("--out", o->out, "Run folder; default runs/<time>")->type_name("DIR")->group("Run");
  app->add_option("--cache", o->cache, "Folder for the sources' outputs; default: cache beside the run folder; or none")
      ->type_name("DIR")
      ->group("Run");
  app->add_option("--title", o->title, "Of the report")->group("Run");
  app->add_flag("--resume", o->resume, "Go on with a stopped run, or add methods and seeds to a finished one")
      ->configurable(false)
      ->group("Run");
  app->add_flag("--force", o->force, "Start anew in a folder that holds a run")->configurable(false)->group("Run");
  add_common(*app, o->common);
  add_config(*app);
  app->footer(
      "Writes report.html, student.safetensors (the last method named, first seed), students/, results.csv,\n"
      "similarity.csv, weights.csv, log.jsonl and config.toml. Interrupted, it keeps a checkpoint.\n\n"
      "Example:\n"
      "  akin distill --target data/mnist --labels-per-class 2 --unlabelled 10000 --sources bank/*.safetensors \\\n"
      "    --student resnet8 --student-width 8 --seeds 0,1 --out runs/mnist");
  app->callback([app, o] { run(*app, *o); });
}

}  // namespace akin
