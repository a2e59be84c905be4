#include "apps/flags.hpp"

#include <charconv>
#include <map>

#include "apps/common.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

/// Whole numbers from `low`; without a name of its own, which would crowd the help.
CLI::Validator at_least(std::int64_t low) {
  return CLI::Validator(
      [low](const std::string& text) {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size() && value >= low;
        return good ? std::string() : fmt::format("'{}' is no whole number from {}", text, low);
      },
      "");
}

/// Numbers from 0 to 1.
CLI::Validator share() {
  return CLI::Validator(
      [](const std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size() && value >= 0 && value <= 1;
        return good ? std::string() : fmt::format("'{}' is no number from 0 to 1", text);
      },
      "");
}

/// Powers of a similarity: 0 weights all sources alike, inf only the nearest.
CLI::Validator power() {
  return CLI::Validator(
      [](const std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size() && value >= 0;
        return good ? std::string() : fmt::format("'{}' is no number from 0, nor inf", text);
      },
      "");
}

/// A switch with --no-<name>; its default is shown and saved.
void add_switch(CLI::App& app, const std::string& name, bool& value, const std::string& text,
                const std::string& group) {
  app.add_flag(fmt::format("--{},!--no-{}", name, name), value, text)
      ->default_str(value ? "true" : "false")
      ->group(group);
}

}  // namespace

ImageFormat parse_size(const std::string& text, const std::string& option) {
  ImageFormat format;
  const char *begin = text.data(), *end = begin + text.size();
  const auto [after, error] = std::from_chars(begin, end, format.height);
  bool good = error == std::errc() && after != end && *after == 'x';
  if (good) {
    const auto [last, second] = std::from_chars(after + 1, end, format.width);
    good = second == std::errc() && last == end;
  }
  if (!good || format.height < 1 || format.width < 1 || format.height > 4096 || format.width > 4096)
    fail_usage("{} '{}': expected height x width in pixels, as in 32x32", option, text);
  return format;
}

ImageFormat FormatFlags::format() const {
  ImageFormat format = size.empty() ? ImageFormat{} : parse_size(size);
  format.channels = channels;
  return format;
}

void add_format(CLI::App& app, FormatFlags& flags) {
  app.add_option("--size", flags.size, "Bring images to height x width, as in 32x32; without it they stay as they are")
      ->type_name("HxW")
      ->group("Data");
  app.add_option("--channels", flags.channels, "Bring images to 1 (grey) or 3 (colour) channels; 0: as they are")
      ->check(CLI::IsMember({0, 1, 3}).description(""))
      ->group("Data");
}

void add_architecture(CLI::App& app, Architecture& a, const std::string& name, const std::string& prefix) {
  app.add_option("--" + name, a.name, fmt::format("Network: {}", fmt::join(known_architectures(), ", ")))
      ->group("Network");
  app.add_option("--" + prefix + "width", a.width, "Channels of its first stage; 0: the family's own")
      ->check(at_least(0))
      ->group("Network");
  app.add_option("--" + prefix + "shortcut", a.shortcut, "A (subsample and pad) or conv (1x1); empty: the family's own")
      ->group("Network");
}

void add_training(CLI::App& app, TrainOptions& o) {
  const char* group = "Training";
  app.add_option("--lr", o.schedule.base, "Highest learning rate")->group(group);
  app.add_option("--schedule", o.schedule.kind, "cosine, step or constant")->group(group);
  app.add_option("--warmup", o.schedule.warmup, "Steps of linear warm-up")->check(at_least(0))->group(group);
  app.add_option("--optimizer", o.optimizer.kind, "sgd or adamw")->group(group);
  app.add_option("--momentum", o.optimizer.momentum, "Of sgd")->group(group);
  add_switch(app, "nesterov", o.optimizer.nesterov, "Nesterov's momentum", group);
  app.add_option("--weight-decay", o.optimizer.weight_decay, "Pull of all weights towards 0")->group(group);
  app.add_option("--clip-norm", o.optimizer.clip_norm, "Shorten longer gradients to this length; 0: off")->group(group);
  o.checkpoint_every = 500;
  add_switch(app, "graph", o.graph, "A GPU captures one training step and repeats it", group);
  app.add_option("--checkpoint-every", o.checkpoint_every, "Steps; 0: only when stopped")
      ->check(at_least(0))
      ->group(group);
}

std::optional<ModelInfo> ForeignFlags::info() const {
  if (architecture.name.empty()) {
    if (architecture.width != 0 || !architecture.shortcut.empty() || !mean.empty() || !std.empty())
      fail_usage("--width, --shortcut, --mean and --std describe a file that does not say what it is; give --arch too");
    return std::nullopt;
  }
  ModelInfo info;
  info.architecture = architecture;
  if (!mean.empty()) info.normalization.mean = parse_floats(mean, "--mean");
  if (!std.empty()) info.normalization.std = parse_floats(std, "--std");
  return info;
}

void add_foreign(CLI::App& app, ForeignFlags& flags) {
  const char* group = "Model files that do not describe themselves";
  app.add_option("--arch", flags.architecture.name,
                 fmt::format("{}, or graph (layers in <name>.graph.json)", fmt::join(known_architectures(), ", ")))
      ->group(group);
  app.add_option("--width", flags.architecture.width, "Channels of the first stage; 0: as the file has it")
      ->check(at_least(0))
      ->group(group);
  app.add_option("--shortcut", flags.architecture.shortcut, "A or conv; empty: the family's own")->group(group);
  app.add_option("--stem", flags.architecture.stem,
                 "small: the first layer keeps the image's size; empty: as published")
      ->group(group);
  app.add_option("--norm-eps", flags.architecture.norm_eps,
                 "Of batch norms; 0: as torchvision has it (timm's MobileNetV3: 1e-5)")
      ->group(group);
  app.add_option("--mean", flags.mean, "Mean of pixels in 0..1, one for all channels or one each; default 0.5")
      ->type_name("R,G,B")
      ->group(group);
  app.add_option("--std", flags.std, "Their standard deviation; default 0.5")->type_name("R,G,B")->group(group);
}

