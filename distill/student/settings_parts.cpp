// The settings as the lower floors take them.
#include "distill/student/settings.hpp"

namespace akin {

Schedule schedule_of(const Settings& s) {
  return {.kind = s.schedule, .base = s.lr, .steps = s.steps, .warmup = s.warmup};
}

OptimizerOptions optimizer_of(const Settings& s) {
  return {.kind = s.optimizer,
          .momentum = s.momentum,
          .nesterov = s.nesterov,
          .weight_decay = s.weight_decay,
          .clip_norm = s.clip_norm};
}

RankOptions rank_options_of(const Settings& s) {
  return {.metric = s.metric,
          .mapping = s.mapping,
          .probe_limit = s.probe,
          .replicates = static_cast<int>(s.replicates),
          .reference = s.reference};
}

Architecture architecture_of(const Settings& s) {
  return {.name = s.student, .width = s.student_width, .shortcut = s.student_shortcut, .stem = s.student_stem};
}

ClassifierOptions classifier_of(const Settings& s) {
  ClassifierOptions o;
  o.architecture = architecture_of(s);
  o.epochs = s.epochs;
  o.batch = s.batch;
  o.seed = static_cast<std::uint64_t>(s.seed);
  o.flip = s.flip;
  o.augment = s.augment;
  o.train.schedule = schedule_of(s);
  o.train.optimizer = optimizer_of(s);
  o.train.graph = s.graph;
  return o;
}

Settings source_settings() {
  Settings s;
  s.batch = ClassifierOptions{}.batch;
  return s;
}

}  // namespace akin
