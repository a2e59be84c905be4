#include "distill/student/train.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "distill/student/batches.hpp"
#include "distill/student/loss.hpp"
#include "engine/ranks.hpp"
#include "nn/unfold.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

void check_student(const StudentPlan& plan, const Settings& settings, const Task& task,
                   const std::vector<Teacher>& teachers) {
  check(settings);
  AKIN_CHECK(traits(plan.method).start != Start::features, "{}: trains no network", title_of(plan.method));
  if (!is_taught(plan.method)) return;
  AKIN_CHECK(!teachers.empty(), "{}: needs at least one source with a weight above 0", title_of(plan.method));
  for (const Teacher& t : teachers) {
    check_channels(*t.source, task.pool(), settings.match_channels);
    check_head(*t.source, title_of(plan.method));
    const Shape expected{static_cast<std::int64_t>(task.target.size()), t.source->classes()};
    AKIN_CHECK(teachers_see_augmented(settings) || (t.outputs != nullptr && t.outputs->logits.shape() == expected),
               "source {}: its logits are {}, expected {} for this task's images", t.source->name,
               t.outputs == nullptr ? "missing" : t.outputs->logits.shape().str(), expected.str());
    check_view(*t.source, settings);
  }
}

/// Copies all but the head; false, with nothing copied, where the parameters differ in names or shapes.
bool copy_extractor(const Network& from, const Network& to) {
  std::vector<std::pair<Tensor, Tensor>> pairs;
  ParameterList ours = to.parameters(), theirs = from.parameters();
  if (to.head_name() != from.head_name()) return false;
  std::erase_if(ours, [&](const Parameter& p) { return to.in_head(p.name); });
  std::erase_if(theirs, [&](const Parameter& p) { return from.in_head(p.name); });
  if (ours.size() != theirs.size()) return false;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].name != theirs[i].name) return false;
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
  AKIN_CHECK(same && copy_extractor(*from.network, network),
             "{}: is a {}; a student that is a {} cannot start from it{}", where, in_words(a), in_words(b),
             a.channels == b.channels ? "; --student init has that model's own network" : "");
}

}  // namespace

std::string start_from_init(Context& ctx, Network& network, const Settings& settings, const Normalization& task) {
  const Model model = load_init(ctx, settings);
  start_from(model, network, settings.init);
  const Normalization& own = model.info.normalization;
  if (own.mean == task.mean && own.std == task.std) return {};
  return fmt::format(
      "students that start from {} see images normalised as the target's are (mean {:.3f}, std {:.3f}), not as that "
      "model's were (mean {:.3f}, std {:.3f}); one that starts from a source keeps the source's",
      settings.init, fmt::join(task.mean, " "), fmt::join(task.std, " "), fmt::join(own.mean, " "),
      fmt::join(own.std, " "));
}

bool fits_student(Context& ctx, const Source& source, const Architecture& student) {
  if (source.is_table()) return false;
  const std::unique_ptr<Network> network = make_network(ctx, student);
  Architecture a = source.model.info.architecture;
  a.classes = student.classes;
  a.taught_share = student.taught_share;
  return a == network->architecture() && copy_extractor(*source.model.network, *network);
}

