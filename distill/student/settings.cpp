#include "distill/student/settings.hpp"

#include <algorithm>

#include "engine/io/file.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

using T = const MethodTraits&;
using S = const Settings&;

// Whose students depend on a setting.
bool everybody(T, S) { return true; }
bool trained(T m, S) { return m.start != Start::features; }
bool moved(T m, S s) { return trained(m, s) && (s.augment || m.term == Term::pseudo_labels); }
bool own_network(T m, S s) { return trained(m, s) && m.start != Start::nearest; }
bool named_network(T m, S s) { return own_network(m, s) && s.student != "init"; }
bool begun(T m, S s) { return m.start == Start::fresh || (own_network(m, s) && s.student == "init"); }
bool pretrained(T m, S s) { return begins_trained(m, s); }
// The common recipe is that of trained weights too where theirs does not say otherwise.
bool by_lr(T m, S s) { return trained(m, s) && !(pretrained(m, s) && s.pretrained_lr > 0); }
bool by_optimizer(T m, S s) { return trained(m, s) && !(pretrained(m, s) && !s.pretrained_optimizer.empty()); }
bool by_decay(T m, S s) { return trained(m, s) && !(pretrained(m, s) && s.pretrained_weight_decay >= 0); }
bool by_sgd(T m, S s) { return trained(m, s) && with_recipe(s, m).optimizer == "sgd"; }
bool probed(T m, S) { return m.start == Start::features && m.weighting != Weighting::probe; }
bool semi(T m, S) { return m.term != Term::none; }
bool pseudo_labelled(T m, S) { return m.term == Term::pseudo_labels; }
bool taught(T m, S) { return m.term == Term::teachers; }
bool with_sources(T m, S) { return uses_sources(m.method); }
bool transferred(T m, S) { return m.start == Start::transfer; }
bool compared(T m, S s) { return needs_similarity(m, s); }
bool compared_with_reference(T m, S s) {
  return needs_similarity(m, s) && s.metric != kAutoMetric && find_metric(s.metric).needs_reference;
}
bool weighted(T m, S) { return m.weighting == Weighting::weighted; }
constexpr Setting::Matters nobody = nullptr;

constexpr double kMostBatch = 1e6, kMostSteps = 1e12;  // of a batch; of a run: what asks for more is a slip of the pen
Range whole(double low, double high = kMostSteps) { return {.low = low, .high = high}; }
Range above(double low) { return {.low = low, .above = true}; }
Range from(double low) { return {.low = low}; }
Range share() { return {.low = 0, .high = 1}; }
Range one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }

/// The message of a UsageError that `f` throws, or "".
template <class F>
std::string refusal(F&& f) {
  try {
    f();
    return "";
  } catch (const UsageError& e) {
    return e.what();
  }
}

std::string unknown_student(const std::string& name) {
  const std::vector<std::string>& known = known_architectures();
  if (name == "init" || std::find(known.begin(), known.end(), name) != known.end()) return "";
  return fmt::format("'{}' is no network{}", name, suggestion(name, known));
}
std::string unknown_metric(const std::string& name) {
  return name == kAutoMetric ? "" : refusal([&] { find_metric(name); });
}
std::string unknown_mapping(const std::string& name) {
  return name.empty() ? "" : refusal([&] { parse_mapping(name); });
}

std::string unknown_flip(const std::string& name) {
  const bool known = name == "none" || name == "h" || name == "v" || name == "hv";
  if (known) return "";
  const bool old = name == "true" || name == "false";
  return fmt::format("'{}' is not none, h, v or hv{}", name, old ? "; what was true is h now, false is none" : "");
}

std::string list_of_metrics() {
  std::string names;
  for (const Metric& metric : metrics()) names += (names.empty() ? "" : ", ") + metric.name;
  return names;
}

