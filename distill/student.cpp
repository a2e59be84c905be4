#include "distill/student.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "nn/loader.hpp"

namespace akin {

namespace {

// Streams of random numbers: labelled order, unlabelled order, augmentation.
constexpr std::uint32_t kLabelledOrder = 0x6c61626c, kUnlabelledOrder = 0x756e6c62;
constexpr std::uint32_t kWeakView = 1, kStrongView = 2;

struct MethodName {
  Method method;
  const char *name, *title;
};
constexpr MethodName kMethods[] = {{Method::scratch, "scratch", "Scratch"},
                                   {Method::fixmatch, "fixmatch", "FixMatch"},
                                   {Method::equal, "equal", "DistillEqual"},
                                   {Method::nearest, "nearest", "DistillNearest"},
                                   {Method::weighted, "weighted", "DistillWeighted"}};

/// All images of a step, labelled first, and what the teachers say of the unlabelled ones.
struct StudentBatch {
  Tensor images;                      // [labelled + unlabelled (+ strong views), H, W, C]
  Tensor targets;                     // [labelled]
  Tensor teacher;                     // [unlabelled, sum of C_s]: cached logits
  std::vector<Tensor> teacher_views;  // one a teacher: the images it shall look at (TeacherView::same)
};

/// Makes the batches of one method; runs on the loader's thread and touches only its own state.
class BatchMaker {
 public:
  BatchMaker(Context& ctx, const Task& task, const std::vector<Teacher>& teachers, const StudentOptions& o)
      : ctx_(ctx),
        task_(task),
        teachers_(teachers),
        options_(o),
        side_(task.pool.images.shape()[1]),
        labelled_(task.split.labelled, o.batch, o.seed, kLabelledOrder),
        unlabelled_(listened_to(task, o.method), o.unlabelled_batch, o.seed, kUnlabelledOrder) {
    weak_ = o.augment ? augment_weak(side_, o.flip) : AugmentOptions{};
    weak_.view = kWeakView;
    strong_ = augment_strong(side_, o.flip);
    strong_.view = kStrongView;
  }

  StudentBatch operator()(std::int64_t t) {
    const Method method = options_.method;
    const std::vector<AugmentItem> labelled = labelled_.batch(t);
    std::vector<AugmentItem> unlabelled;
    if (method != Method::scratch) unlabelled = unlabelled_.batch(t);
    const auto L = static_cast<std::int64_t>(labelled.size()), U = static_cast<std::int64_t>(unlabelled.size());
    const std::int64_t views = method == Method::fixmatch ? 2 : 1;
    const Shape& s = task_.pool.images.shape();
    const std::int64_t pixels = s[1] * s[2] * s[3];
    StudentBatch b;
    b.images = Tensor::empty(ctx_, {L + views * U, s[1], s[2], s[3]});
    const ImageView view = view_of(task_.pool.images);
    float* x = b.images.data<float>();
    spec::augment(view, labelled, weak_, task_.normalization, options_.seed, x);
    if (U > 0) spec::augment(view, unlabelled, weak_, task_.normalization, options_.seed, x + L * pixels);
    if (views == 2) spec::augment(view, unlabelled, strong_, task_.normalization, options_.seed, x + (L + U) * pixels);
    b.targets = Tensor::empty(ctx_, {L}, DType::i64);
    for (std::size_t i = 0; i < labelled.size(); ++i)
      b.targets.data<std::int64_t>()[i] = task_.pool.labels[static_cast<std::size_t>(labelled[i].image)];
    if (!uses_sources(method)) return b;
    if (options_.teacher_view == TeacherView::same) {
      for (const Teacher& teacher : teachers_) {
        const Normalization& n = teacher.source->model.info.normalization;
        const Tensor v = Tensor::empty(ctx_, {U, s[1], s[2], static_cast<std::int64_t>(n.mean.size())});
        spec::augment(view, unlabelled, weak_, n, options_.seed, v.data<float>());
        b.teacher_views.push_back(v);
      }
      return b;
    }
    std::int64_t columns = 0, column = 0;
    for (const Teacher& teacher : teachers_) columns += teacher.source->classes();
    b.teacher = Tensor::empty(ctx_, {U, columns});
    for (const Teacher& teacher : teachers_) {
      const std::int64_t C = teacher.source->classes();
      const float* logits = teacher.outputs->logits.as<float>().data();
      for (std::int64_t i = 0; i < U; ++i) {
        const auto it =
            std::lower_bound(task_.target.begin(), task_.target.end(), unlabelled[static_cast<std::size_t>(i)].image);
        std::memcpy(b.teacher.data<float>() + i * columns + column, logits + (it - task_.target.begin()) * C,
                    static_cast<std::size_t>(C) * sizeof(float));
      }
      column += C;
    }
    return b;
  }

