#include "distill/student/run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "distill/student/evaluator.hpp"
#include "distill/student/linear_probe.hpp"
#include "distill/student/running_cost.hpp"
#include "distill/student/train.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

/// Some of the task's images: to measure with how long one takes.
Array some_images(const Task& task) {
  const Indices& labelled = task.split.labelled;
  return pick_images(task.pool().images,
                     Indices(labelled.begin(), labelled.begin() + std::min<std::ptrdiff_t>(16, std::ssize(labelled))));
}

// An old best student goes before the new last one comes: whoever finds it may trust that it is this run's.

void run_probe(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings,
               const StudentPlace& place, StudentRecord& record, TestAnswers& answers) {
  const Source& source = *plan.start;
  const LinearProbe probe = train_linear_probe(ctx, in.task, source, settings, in.options);
  const bool chosen = probe.best_point > 0;
  record.curve = probe.curve;
  Figures& f = record.figures;
  f.seconds = probe.seconds;
  Array features;  // of the test images: computed once for both heads
  const auto predictor = [&](const ProbeHead& head) {
    return [&](const ImageSet& test) {
      if (features.numel() == 0)
        features = features_of(ctx, source, test, all_indices(std::ssize(test.labels)), in.options);
      return Outputs{features, head.logits(features)};
    };
  };
  answers = Evaluator::test(in.task, predictor(probe.last),
                            chosen ? Evaluator::Predictor(predictor(probe.best)) : Evaluator::Predictor(), false, f);
  Model last = probe_model(ctx, in.task, source, probe.last), best;
  last.info.test_accuracy = f.test_accuracy;
  if (chosen) {
    best = probe_model(ctx, in.task, source, probe.best);
    best.info.test_accuracy = f.best_test_accuracy;
    f.val_accuracy = last.info.validation_accuracy = probe.last_validation;
    f.best_val_accuracy = best.info.validation_accuracy = probe.best_validation;
    f.best_step = best.info.step = probe.best_point;
  }
  if (place.student.empty()) return;
  remove_file(place.best);
  save_probe(place.student, last, source, probe.last);
  const Array some = some_images(in.task);
  add_running_cost(ctx, source.model, some, f);
  if (last.network != nullptr) f.parameters = count_trainable(last.network->parameters());
  // Of a network without its head: both files are needed.
  f.file_bytes = last.network != nullptr ? static_cast<std::int64_t>(std::filesystem::file_size(place.student))
                                         : f.parameters * static_cast<std::int64_t>(sizeof(float));
  if (chosen) save_probe(place.best, best, source, probe.best);
}

/// The probe that stands for all sources.
const ProbeTeacher& probe_of(const StudentInputs& in, const StudentPlan& plan, const Events& events,
                             std::optional<ProbeTeacher>& own) {
  std::optional<ProbeTeacher>& kept = in.probe != nullptr ? *in.probe : own;
  if (!kept) {
    kept = choose_probe_teacher(in.task, in.sources, in.outputs);
    say(events, fmt::format("seed {}: probe teacher: {}", plan.seed, kept->summary()));
  }
  return *kept;
}

/// What the probe says of other images than the task's; nothing where it asks a table.
std::optional<Evaluator::Predictor> predictor_of(Context& ctx, const StudentInputs& in, const ProbeTeacher& probe) {
  for (const ProbeTeacher::Part& part : probe.parts)
    if (in.sources[part.source].is_table()) return {};
  return [&](const ImageSet& images) {
    std::vector<Array> features(in.sources.size());
    std::vector<const Array*> parts;
    const Indices all = all_indices(images.images.shape()[0]);
    for (const ProbeTeacher::Part& part : probe.parts)
      features[part.source] = features_of(ctx, in.sources[part.source], images, all, in.options);
    for (const Array& f : features) parts.push_back(&f);
    return Outputs{{}, probe.log_probabilities(parts)};
  };
}