const std::vector<Setting>& table() {
  static const std::string networks = fmt::format("Network: {}; of a student also init: that of the model --init",
                                                  fmt::join(known_architectures(), ", "));
  static const std::string similarity =
      "Similarity of tasks: " + list_of_metrics() + "; or auto: leep below 5 labels a class, else parc";
  static const std::vector<Setting> all = {
      {"student", "arch", "Network", networks.c_str(), &Settings::student, {.problem = unknown_student}, own_network},
      {"student_width", "width", "Network", "Channels of its first stage; 0: the family's own",
       &Settings::student_width, whole(0, 4096), named_network},
      {"student_shortcut", "shortcut", "Network", "A (subsample and pad) or conv (1x1); empty: the family's own",
       &Settings::student_shortcut, one_of({"", "A", "conv"}), named_network},
      {"student_stem", "stem", "Network", "small: the first layer keeps the image's size; empty: as published",
       &Settings::student_stem, one_of({"", "small"}), named_network},
      {"init",
       nullptr,
       "Network",
       "Start from this model's extractor instead of random weights; images are normalised by the target's "
       "mean and std, not by the model's",
       &Settings::init,
       {.file = true},
       begun},
      {"unfold",
       nullptr,
       "Network",
       "Put batch norms back into a folded network (a layer graph) that a student starts from",
       &Settings::unfold,
       {},
       pretrained},

      {"steps", nullptr, "Training", "Training steps", &Settings::steps, whole(1), trained},
      {nullptr, "epochs", "Training", "Passes over the data", &Settings::epochs, whole(1, 1e9), nobody},
      {"batch", "batch", "Training", "Labelled images a step", &Settings::batch, whole(1, kMostBatch), trained},
      {"unlabelled_batch", nullptr, "Training", "Unlabelled images a step", &Settings::unlabelled_batch,
       whole(1, kMostBatch), semi},
      {"eval_every", nullptr, "Training", "Steps between points of the curve; 0: a tenth of the run",
       &Settings::eval_every, whole(0), trained},
      {nullptr, "seed", "Training", "Of weights, order and augmentation", &Settings::seed, whole(0, 0x1p63), nobody},
      {"augment",
       "augment",
       "Training",
       "Move and mirror images at random; without it FixMatch's strong view alone",
       &Settings::augment,
       {},
       trained},
      {"flip",
       "flip",
       "Training",
       "Mirror every second one: h left-right, v upside down (where no side is up), hv both; not characters",
       &Settings::flip,
       {.choices = {"none", "h", "v", "hv"}, .problem = unknown_flip},
       trained},  // as earlier records have it, augmented or not
      {"shift", "shift", "Training", "Pixels that they move by at most; 0: none; -1: an eighth of the side",
       &Settings::shift, whole(kShiftBySide, 4096), moved, false, true},
      {"lr", "lr", "Training", "Highest learning rate", &Settings::lr, above(0), by_lr},
      {"schedule", "schedule", "Training", "cosine, step or constant", &Settings::schedule,
       one_of({"cosine", "step", "constant"}), trained},
      {"warmup", "warmup", "Training", "Steps of linear warm-up", &Settings::warmup, whole(0), trained},
      {"optimizer", "optimizer", "Training", "sgd or adamw", &Settings::optimizer, one_of({"sgd", "adamw"}),
       by_optimizer},
      {"momentum", "momentum", "Training", "Of sgd", &Settings::momentum, {.low = 0, .high = 1, .below = true}, by_sgd},
      {"nesterov", "nesterov", "Training", "Nesterov's momentum", &Settings::nesterov, {}, by_sgd},
      {"weight_decay", "weight_decay", "Training", "Pull of all weights towards 0", &Settings::weight_decay, from(0),
       by_decay},
      {"pretrained_lr", nullptr, "Training", "lr of students that begin with trained weights; 0: as the others'",
       &Settings::pretrained_lr, from(0), pretrained, false, true},
      {"pretrained_optimizer", nullptr, "Training", "Likewise the optimizer; empty: as the others'",
       &Settings::pretrained_optimizer, one_of({"", "sgd", "adamw"}), pretrained, false, true},
      {"pretrained_weight_decay", nullptr, "Training", "Likewise the weight decay; -1: as the others'",
       &Settings::pretrained_weight_decay, from(-1), pretrained, false, true},
      {"head_lr", nullptr, "Training", "Factor on the learning rate of the head, and of the heads for the sources",
       &Settings::head_lr, above(0), trained, false, true},
      {"clip_norm", "clip_norm", "Training", "Shorten longer gradients to this length; 0: off", &Settings::clip_norm,
       from(0), trained},
      {"graph", "graph", "Training", "A GPU captures one training step and repeats it", &Settings::graph, {}, nobody},
      {"slices", "slices", "Training",
       "Cut a step's images into so many batches, whose gradients are added up in order; 1: one for each rank",
       &Settings::slices, whole(1, 65536), trained, false, true},
      {"sync_batchnorm",
       "sync_batchnorm",
       "Training",
       "Of several ranks: batch norms count the images of all, not of each slice",
       &Settings::sync_batchnorm,
       {},
       trained,
       false,
       true},
      {"compare_every", "compare_every", "Training",
       "Of several ranks: steps between comparisons of their parameters; 0: never", &Settings::compare_every, whole(0),
       nobody},
      {"checkpoint_every", "checkpoint_every", "Training", "Steps; 0: only when stopped", &Settings::checkpoint_every,
       whole(0), nobody},

      {"transfer",
       nullptr,
       "Distillation",
       "Source that transfer and the methods named after it start from; empty: the most similar one of the student's "
       "architecture",
       &Settings::transfer,
       {},
       transferred},
      {"lambda", nullptr, "Distillation", "Share of the labelled loss, 0..1", &Settings::lambda, share(), taught},
      {"temperature", nullptr, "Distillation", "T of the soft targets", &Settings::temperature, above(0), taught},
      {"teacher_view", nullptr, "Distillation",
       "clean: the sources see unchanged images, computed once; same: the student's augmented ones, another and slower "
       "method",
       &Settings::teacher_view, one_of({"clean", "same"}), taught},
      {"threshold", nullptr, "Distillation", "FixMatch: confidence that makes a pseudo-label count",
       &Settings::threshold, share(), pseudo_labelled},
      {"probe_l2", nullptr, "Distillation", "Linear probe: penalty of its head; 0: 1 / labelled images",
       &Settings::probe_l2, from(0), probed},
      {"match_channels",
       nullptr,
       "Data",
       "Turn grey to colour and colour to grey as a source expects",
       &Settings::match_channels,
       {},
       with_sources},

      {"metric", nullptr, "Similarity", similarity.c_str(), &Settings::metric, {.problem = unknown_metric}, compared},
      {"mapping",
       nullptr,
       "Similarity",
       "Similarity to a number from 0: clip0, minmax, rank, softmax[:T]; empty: the metric's own",
       &Settings::mapping,
       {.problem = unknown_mapping},
       weighted},
      {"p",
       nullptr,
       "Similarity",
       "Power of the similarity in the weights of DistillWeighted",
       &Settings::p,
       {.low = 0, .infinite = true},
       weighted},
      {"probe", nullptr, "Similarity", "Labelled images that similarity is measured on, at most", &Settings::probe,
       whole(1), compared},
      {"reference",
       nullptr,
       "Similarity",
       "A model trained on the target, or a table of its features; for rsa and dds",
       &Settings::reference,
       {.file = true},
       compared_with_reference},
      {"replicates",
       nullptr,
       "Similarity",
       "Bootstrap draws and label shuffles; 0: no interval",
       &Settings::replicates,
       {.low = 0, .high = 1'000'000},
       nobody},

      {"device", "device", "General",
       "auto (cuda where a card answers, else cpu), cpu, cuda, or sim: the CUDA kernels emulated, slowly",
       &Settings::device, one_of({"auto", "cpu", "cuda", "sim"}), nobody, true},
      {"precision", "precision", "General",
       "f32, or bf16: activations of half the size (a cpu needs AVX512_BF16 or AMX)", &Settings::precision,
       one_of({"f32", "bf16"}), everybody, true},
      {"gemm", "gemm", "General", "own, or cublas: NVIDIA's library instead, to compare (cuda, with the plug-in)",
       &Settings::gemm, one_of({"own", "cublas"}), everybody, true},
      {"conv", "conv", "General", "own, or cudnn: likewise", &Settings::conv, one_of({"own", "cudnn"}), everybody,
       true},
  };
  return all;
}

}  // namespace

