#include "distill/student/train.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "distill/student/batches.hpp"
#include "distill/student/loss.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

void check_options(const StudentOptions& o, const Task& task, const std::vector<Teacher>& teachers) {
  check(o);
  AKIN_CHECK(traits(o.method).start != Start::features, "{}: trains no network", title_of(o.method));
  if (needs_unlabelled(o.method)) check_unlabelled(task, o.method);
  if (!is_taught(o.method)) return;
  AKIN_CHECK(!teachers.empty(), "{}: needs at least one source with a weight above 0", title_of(o.method));
  for (const Teacher& t : teachers) {
    check_channels(*t.source, task, o.match_channels);
    check_head(*t.source, title_of(o.method));
    const Shape expected{static_cast<std::int64_t>(task.target.size()), t.source->classes()};
    AKIN_CHECK(o.teacher_view == TeacherView::same || (t.outputs != nullptr && t.outputs->logits.shape() == expected),
               "source {}: its logits are {}, expected {} for this task's images", t.source->name,
               t.outputs == nullptr ? "missing" : t.outputs->logits.shape().str(), expected.str());
    check_view(*t.source, o.teacher_view);
  }
}

/// A student's network may be that of its source, or of the options.
Architecture architecture_of(const Task& task, const StudentOptions& o) {
  Architecture a = o.architecture;
  a.channels = task.pool.images.shape()[3];
  if (o.start != nullptr && traits(o.method).start == Start::nearest) a = o.start->model.info.architecture;
  a.classes = task.classes();
  return a;
}

/// Copies all but the head; false, with nothing copied, where the parameters differ in names or shapes.
bool copy_extractor(const Network& from, const Network& to) {
  std::vector<std::pair<Tensor, Tensor>> pairs;
  const ParameterList ours = to.parameters(), theirs = from.parameters();
  if (ours.size() != theirs.size()) return false;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].name != theirs[i].name) return false;
    if (to.in_head(ours[i].name)) continue;
    if (!(ours[i].tensor.shape() == theirs[i].tensor.shape())) return false;
    pairs.emplace_back(ours[i].tensor, theirs[i].tensor);
  }
  for (auto& [mine, other] : pairs) mine.copy_from(other);
  return true;
}

void start_from(const Model& from, const Network& network, const std::string& where) {
  const Architecture &a = from.info.architecture, &b = network.architecture();
  const bool same = a.name == b.name && a.width == b.width && a.shortcut == b.shortcut && a.channels == b.channels &&
                    a.stem == b.stem && a.graph == b.graph;
  AKIN_CHECK(
      same && copy_extractor(*from.network, network),
      "{}: is a {} of width {}, shortcut {}, for {} channels; a student of {}, width {}, shortcut {}, {} channels "
      "cannot start from it",
      where, a.name, a.width, a.shortcut, a.channels, b.name, b.width, b.shortcut, b.channels);
}

}  // namespace

void start_from(Context& ctx, Network& network, const std::filesystem::path& file) {
  start_from(load_model(ctx, file), network, file.string());
}

bool fits_student(Context& ctx, const Source& source, const Task& task, const StudentOptions& options) {
  if (source.is_table()) return false;
  const std::unique_ptr<Network> network = make_network(ctx, architecture_of(task, options));
  Architecture a = source.model.info.architecture;
  a.classes = task.classes();
  return a == network->architecture() && copy_extractor(*source.model.network, *network);
}

Model make_student_model(Context& ctx, const Task& task, const StudentOptions& options) {
  const Start start = traits(options.method).start;
  Model model;
  ModelInfo& info = model.info;
  info.height = task.pool.images.shape()[1];
  info.width = task.pool.images.shape()[2];
  info.normalization = task.normalization;
  info.classes = task.pool.classes;
  info.task = task.pool.name;
  const bool from_source = start == Start::transfer || start == Start::nearest;
  if (from_source) {
    AKIN_CHECK(options.start != nullptr, "{}: no source to start from was given", title_of(options.method));
    AKIN_CHECK(!options.start->is_table(), "{}: source {} is a table; it has no network to start from",
               title_of(options.method), options.start->name);
    check_channels(*options.start, task, options.match_channels);
    info.normalization = options.start->model.info.normalization;  // what its weights are used to
  }
  model.network = make_network(ctx, architecture_of(task, options));
  info.architecture = model.network->architecture();
  initialize(model.network->parameters(), options.seed);
  if (from_source)
    start_from(options.start->model, *model.network, "source " + options.start->name);
  else if (!options.init.empty())
    start_from(ctx, *model.network, options.init);
  return model;
}