Model make_student_model(Context& ctx, const Task& task, const StudentPlan& plan, const Settings& settings) {
  const Start start = traits(plan.method).start;
  Model model;
  ModelInfo& info = model.info;
  info.height = task.pool().images.shape()[1];
  info.width = task.pool().images.shape()[2];
  info.normalization = task.normalization;
  info.classes = task.pool().classes;
  info.task = task.pool().name;
  const bool from_source = start == Start::transfer || start == Start::nearest;
  if (from_source) {
    AKIN_CHECK(plan.start != nullptr, "{}: no source to start from was given", title_of(plan.method));
    AKIN_CHECK(!plan.start->is_table(), "{}: source {} is a table; it has no network to start from",
               title_of(plan.method), plan.start->name);
    check_channels(*plan.start, task.pool(), settings.match_channels);
    info.normalization = plan.start->model.info.normalization;  // what its weights are used to
  }
  Architecture wanted = plan.architecture;
  wanted.taught_share = 0;  // a second head of what it starts from was taught for another task, or by other teachers
  model.network = make_network(ctx, wanted);
  info.architecture = model.network->architecture();
  initialize(model.network->parameters(), plan.seed);
  if (from_source)
    start_from(plan.start->model, *model.network, "source " + plan.start->name);
  else if (!settings.init.empty())
    start_from_init(ctx, *model.network, settings, info.normalization);
  if (settings.unfold && is_folded(*model.network) && begins_trained(traits(plan.method), settings)) {
    model.network = unfold_batchnorm(ctx, *model.network, task.pool().images,
                                     all_indices(task.pool().images.shape()[0]), info.normalization);
    info.architecture = model.network->architecture();
  }
  if (is_probed(plan.method) && settings.lambda < 1) {  // predictions are mixed as the loss is
    model.network->set_taught_head(ctx, 1 - settings.lambda);
    info.architecture = model.network->architecture();
    ParameterList taught;
    model.network->taught_head().collect(kTaughtHead, taught);
    initialize(taught, plan.seed ^ kHeadSeed);
  }
  return model;
}

StudentRun train_student(Context& ctx, const Task& task, const StudentPlan& plan,
                         const std::vector<Teacher>& all_teachers, const Settings& settings, const Place& place,
                         TrainHooks hooks) {
  std::vector<Teacher> teachers;
  for (const Teacher& t : all_teachers)
    AKIN_CHECK(t.alpha >= 0 && std::isfinite(t.alpha), "source {}: weight {} is not a number >= 0", t.source->name,
               t.alpha);
  if (is_taught(plan.method))
    std::copy_if(all_teachers.begin(), all_teachers.end(), std::back_inserter(teachers),
                 [](const Teacher& t) { return t.alpha > 0; });
  check_student(plan, settings, task, teachers);
  const Settings recipe = with_recipe(settings, traits(plan.method));
  TrainOptions options{.schedule = schedule_of(recipe),
                       .optimizer = optimizer_of(recipe),
                       .eval_every = settings.eval_every,
                       .graph = settings.graph,
                       .slices = settings.slices,
                       .batch = settings.slices,  // equal shares
                       .sync_batchnorm = settings.sync_batchnorm,
                       .compare_every = settings.compare_every};

  StudentRun run;
  run.model = make_student_model(ctx, task, plan, settings);
  ModelInfo& info = run.model.info;
  Network& network = *run.model.network;
  StudentLoss loss(ctx, network, teachers, plan, settings);
  // The source heads serve the loss only; they are not part of the network and never reach a file but the checkpoint.
  ParameterList parameters = network.parameters();
  const std::size_t first_own = parameters.size();
  parameters.insert(parameters.end(), loss.own_parameters().begin(), loss.own_parameters().end());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    options.optimizer.rates.push_back(i >= first_own || network.in_head(parameters[i].name) ? settings.head_lr : 1);

  StudentBatches batches(ctx, task, teachers, plan, settings, info.normalization);
  std::unique_ptr<StudentFeed> feed;
  BatchObjective<StudentBatch> objective;
  std::int64_t images = 0;
  hooks.begin = [&](std::int64_t first) { feed = batches.feed(first); };
  objective.batch = [&](std::int64_t t) {
    loss.begin_step(t, settings.steps);
    StudentBatch b = feed->next();
    images += b.images.dim(0);
    return b;
  };
  objective.loss = [&](const StudentBatch& b) { return loss(b); };
  if (!task.split.validation.empty() && !hooks.validate) {
    const std::vector<int> labels = labels_of(task, task.split.validation);
    hooks.validate = [&, labels] {
      return accuracy(
          argmax_rows(run_network(ctx, network, task.pool().images, task.split.validation, info.normalization).logits),
          labels);
    };
  }
  const auto start = std::chrono::steady_clock::now();
  run.result = train(ctx, parameters, options, place, objective, hooks);
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
  if (ctx.ranks != nullptr) images *= ctx.ranks->size();
  // Of this part of a resumed run, which may have had nothing left to do.
  run.images_per_second = own > 0 && images > 0 ? static_cast<double>(images) / own : std::nan("");
  run.pseudo_labelled = loss.pseudo_labelled();
  return run;
}

}  // namespace akin