std::span<const Setting> setting_list() { return table(); }

void check_slices(const Settings& settings, bool student) {
  const std::int64_t n = settings.slices;
  if (n == 1) return;
  if (!student && settings.batch < 2 * n)
    fail_usage("--batch {}: too small for {} slices; batch norm needs at least 2 images in each", settings.batch, n);
  if (student)
    for (const auto& [option, images] :
         {std::pair{"--batch", settings.batch}, {"--unlabelled-batch", settings.unlabelled_batch}})
      if (images % n != 0)
        fail_usage("{} {}: cannot be cut into {} equal slices; use a multiple of {}", option, images, n, n);
}

void check(const Settings& settings, bool student) {
  for (const Setting& s : table()) {
    const char* name = student ? s.name : s.source;
    if (name == nullptr) continue;
    const std::string text = text_of(s, settings);
    if (const std::string why = problem_of(s, text); !why.empty()) fail_usage("{}: {}", option_of(name), why);
    AKIN_CHECK(!s.range.file || text.empty() || is_there(text), "{} {}: no such file{}", option_of(name), text,
               nearest_file(text));
  }
  if (student) schedule_of(settings).check();  // a source's steps follow from its data
  optimizer_of(settings).check();
  if (!student && settings.batch < 2)
    fail_usage("--batch {}: batch norm needs at least 2 images a step", settings.batch);
  check_slices(settings, student);
  if (student && settings.student == "init" && settings.init.empty())
    fail_usage("--student init: is the network of the model --init; name one");
  if (student && settings.student == "init")
    for (const Setting& s : table())
      if (s.matters == named_network && text_of(s, settings) != text_of(s, Settings{}))
        fail_usage("{} {}: --student init has the network of the model --init as it is; leave one of the two out",
                   option_of(s.name), text_of(s, settings));
}