LabelManifest TaskFlags::manifest() const {
  LabelManifest m;
  m.draw = split;
  if (labels.empty()) return m;
  if (labels.find_first_not_of("0123456789") != std::string::npos) return read_manifest(labels, split);
  const auto [end, error] = std::from_chars(labels.data(), labels.data() + labels.size(), m.draw.labels_per_class);
  if (error != std::errc() || m.draw.labels_per_class < 1)
    fail_usage("--labels {}: expected a whole number from 1, or a manifest file", labels);
  return m;
}

void add_task(CLI::App& app, TaskFlags& flags, bool semi) {
  app.add_option("--target", flags.target, "Folder of the target data set")
      ->required()
      ->type_name("DIR")
      ->group("Data");
  app.add_option("--labels-per-class", flags.split.labels_per_class, "Labelled images of each class")
      ->check(at_least(1))
      ->group("Data");
  app.add_option("--labels", flags.labels,
                 "The same, or a manifest file: a share of each class, or a list of images (docs/data.md)")
      ->type_name("N|FILE")
      ->group("Data");
  if (semi) {
    app.add_option("--unlabelled", flags.split.unlabelled, "Unlabelled images at most; 0: all")
        ->check(at_least(0))
        ->group("Data");
    app.add_option("--validation", flags.split.validation, "Labelled images held out for curves and choice of a step")
        ->check(at_least(0))
        ->group("Data");
  }
  add_format(app, flags.format);
}

void add_rank_options(CLI::App& app, RankOptions& o) {
  const char* group = "Similarity";
  app.add_option("--p", o.power, "Power of the similarity in the weights of DistillWeighted")
      ->check(power())
      ->group(group);
  app.add_option("--mapping", o.mapping,
                 "Similarity to a number from 0: clip0, minmax, rank, softmax[:T]; empty: the metric's own")
      ->group(group);
  app.add_option("--probe", o.probe_limit, "Labelled images that similarity is measured on, at most")
      ->check(at_least(1))
      ->group(group);
  app.add_option("--reference", o.reference,
                 "A model trained on the target, or a table of its features; for rsa and dds")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--replicates", o.replicates, "Bootstrap draws and label shuffles; 0: no interval")
      ->check(at_least(0))
      ->group(group);
}

StudentOptions StudentFlags::student() const {
  StudentOptions o = options;
  if (teacher_view != "clean" && teacher_view != "same")
    fail_usage("--teacher-view {}: use clean (cached) or same (the sources see the augmented image)", teacher_view);
  o.teacher_view = teacher_view == "same" ? TeacherView::same : TeacherView::clean;
  o.init = init;
  return o;
}

void add_student(CLI::App& app, StudentFlags& flags) {
  StudentOptions& o = flags.options;
  const char* group = "Distillation";
  add_architecture(app, o.architecture, "student", "student-");
  app.add_option("--init", flags.init, "Start from this model's extractor instead of random weights")
      ->type_name("FILE")
      ->group("Network");
  app.add_option("--steps", o.train.schedule.steps, "Training steps")->check(at_least(1))->group("Training");
  app.add_option("--batch", o.batch, "Labelled images a step")->check(at_least(1))->group("Training");
  app.add_option("--unlabelled-batch", o.unlabelled_batch, "Unlabelled images a step")
      ->check(at_least(1))
      ->group("Training");
  app.add_option("--eval-every", o.train.eval_every, "Steps between points of the curve; 0: a tenth of the run")
      ->check(at_least(0))
      ->group("Training");
  add_switch(app, "augment", o.augment, "Shift images at random", "Training");
  add_switch(app, "flip", o.flip, "Mirror images at random; not for characters", "Training");
  add_training(app, o.train);
  app.add_option("--lambda", o.lambda, "Share of the labelled loss, 0..1")->check(share())->group(group);
  app.add_option("--temperature", o.temperature, "T of the soft targets")->group(group);
  app.add_option("--teacher-view", flags.teacher_view,
                 "clean: the sources see unchanged images, computed once; same: the student's augmented ones, another "
                 "and slower method")
      ->group(group);
  app.add_option("--threshold", o.threshold, "FixMatch: confidence that makes a pseudo-label count")
      ->check(share())
      ->group(group);
  app.add_option("--probe-l2", o.probe_l2, "Linear probe: penalty of its head; 0: 1 / labelled images")->group(group);
}

std::vector<Source> open_sources(Context& ctx, const std::vector<std::string>& files) {
  std::vector<Source> sources;
  std::map<std::string, std::string> names;
  for (const std::string& file : files) {
    sources.push_back(open_source(ctx, file));
    const auto [it, is_new] = names.emplace(sources.back().name, file);
    if (!is_new)
      fail_usage("--sources: {} and {} would both be called '{}'; leave one out or rename it", it->second, file,
                 it->first);
  }
  return sources;
}

std::string list_of_metrics() {
  std::string names;
  for (const Metric& metric : metrics()) names += (names.empty() ? "" : ", ") + metric.name;
  return names;
}

}  // namespace akin