 private:
  /// The images of the second term. Distillation ignores labels, so the labelled ones teach there too; scratch draws
  /// none, and works where there is none.
  static const Indices& listened_to(const Task& task, Method method) {
    if (method == Method::fixmatch) return task.split.unlabelled;
    return uses_sources(method) ? task.target : task.split.labelled;
  }

  Context& ctx_;
  const Task& task_;
  const std::vector<Teacher>& teachers_;
  const StudentOptions& options_;
  std::int64_t side_;
  BatchOrder labelled_, unlabelled_;
  AugmentOptions weak_, strong_;
};

/// Teacher logits for views made in this step.
Tensor run_teachers(Context& ctx, const std::vector<Teacher>& teachers, const std::vector<Tensor>& views,
                    std::int64_t columns) {
  const TapeScope off(ctx, nullptr);
  const std::int64_t U = views.front().dim(0);
  const Tensor out = Tensor::empty(ctx, {U, columns});
  std::int64_t column = 0;
  for (std::size_t s = 0; s < teachers.size(); ++s) {
    const Tensor z = teachers[s].source->model.network->logits(ctx, views[s], false);
    const std::int64_t C = z.dim(1);
    for (std::int64_t i = 0; i < U; ++i)
      std::memcpy(out.data<float>() + i * columns + column, z.data<float>() + i * C,
                  static_cast<std::size_t>(C) * sizeof(float));
    column += C;
  }
  return out;
}

/// FixMatch's second term: pseudo-labels from the weak views, mean over the whole batch; counts those that were
/// confident.
Tensor fixmatch_term(Context& ctx, const Tensor& weak, const Tensor& strong, double threshold, std::int64_t& counted) {
  const std::int64_t U = weak.dim(0), C = weak.dim(1);
  const Array p = softmax_rows(weak.to_array());
  const std::vector<int> best = argmax_rows(p);
  const Tensor target = Tensor::empty(ctx, {U}, DType::i64), mask = Tensor::empty(ctx, {U});
  for (std::int64_t i = 0; i < U; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const bool confident =
        static_cast<double>(p.as<float>()[row * static_cast<std::size_t>(C) + static_cast<std::size_t>(best[row])]) >=
        threshold;
    target.data<std::int64_t>()[i] = best[row];
    mask.data<float>()[i] = confident ? 1.0f : 0.0f;
    counted += confident;
  }
  return ops::mean(ctx, ops::softmax_ce(ctx, strong, target, mask));
}

void check_options(const StudentOptions& o, const Task& task, const std::vector<Teacher>& teachers) {
  check(o);
  if (o.method != Method::scratch)
    AKIN_CHECK(!task.split.unlabelled.empty(), "{}: the task has no unlabelled image; only scratch works without",
               title_of(o.method));
  if (!uses_sources(o.method)) return;
  AKIN_CHECK(!teachers.empty(), "{}: needs at least one source with a weight above 0", title_of(o.method));
  for (const Teacher& t : teachers) {
    check_channels(*t.source, task, o.match_channels);
    const Shape expected{static_cast<std::int64_t>(task.target.size()), t.source->classes()};
    AKIN_CHECK(o.teacher_view == TeacherView::same || (t.outputs != nullptr && t.outputs->logits.shape() == expected),
               "source {}: its logits are {}, expected {} for this task's images", t.source->name,
               t.outputs == nullptr ? "missing" : t.outputs->logits.shape().str(), expected.str());
    check_view(*t.source, o.teacher_view);
  }
}

}  // namespace

void start_from(Context& ctx, Network& network, const std::filesystem::path& file) {
  const Model from = load_model(ctx, file);
  const Architecture &a = from.info.architecture, &b = network.architecture();
  AKIN_CHECK(
      a.name == b.name && a.width == b.width && a.shortcut == b.shortcut && a.channels == b.channels,
      "{}: is a {} of width {}, shortcut {}, for {} channels; a student of {}, width {}, shortcut {}, {} channels "
      "cannot start from it",
      file.string(), a.name, a.width, a.shortcut, a.channels, b.name, b.width, b.shortcut, b.channels);
  const ParameterList ours = network.parameters(), theirs = from.network->parameters();
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (!ours[i].name.starts_with("fc."))
      std::memcpy(ours[i].tensor.raw(), theirs[i].tensor.raw(), ours[i].tensor.bytes());
}

void check_view(const Source& source, TeacherView view) {
  AKIN_CHECK(view == TeacherView::clean || !source.is_table(),
             "source {} is a table: it cannot look at augmented images; use --teacher-view clean", source.name);
}

void check(const StudentOptions& o) {
  if (o.batch < 1 || o.unlabelled_batch < 1)
    fail_usage("batches of {} labelled and {} unlabelled images: at least 1 each", o.batch, o.unlabelled_batch);
  if (!(o.lambda >= 0 && o.lambda <= 1)) fail_usage("lambda {}: must be in [0, 1]", o.lambda);
  if (!(o.temperature > 0) || !std::isfinite(o.temperature))
    fail_usage("temperature {}: must be positive", o.temperature);
  if (!(o.threshold >= 0)) fail_usage("threshold {}: must not be negative", o.threshold);
}

Method parse_method(std::string_view name) {
  for (const MethodName& m : kMethods)
    if (name == m.name) return m.method;
  fail_usage("method '{}' is unknown; use scratch, fixmatch, equal, nearest or weighted", name);
}

const char* name_of(Method method) { return kMethods[static_cast<int>(method)].name; }
const char* title_of(Method method) { return kMethods[static_cast<int>(method)].title; }

StudentRun train_student(Context& ctx, const Task& task, const std::vector<Teacher>& all_teachers,
                         StudentOptions options, TrainHooks hooks) {
  std::vector<Teacher> teachers;
  for (const Teacher& t : all_teachers)
    AKIN_CHECK(t.alpha >= 0 && std::isfinite(t.alpha), "source {}: weight {} is not a number >= 0", t.source->name,
               t.alpha);
  if (uses_sources(options.method))
    std::copy_if(all_teachers.begin(), all_teachers.end(), std::back_inserter(teachers),
                 [](const Teacher& t) { return t.alpha > 0; });
  check_options(options, task, teachers);

  StudentRun run;
  ModelInfo& info = run.model.info;
  info.architecture = options.architecture;
  info.architecture.channels = task.pool.images.shape()[3];
  info.architecture.classes = task.classes();
  info.height = task.pool.images.shape()[1];
  info.width = task.pool.images.shape()[2];
  info.normalization = task.normalization;
  info.classes = task.pool.classes;
  info.task = task.pool.name;
  run.model.network = make_network(ctx, info.architecture);
  Network& network = *run.model.network;
  info.architecture = network.architecture();
  ParameterList parameters = network.parameters();
  initialize(parameters, options.seed);
  if (!options.init.empty()) start_from(ctx, network, options.init);

  ops::KdSources kd{.offsets = {0}, .alpha = {}, .temperature = options.temperature};
  for (const Teacher& t : teachers) {
    kd.offsets.push_back(kd.offsets.back() + t.source->classes());
    kd.alpha.push_back(t.alpha);
  }
  // The source heads serve the loss only; they are not part of the network and never reach a file but the checkpoint.
  Linear heads;
  if (!teachers.empty()) {
    heads = Linear(ctx, network.feature_size(), kd.offsets.back());
    ParameterList head_list;
    heads.collect("source_heads", head_list);
    initialize(head_list, options.seed ^ 0x68656164);  // "head"
    parameters.insert(parameters.end(), head_list.begin(), head_list.end());
  }

  BatchMaker make(ctx, task, teachers, options);
  std::unique_ptr<Loader<StudentBatch>> loader;
  hooks.begin = [&](std::int64_t first) { loader = std::make_unique<Loader<StudentBatch>>(std::ref(make), first); };
  const std::int64_t steps = options.train.schedule.steps, L = options.batch;
  std::int64_t images = 0, counted = 0, considered = 0;
  hooks.loss = [&](std::int64_t t) {
    const StudentBatch b = loader->next();
    const std::int64_t all = b.images.dim(0);
    images += all;
    const Tensor features = network.features(ctx, b.images, true);
    const Tensor supervised =
        ops::mean(ctx, ops::softmax_ce(ctx, network.head(ctx, ops::rows(ctx, features, 0, L)), b.targets));
    if (options.method == Method::scratch) return supervised;
    if (options.method == Method::fixmatch) {
      const Tensor logits = network.head(ctx, ops::rows(ctx, features, L, all));
      const std::int64_t U = (all - L) / 2;
      if (t == steps - std::max<std::int64_t>(1, steps / 10)) counted = considered = 0;
      considered += U;
      const Tensor term = fixmatch_term(ctx, ops::rows(ctx, logits, 0, U).detach(), ops::rows(ctx, logits, U, 2 * U),
                                        options.threshold, counted);
      return ops::add(ctx, supervised, term);
    }
    const Tensor teacher =
        b.teacher.defined() ? b.teacher : run_teachers(ctx, teachers, b.teacher_views, kd.offsets.back());
    const Tensor distilled = ops::kd_multi(ctx, heads(ctx, ops::rows(ctx, features, L, all)), teacher, kd);
    return ops::add(ctx, ops::scale(ctx, supervised, options.lambda), ops::scale(ctx, distilled, 1 - options.lambda));
  };
  if (!task.split.validation.empty() && !hooks.validate) {
    std::vector<int> labels;
    for (const std::int64_t i : task.split.validation) labels.push_back(task.pool.labels[static_cast<std::size_t>(i)]);
    hooks.validate = [&, labels] {
      return accuracy(
          argmax_rows(run_network(ctx, network, task.pool.images, task.split.validation, task.normalization).logits),
          labels);
    };
  }
  const auto start = std::chrono::steady_clock::now();
  run.result = train(ctx, parameters, options.train, hooks);
  const double own = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (run.result.finished && !run.result.best.empty()) {
    run.best.info = info;
    run.best.network = make_network(ctx, info.architecture);
    const ParameterList list = run.best.network->parameters();  // the source heads come after the network's
    for (std::size_t i = 0; i < list.size(); ++i)
      std::memcpy(list[i].tensor.raw(), run.result.best[i].bytes(), list[i].tensor.bytes());
    run.best.info.step = run.result.best_step;
    run.best.info.validation_accuracy = run.result.best_validation;
    info.step = run.result.steps;
    info.validation_accuracy = run.result.curve.back().validation;
    run.result.best.clear();
  }
  run.seconds = run.result.seconds;
  run.images_per_second = own > 0 ? static_cast<double>(images) / own : 0;  // of this part of a resumed run
  if (considered > 0) run.pseudo_labelled = static_cast<double>(counted) / static_cast<double>(considered);
  return run;
}

}  // namespace akin
