#include "distill/student/run.hpp"

#include "distill/student/evaluator.hpp"
#include "distill/student/linear_probe.hpp"
#include "distill/student/train.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

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
      if (features.numel() == 0) features = features_of(ctx, source, test.images, in.options);
      return head.logits(features);
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
  if (chosen) save_probe(place.best, best, source, probe.best);
}

bool run_network_student(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings,
                         const StudentPlace& place, const Events& events, StudentRecord& record, TestAnswers& answers) {
  std::vector<Teacher> teachers;
  if (is_taught(plan.method))
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
  if (place.student.empty()) return true;
  remove_file(place.best);
  save_model(place.student, *run.model.network, run.model.info);
  if (best != nullptr) save_model(place.best, *best->network, best->info);
  return true;
}

}  // namespace

bool run_student(Context& ctx, const StudentInputs& in, const StudentPlan& plan, const Settings& settings,
                 const StudentPlace& place, const Events& events, StudentRecord& record, TestAnswers& answers) {
  record.figures = {.seed = plan.seed};
  record.curve.clear();
  record.source = plan.source != nullptr ? plan.source->name : "";
  record.weight = plan.weight;
  record.metric_why = plan.metric_why;
  record.labelled = static_cast<std::int64_t>(in.task.split.labelled.size());
  record.unlabelled = static_cast<std::int64_t>(in.task.split.unlabelled.size());
  if (traits(plan.method).start == Start::features)
    run_probe(ctx, in, plan, settings, place, record, answers);
  else if (!run_network_student(ctx, in, plan, settings, place, events, record, answers))
    return false;
  if (place.student.empty()) return true;
  record.student_hash = sha256_file(place.student);
  if (record.figures.best_step >= 0) record.best_hash = sha256_file(place.best);
  return true;
}

}  // namespace akin