void read_settings(const SettingsTable& file, const std::filesystem::path& root, bool whole_run, Settings& out) {
  for (const Setting& s : table()) {
    if (s.name == nullptr || !file.has(s.name)) continue;
    if (s.whole_run && !whole_run) file.refuse(s.name, "is one for the whole run: it belongs into [settings]");
    std::visit(
        [&](auto field) {
          auto& value = out.*field;
          using V = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<V, bool>)
            value = file.flag(s.name, value);
          else if constexpr (std::is_same_v<V, std::int64_t>)
            value = file.whole(s.name, value);
          else if constexpr (std::is_same_v<V, double>)
            value = file.number(s.name, value);
          else {
            if (s.field == Setting::Field(&Settings::flip) && file.value(s.name).is_boolean())  // as it once was
              file.refuse(s.name, unknown_flip(json_line(file.value(s.name))));
            value = file.text(s.name);
            if (s.range.file && !value.empty()) value = (root / value).lexically_normal().string();
          }
        },
        s.field);
    if (const std::string why = problem_of(s, text_of(s, out)); !why.empty()) file.refuse(s.name, why);
  }
}

void copy_settings(const Settings& from, std::string_view group, Settings& to) {
  for (const Setting& s : table())
    if (s.group == group) std::visit([&](auto field) { to.*field = from.*field; }, s.field);
}

bool begins_trained(const MethodTraits& m, const Settings& s) {
  return m.start == Start::transfer || m.start == Start::nearest || (m.start == Start::fresh && !s.init.empty());
}

bool needs_similarity(const MethodTraits& m, const Settings& s) {
  return m.weighting == Weighting::nearest || m.weighting == Weighting::weighted || m.start == Start::nearest ||
         (m.start == Start::features && m.weighting != Weighting::probe) ||
         (m.start == Start::transfer && s.transfer.empty());
}

}  // namespace akin