/// What the probe says of task.target, as a source of the target's own classes.
struct ProbeSource {
  Source source;
  Outputs outputs;
  ProbeSource(const StudentInputs& in, const ProbeTeacher& probe) {
    std::vector<const Array*> all;
    for (const Outputs& o : in.outputs) all.push_back(&o.features);
    outputs.logits = probe.log_probabilities(all);
    source.name = probe.trial().name;
    source.table.logits = outputs.logits;
  }
};

/// Cross-validated accuracy of a probe of what the student starts with: what it could do of the labels alone. NaN where
/// it starts from random weights.
double accuracy_of_start(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings) {
  if (!begins_trained(traits(plan.method), settings)) return not_measured;
  Source start;
  start.name = "start";
  start.model = make_student_model(ctx, in.task, plan, settings);
  const Indices& labelled = in.task.split.labelled;
  const Array features = features_of(ctx, start, in.task.pool(), labelled, {});
  return choose_probe_teacher({features}, {start.name}, labels_of(in.task, labelled), in.task.classes())
      .trial()
      .accuracy;
}

/// Whether teaching is foretold to pay, for people.
std::string forecast_of(const StudentPlan& plan, const Figures& f) {
  return fmt::format(
      "{}: teaching is {} to pay: in cross-validation its teacher is right on {:.1f} % of the labelled images, a probe "
      "of what the student starts with on {:.1f} %",
      plan.label(), f.teacher_cv_accuracy > f.start_cv_accuracy ? "likely" : "unlikely", 100 * f.teacher_cv_accuracy,
      100 * f.start_cv_accuracy);
}

void check_predictor(bool there, const StudentPlan& plan, const ProbeTeacher& probe) {
  AKIN_CHECK(there,
             "{}: chose {}, which asks a table of the target's training images and says nothing of test images; leave "
             "the method out, or give that source as a model",
             title_of(plan.method), probe.trial().name);
}

void run_probe_cv(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const StudentPlace& place,
                  const Events& events, StudentRecord& record, TestAnswers& answers) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<ProbeTeacher> own;
  const ProbeTeacher& probe = probe_of(in, plan, events, own);
  record.source = probe.trial().name;
  Figures& f = record.figures;
  f.teacher_cv_accuracy = probe.trial().accuracy;
  f.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto predictor = predictor_of(ctx, in, probe);
  check_predictor(predictor.has_value(), plan, probe);
  answers = Evaluator::test(in.task, *predictor, {}, false, f);
  f.teacher_accuracy = f.test_accuracy;
  if (const Indices& held_out = in.task.split.validation; !held_out.empty()) {
    ImageSet images;
    images.images = pick_images(in.task.pool().images, held_out);
    f.val_accuracy = accuracy(argmax_rows((*predictor)(images).logits), labels_of(in.task, held_out));
  }
  if (place.student.empty()) return;
  remove_file(place.best);
  save_probe_teacher(place.student, probe, in.sources, in.task);
  for (const ProbeTeacher::Part& part : probe.parts)
    add_running_cost(ctx, in.sources[part.source].model, some_images(in.task), f);
  f.file_bytes = f.parameters * static_cast<std::int64_t>(sizeof(float));  // of the networks that it asks
}

