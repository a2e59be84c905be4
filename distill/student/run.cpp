#include "distill/student/run.hpp"

#include "distill/student/evaluator.hpp"
#include "distill/student/linear_probe.hpp"
#include "engine/io/file.hpp"

namespace akin {

namespace {

/// An old best student goes before the new last one comes: whoever finds it may trust that it is this run's.
void remove_best(const RunFiles& files) {
  std::error_code error;
  std::filesystem::remove(files.best, error);
  AKIN_CHECK(!error, "{}: cannot be removed: {}", files.best.string(), error.message());
}

bool run_probe(Context& ctx, const RunInputs& in, const StudentPlan& plan, const StudentOptions& options,
               const RunFiles& files, StudentRecord& record) {
  const Source& source = in.sources[*plan.start];
  const LinearProbe probe = train_linear_probe(ctx, in.task, source, options, in.options);
  const bool chosen = probe.best_point > 0;
  for (const TrainPoint& p : probe.curve) record.curve.points.push_back({p.step, p.loss, p.validation});
  record.result.seconds = probe.seconds;
  Array features;  // of the test images: computed once for both heads
  const auto says = [&](const ProbeHead& head) {
    return [&](const ImageSet& test) {
      if (features.numel() == 0) features = features_of(ctx, source, test.images, in.options);
      return head.logits(features);
    };
  };
  Examiner::test(in.task, says(probe.last), chosen ? Examiner::Says(says(probe.best)) : Examiner::Says(), false,
                 record);
  SeedResult& r = record.result;
  Model last = probe_model(ctx, in.task, source, probe.last), best;
  last.info.test_accuracy = r.test_accuracy;
  if (chosen) {
    best = probe_model(ctx, in.task, source, probe.best);
    best.info.test_accuracy = r.best_test_accuracy;
    r.val_accuracy = last.info.validation_accuracy = probe.last_validation;
    r.best_val_accuracy = best.info.validation_accuracy = probe.best_validation;
    r.best_step = best.info.step = probe.best_point;
  }
  if (files.student.empty()) return true;
  remove_best(files);
  save_probe(files.student, last, source, probe.last);
  if (chosen) save_probe(files.best, best, source, probe.best);
  return true;
}

bool run_network_student(Context& ctx, const RunInputs& in, const StudentPlan& plan, StudentOptions options,
                         const RunFiles& files, const std::string& label, const Events& events,
                         StudentRecord& record) {
  options.train.fingerprint = files.fingerprint;
  options.train.checkpoint = files.checkpoint;
  options.train.resume = files.resume && is_checkpoint_of(files.checkpoint, files.fingerprint);
  std::vector<Teacher> teachers;
  if (is_taught(plan.method))
    for (std::size_t s = 0; s < in.sources.size(); ++s)
      teachers.push_back({&in.sources[s], &in.outputs[s], plan.weights.alpha[s]});
  TrainHooks hooks;
  hooks.stop = events.stop;
  hooks.progress = [&](std::int64_t done, double loss) {
    if (events.progress)
      events.progress(label, done, options.train.schedule.steps, "steps", fmt::format("loss {:.3f}", loss));
  };
  StudentRun run = train_student(ctx, in.task, teachers, options, hooks);
  if (!run.result.finished) return false;
  for (const TrainPoint& p : run.result.curve) record.curve.points.push_back({p.step, p.loss, p.validation});
  record.result.seconds = run.seconds;
  record.result.images_per_second = run.images_per_second;
  if (run.pseudo_labelled >= 0)
    say(events, fmt::format("{}: {:.0f} % of the unlabelled images got a confident pseudo-label at the end", label,
                            100 * run.pseudo_labelled));
  Examiner::test(ctx, in.task, run.model, run.best.network != nullptr ? &run.best : nullptr, record);
  if (files.student.empty()) return true;
  remove_best(files);
  save_model(files.student, *run.model.network, run.model.info);
  if (run.best.network != nullptr) save_model(files.best, *run.best.network, run.best.info);
  return true;
}

}  // namespace

bool run_student(Context& ctx, const RunInputs& in, const StudentPlan& plan, StudentOptions options,
                 const RunFiles& files, const Events& events, StudentRecord& record) {
  options.method = plan.method;
  options.seed = plan.seed;
  options.match_channels = in.options.match_channels;
  std::string label = fmt::format("{}, seed {}", title_of(plan.method), plan.seed);
  if (plan.start) options.start = &in.sources[*plan.start];
  if (plan.source) {
    record.source = in.sources[*plan.source].name;
    record.weight = is_taught(plan.method) ? plan.weights.alpha[*plan.source] : not_measured;
    if (plan.single) label += ", taught by " + record.source;
  }
  record.method = plan.method;
  record.seed = record.result.seed = record.curve.seed = plan.seed;
  record.curve.method = title_of(plan.method);
  record.curve.points.clear();
  if (traits(plan.method).start == Start::features) return run_probe(ctx, in, plan, options, files, record);
  return run_network_student(ctx, in, plan, options, files, label, events, record);
}

}  // namespace akin
