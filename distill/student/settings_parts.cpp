// The settings as the lower floors take them.
#include "distill/student/settings.hpp"

namespace akin {

Flip flip_of(const Settings& s) {
  return s.flip == "hv" ? Flip::hv : s.flip == "h" ? Flip::h : s.flip == "v" ? Flip::v : Flip::none;
}

Settings with_recipe(Settings s, const MethodTraits& method) {
  if (!begins_trained(method, s)) return s;
  if (s.pretrained_lr > 0) s.lr = s.pretrained_lr;
  if (!s.pretrained_optimizer.empty()) s.optimizer = s.pretrained_optimizer;
  if (s.pretrained_weight_decay >= 0) s.weight_decay = s.pretrained_weight_decay;
  return s;
}

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
          .reference = s.reference,
          .files = s.files};
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
  o.flip = flip_of(s);
  o.shift = s.shift;
  o.augment = s.augment;
  o.train.schedule = schedule_of(s);
  o.train.optimizer = optimizer_of(s);
  o.train.graph = s.graph;
  o.train.slices = s.slices;
  o.train.sync_batchnorm = s.sync_batchnorm;
  o.train.compare_every = s.compare_every;
  return o;
}

Settings source_settings() {
  Settings s;
  s.batch = ClassifierOptions{}.batch;
  return s;
}

std::string settings_markdown() {
  const Settings student, source = source_settings();
  std::string out = "| key and option | of `train` | default | may be | |\n|---|---|---|---|---|\n";
  const auto shown = [](const std::string& text) { return text.empty() ? "" : "`" + text + "`"; };
  for (const Setting& s : setting_list()) {
    std::string value = text_of(s, s.name != nullptr ? student : source);
    if (s.name != nullptr && s.source != nullptr && text_of(s, source) != value)
      value = fmt::format("{} (`train`: {})", value, text_of(s, source));
    out += fmt::format("| {} | {} | {} | {} | {} |\n",
                       s.name == nullptr ? "" : fmt::format("`{}` `{}`", s.name, option_of(s.name)),
                       s.source == nullptr ? "" : shown(option_of(s.source)), value, range_text(s), s.help);
  }
  return out;
}

}  // namespace akin
