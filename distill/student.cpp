#include "distill/student.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "nn/feed.hpp"
#include "nn/image_batch.hpp"

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

/// What a step reads, in this order: labelled images and their targets; then, by method, unlabelled ones and what the
/// teachers say of them.
enum Slot : std::size_t { kImages, kTargets, kTeacher, kTeacherViews };  // images [labelled + unlabelled (+ strong)]

/// The rows of both, one below the other.
Tensor stacked(Context& ctx, const Tensor& a, const Tensor& b) {
  std::vector<std::int64_t> dims = a.shape().dims();
  dims[0] += b.dim(0);
  Tensor out = Tensor::empty(ctx, Shape(dims), a.dtype());
  out.view(a.shape()).copy_from(a);
  out.view(b.shape(), a.numel()).copy_from(b);
  return out;
}

/// Makes the batches of one method.
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

  /// On the loader's thread: numbers, pixels and labels of step t, and the teachers' cached logits.
  Parts make(std::int64_t t) {
    const std::vector<AugmentItem> labelled = labelled_.batch(t);
    std::vector<AugmentItem> items = labelled, unlabelled;
    if (options_.method != Method::scratch) unlabelled = unlabelled_.batch(t);
    items.insert(items.end(), unlabelled.begin(), unlabelled.end());
    const ImageParts images = gather_images(ctx_, view_of(task_.pool.images), items);
    Tensor targets = Tensor::on_host(ctx_, {static_cast<std::int64_t>(labelled.size())}, DType::i64);
    for (std::size_t i = 0; i < labelled.size(); ++i)
      targets.data<std::int64_t>()[i] = task_.pool.labels[static_cast<std::size_t>(labelled[i].image)];
    return {images.items, images.pixels, targets, cached_logits(unlabelled)};
  }

  /// On the device: augmented images.
  StepBatch finish(const Parts& parts) const {
    const ImageParts images{parts[0], parts[1]};
    const ImageView view = view_of(task_.pool.images);
    const std::int64_t L = options_.batch, all = images.items.dim(0), U = all - L;
    const auto augmented = [&](std::int64_t begin, const AugmentOptions& how, const Normalization& n) {
      return augment_images(ctx_, view, images, begin, all, how, n, options_.seed);
    };
    Tensor x = augmented(0, weak_, task_.normalization);
    if (options_.method == Method::fixmatch) x = stacked(ctx_, x, augmented(L, strong_, task_.normalization));
    StepBatch batch = {x, parts[2], parts[3]};
    if (uses_sources(options_.method) && options_.teacher_view == TeacherView::same && U > 0)
      for (const Teacher& teacher : teachers_)
        batch.push_back(augmented(L, weak_, teacher.source->model.info.normalization));
    return batch;
  }

 private:
  /// What the teachers say of the clean images: [unlabelled, sum of C_s]; undefined where they look at each view.
  Tensor cached_logits(const std::vector<AugmentItem>& unlabelled) {
    if (!uses_sources(options_.method) || options_.teacher_view == TeacherView::same) return Tensor();
    std::int64_t columns = 0, column = 0;
    for (const Teacher& teacher : teachers_) columns += teacher.source->classes();
    const Tensor out = Tensor::on_host(ctx_, {static_cast<std::int64_t>(unlabelled.size()), columns});
    for (const Teacher& teacher : teachers_) {
      const std::int64_t C = teacher.source->classes();
      const float* logits = teacher.outputs->logits.as<float>().data();
      float* to = out.data<float>() + column;
      for (const AugmentItem& item : unlabelled) {
        const auto it = std::lower_bound(task_.target.begin(), task_.target.end(), item.image);
        std::copy_n(logits + (it - task_.target.begin()) * C, C, to);
        to += columns;
      }
      column += C;
    }
    return out;
  }

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

/// Teacher logits for views made in this step: [U, sum of C_s].
Tensor run_teachers(Context& ctx, const std::vector<Teacher>& teachers, const StepBatch& batch) {
  const TapeScope off(ctx, nullptr);
  std::vector<Tensor> logits;
  for (std::size_t s = 0; s < teachers.size(); ++s)
    logits.push_back(teachers[s].source->model.network->logits(ctx, batch[kTeacherViews + s], false));
  return ops::concat_channels(ctx, logits);
}