void check_view(const Source& source, TeacherView view) {
  AKIN_CHECK(view == TeacherView::clean || !source.is_table(),
             "source {} is a table: it cannot look at augmented images; use --teacher-view clean", source.name);
}

void check_head(const Source& source, std::string_view what) {
  AKIN_CHECK(source.classes() > 0,
             "{}: source {} has features and no head, so it says nothing to learn from; leave it out, add a tensor "
             "'logits' to its table, or use methods that need features only (probe, finetune, transfer)",
             what, source.name);
}

void check_unlabelled(const Task& task, Method method) {
  AKIN_CHECK(!task.split.unlabelled.empty(),
             "{}: the task has no unlabelled image; only methods that learn from labels work without (scratch, "
             "transfer, probe, finetune)",
             title_of(method));
}

void check(const StudentOptions& o) {
  if (o.batch < 1 || o.unlabelled_batch < 1)
    fail_usage("batches of {} labelled and {} unlabelled images: at least 1 each", o.batch, o.unlabelled_batch);
  if (!(o.lambda >= 0 && o.lambda <= 1)) fail_usage("lambda {}: must be in [0, 1]", o.lambda);
  if (!(o.temperature > 0) || !std::isfinite(o.temperature))
    fail_usage("temperature {}: must be positive", o.temperature);
  if (!(o.threshold >= 0)) fail_usage("threshold {}: must not be negative", o.threshold);
}

StudentRun train_student(Context& ctx, const Task& task, const std::vector<Teacher>& all_teachers,
                         StudentOptions options, TrainHooks hooks) {
  std::vector<Teacher> teachers;
  for (const Teacher& t : all_teachers)
    AKIN_CHECK(t.alpha >= 0 && std::isfinite(t.alpha), "source {}: weight {} is not a number >= 0", t.source->name,
               t.alpha);
  if (is_taught(options.method))
    std::copy_if(all_teachers.begin(), all_teachers.end(), std::back_inserter(teachers),
                 [](const Teacher& t) { return t.alpha > 0; });
  check_options(options, task, teachers);

  StudentRun run;
  run.model = make_student_model(ctx, task, options);
  ModelInfo& info = run.model.info;
  Network& network = *run.model.network;
  StudentLoss loss(ctx, network, teachers, options);
  // The source heads serve the loss only; they are not part of the network and never reach a file but the checkpoint.
  ParameterList parameters = network.parameters();
  parameters.insert(parameters.end(), loss.own_parameters().begin(), loss.own_parameters().end());

  StudentBatches batches(ctx, task, teachers, options, info.normalization);
  std::unique_ptr<Feed> feed;
  std::int64_t images = 0;
  hooks.begin = [&](std::int64_t first) {
    feed = std::make_unique<Feed>(
        ctx, [&](std::int64_t t) { return batches.make(t); }, [&](const Parts& p) { return batches.finish(p); }, first);
  };
  hooks.batch = [&](std::int64_t t) {
    loss.begin_step(t, options.train.schedule.steps);
    StepBatch b = feed->next();
    images += b[kImages].dim(0);
    return b;
  };
  hooks.loss = [&](const StepBatch& b) { return loss(b); };
  if (!task.split.validation.empty() && !hooks.validate) {
    std::vector<int> labels;
    for (const std::int64_t i : task.split.validation) labels.push_back(task.pool.labels[static_cast<std::size_t>(i)]);
    hooks.validate = [&, labels] {
      return accuracy(
          argmax_rows(run_network(ctx, network, task.pool.images, task.split.validation, info.normalization).logits),
          labels);
    };
  }
  const auto start = std::chrono::steady_clock::now();
  run.result = train(ctx, parameters, options.train, hooks);
  const double own = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  feed.reset();  // its thread reads `info`, which leaves with `run`
  if (run.result.finished && !run.result.best.empty()) {
    run.best.info = info;
    run.best.network = make_network(ctx, info.architecture);
    const ParameterList list = run.best.network->parameters();  // the source heads come after the network's
    for (std::size_t i = 0; i < list.size(); ++i) list[i].tensor.copy_from(run.result.best[i].bytes());
    run.best.info.step = run.result.best_step;
    run.best.info.validation_accuracy = run.result.best_validation;
    info.step = run.result.steps;
    info.validation_accuracy = run.result.curve.back().validation;
    run.result.best.clear();
  }
  run.seconds = run.result.seconds;
  run.images_per_second = own > 0 ? static_cast<double>(images) / own : 0;  // of this part of a resumed run
  run.pseudo_labelled = loss.pseudo_labelled();
  return run;
}

}  // namespace akin