bool run_network_student(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings,
                         const StudentPlace& place, const Events& events, StudentRecord& record, TestAnswers& answers) {
  std::vector<Teacher> teachers;
  std::optional<ProbeTeacher> own;
  std::optional<ProbeSource> probe_source;
  if (is_probed(plan.method)) {
    const ProbeTeacher& probe = probe_of(in, plan, events, own);
    record.source = probe.trial().name;
    record.figures.teacher_cv_accuracy = probe.trial().accuracy;
    record.figures.start_cv_accuracy = accuracy_of_start(ctx, in, plan, settings);
    if (std::isfinite(record.figures.start_cv_accuracy)) say(events, forecast_of(plan, record.figures));
    probe_source.emplace(in, probe);
    teachers.push_back({&probe_source->source, &probe_source->outputs, 1});
  } else if (is_taught(plan.method))
    for (std::size_t s = 0; s < in.sources.size(); ++s)
      teachers.push_back({&in.sources[s], &in.outputs[s], plan.weights.alpha[s]});
  TrainHooks hooks;
  hooks.stop = events.stop;
  hooks.progress = [&](std::int64_t done, double loss) {
    if (events.progress) events.progress(plan.label(), done, settings.steps, "steps", fmt::format("loss {:.3f}", loss));
  };
  StudentRun run = train_student(ctx, in.task, plan, teachers, settings, place.training, hooks);
  if (!run.result.finished) return false;
  record.curve = run.result.curve;
  record.figures.seconds = run.seconds;
  record.figures.images_per_second = run.images_per_second;
  if (run.pseudo_labelled >= 0)
    say(events, fmt::format("{}: {:.0f} % of the unlabelled images got a confident pseudo-label at the end",
                            plan.label(), 100 * run.pseudo_labelled));
  Model* best = run.best.network != nullptr ? &run.best : nullptr;
  answers = Evaluator::test(ctx, in.task, run.model, best, record.figures);
  if (is_probed(plan.method)) {
    const ProbeTeacher& probe = probe_of(in, plan, events, own);
    if (const auto predictor = predictor_of(ctx, in, probe))
      record.figures.teacher_accuracy = Evaluator::accuracy_of(in.task, *predictor);
    const Figures& f = record.figures;
    if (run.model.info.architecture.taught_share > 0)
      say(events,
          fmt::format("{}: label head {:.1f} %, taught head {:.1f} %, both as mixed {:.1f} %; its teacher {}",
                      plan.label(), 100 * f.label_head_accuracy, 100 * f.taught_head_accuracy, 100 * f.test_accuracy,
                      std::isnan(f.teacher_accuracy) ? std::string("asks a table and was not tested")
                                                     : fmt::format("{:.1f} %", 100 * f.teacher_accuracy)));
  }
  if (place.student.empty()) return true;
  remove_file(place.best);
  save_model(place.student, *run.model.network, run.model.info);
  const Shape& s = in.task.pool().images.shape();
  add_running_cost(ctx, *run.model.network, run.model.info.normalization, s[1], s[2], some_images(in.task),
                   record.figures);
  record.figures.file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(place.student));
  if (best != nullptr) save_model(place.best, *best->network, best->info);
  return true;
}

}  // namespace

void check_student_inputs(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Events& events) {
  const bool tables = std::any_of(in.sources.begin(), in.sources.end(), [](const Source& s) { return s.is_table(); });
  if (plan.method != Method::probe_cv || !tables) return;
  std::optional<ProbeTeacher> own;
  const ProbeTeacher& probe = probe_of(in, plan, events, own);
  check_predictor(predictor_of(ctx, in, probe).has_value(), plan, probe);
}

bool run_student(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings,
                 const StudentPlace& place, const Events& events, StudentRecord& record, TestAnswers& answers) {
  record.figures = {.seed = plan.seed};
  record.curve.clear();
  record.source = plan.source != nullptr ? plan.source->name : "";
  record.weight = plan.weight;
  record.metric_why = plan.metric_why;
  record.labelled = static_cast<std::int64_t>(in.task.split.labelled.size());
  record.unlabelled = static_cast<std::int64_t>(in.task.split.unlabelled.size());
  const bool features_only = traits(plan.method).start == Start::features;
  if (features_only && is_probed(plan.method))
    run_probe_cv(ctx, in, plan, place, events, record, answers);
  else if (features_only)
    run_probe(ctx, in, plan, settings, place, record, answers);
  else if (!run_network_student(ctx, in, plan, settings, place, events, record, answers))
    return false;
  if (place.student.empty()) return true;
  record.student_hash = sha256_file(place.student);
  if (record.figures.best_step >= 0) record.best_hash = sha256_file(place.best);
  return true;
}

}  // namespace akin