/// FixMatch's second term: pseudo-labels from the weak views, mean over the whole batch. The number of confident ones
/// is added to `counted`, see ops::pseudo_label.
Tensor fixmatch_term(Context& ctx, const Tensor& weak, const Tensor& strong, double threshold, const Tensor& counted) {
  const auto [target, mask] = ops::pseudo_label(ctx, weak, threshold, counted);
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
      a.name == b.name && a.width == b.width && a.shortcut == b.shortcut && a.channels == b.channels &&
          a.stem == b.stem && a.graph == b.graph,
      "{}: is a {} of width {}, shortcut {}, for {} channels; a student of {}, width {}, shortcut {}, {} channels "
      "cannot start from it",
      file.string(), a.name, a.width, a.shortcut, a.channels, b.name, b.width, b.shortcut, b.channels);
  const ParameterList ours = network.parameters(), theirs = from.network->parameters();
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (!network.in_head(ours[i].name)) ours[i].tensor.copy_from(theirs[i].tensor);
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

  BatchMaker maker(ctx, task, teachers, options);
  std::unique_ptr<Feed> feed;
  hooks.begin = [&](std::int64_t first) {
    feed = std::make_unique<Feed>(
        ctx, [&](std::int64_t t) { return maker.make(t); }, [&](const Parts& p) { return maker.finish(p); }, first);
  };
  const std::int64_t steps = options.train.schedule.steps, L = options.batch;
  const Tensor counted = Tensor::zeros(ctx, {2}, DType::i32);  // pseudo-labels of the last tenth: confident, broken
  std::int64_t images = 0, considered = 0;
  hooks.batch = [&](std::int64_t t) {
    StepBatch b = feed->next();
    images += b[kImages].dim(0);
    if (options.method == Method::fixmatch) {
      if (t == steps - std::max<std::int64_t>(1, steps / 10)) {
        counted.set_zero();
        considered = 0;
      }
      considered += options.unlabelled_batch;
    }
    return b;
  };
  hooks.loss = [&](const StepBatch& b) {
    const std::int64_t all = b[kImages].dim(0);
    const Tensor features = network.features(ctx, b[kImages], true);
    const Tensor supervised =
        ops::mean(ctx, ops::softmax_ce(ctx, network.head(ctx, ops::rows(ctx, features, 0, L)), b[kTargets]));
    if (options.method == Method::scratch) return supervised;
    if (options.method == Method::fixmatch) {
      const Tensor logits = network.head(ctx, ops::rows(ctx, features, L, all));
      const std::int64_t U = (all - L) / 2;
      const Tensor term = fixmatch_term(ctx, ops::rows(ctx, logits, 0, U).detach(), ops::rows(ctx, logits, U, 2 * U),
                                        options.threshold, counted);
      return ops::add(ctx, supervised, term);
    }
    const Tensor teacher = b[kTeacher].defined() ? b[kTeacher] : run_teachers(ctx, teachers, b);
    const Tensor distilled =
        ops::kd_multi(ctx, heads(ctx, network.pooled(ctx, ops::rows(ctx, features, L, all))), teacher, kd);
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
    for (std::size_t i = 0; i < list.size(); ++i) list[i].tensor.copy_from(run.result.best[i].bytes());
    run.best.info.step = run.result.best_step;
    run.best.info.validation_accuracy = run.result.best_validation;
    info.step = run.result.steps;
    info.validation_accuracy = run.result.curve.back().validation;
    run.result.best.clear();
  }
  run.seconds = run.result.seconds;
  run.images_per_second = own > 0 ? static_cast<double>(images) / own : 0;  // of this part of a resumed run
  if (considered > 0) {
    const Array counts = counted.to_array();
    AKIN_CHECK(counts.as<std::int32_t>()[1] == 0, "fixmatch: {} rows of logits are NaN", counts.as<std::int32_t>()[1]);
    run.pseudo_labelled = static_cast<double>(counts.as<std::int32_t>()[0]) / static_cast<double>(considered);
  }
  return run;
}

}  // namespace akin
