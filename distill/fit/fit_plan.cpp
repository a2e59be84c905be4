#include "distill/fit/fit_plan.hpp"

#include <algorithm>
#include <iterator>

#include "distill/student/plan.hpp"
#include "distill/student/running_cost.hpp"
#include "distill/student/train.hpp"
#include "distill/task/source.hpp"
#include "nn/cost.hpp"
#include "nn/data/held_out.hpp"
#include "nn/data/image_view.hpp"
#include "nn/data/repeats.hpp"

namespace akin {

namespace {

constexpr std::int64_t kFewestSteps = 1200, kMostSteps = 6000, kPasses = 15;
constexpr std::int64_t kTrial = 8;           ///< pictures that a network is timed with
constexpr double kForwardAndBackward = 4;    ///< a training pass costs about so many predictions
constexpr std::int64_t kProgram = 60 << 20;  ///< bytes that the program takes without a task

std::int64_t bytes_of_numbers(std::int64_t n) { return n * static_cast<std::int64_t>(sizeof(float)); }

}  // namespace

Settings fit_settings() {
  Settings s;
  s.student = "";
  s.steps = 0;
  s.batch = s.unlabelled_batch = 32;
  s.metric = "auto";
  s.match_channels = true;
  // Of students that begin with trained weights; those of random weights keep SGD's 0.1.
  s.pretrained_optimizer = "adamw";
  s.pretrained_lr = 0.002;
  s.pretrained_weight_decay = 0.02;
  return s;
}

LabelManifest fit_labels(const TargetImages& images, std::uint64_t seed) {
  constexpr std::uint32_t kStream = 0x66697473;  // "fits"
  const ImageSet& pool = images.pool;
  LabelManifest m;
  m.source = pool.source;
  // Pictures of equal pixels are all learnt from or all held out.
  const auto bytes = static_cast<std::size_t>(pool.images.numel() / pool.images.shape()[0]);
  std::vector<std::uint64_t> pixels;
  for (std::int64_t i = 0; i < images.training; ++i)
    pixels.push_back(pixel_hash(pool.images.as<std::uint8_t>().data() + static_cast<std::size_t>(i) * bytes, bytes));
  const HeldOut drawn = hold_out_by_order(permutation(images.training, seed, kStream), pixels, pool.labels, 3);
  const auto of_class = [&](const Indices& all, std::size_t c) {
    ListedImages out{pool.classes[c], {}};
    std::copy_if(all.begin(), all.end(), std::back_inserter(out.images),
                 [&](std::int64_t i) { return pool.labels[static_cast<std::size_t>(i)] == static_cast<int>(c); });
    return out;
  };
  for (std::size_t c = 0; c < pool.classes.size(); ++c) {
    m.labelled.push_back(of_class(drawn.kept, c));
    AKIN_CHECK(!m.labelled.back().images.empty(),
               "{}: class '{}' has no labelled picture; label one, or take its folder away", pool.source,
               pool.classes[c]);
    if (ListedImages own = of_class(drawn.test, c); !own.images.empty()) m.validation.push_back(std::move(own));
  }
  AKIN_CHECK(!m.validation.empty(),
             "{}: no class has three labelled pictures that differ{}, so that none could be held out to choose a model "
             "by; label some more, or use `akin distill`, which can go without",
             pool.source, pool.held_out.empty() ? "" : " beside those that are held out for the test");
  m.unlabelled.emplace();
  for (std::int64_t i = images.training; i < pool.images.shape()[0]; ++i) m.unlabelled->push_back(i);
  return m;
}

std::ptrdiff_t smallest_start(Context& ctx, const std::vector<Source>& sources, std::int64_t height, std::int64_t width,
                              std::int64_t channels) {
  std::ptrdiff_t best = -1;
  std::int64_t fewest = 0;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    if (sources[s].is_table() || sources[s].model.info.architecture.channels != channels) continue;
    const std::int64_t cost = cost_of(ctx, *sources[s].model.network, height, width).multiply_adds;
    if (best >= 0 && cost >= fewest) continue;
    best = static_cast<std::ptrdiff_t>(s);
    fewest = cost;
  }
  return best;
}

FitPlan plan_fit(Context& ctx, const TargetImages& images, const std::vector<Source>& sources,
                 const std::vector<std::string>& files, Settings settings, std::uint64_t seed) {
  FitPlan plan;
  plan.labels = fit_labels(images, seed);
  const std::int64_t N = images.pool.images.shape()[0], H = images.pool.images.shape()[1],
                     W = images.pool.images.shape()[2];
  plan.fewest = N;
  for (std::size_t c = 0; c < plan.labels.labelled.size(); ++c) {
    plan.labelled += std::ssize(plan.labels.labelled[c].images);
    std::int64_t n = std::ssize(plan.labels.labelled[c].images);
    for (const ListedImages& v : plan.labels.validation)
      if (v.class_name == plan.labels.labelled[c].class_name) {
        plan.validation += std::ssize(v.images);
        n += std::ssize(v.images);
      }
    plan.fewest = std::min(plan.fewest, n);
    plan.most = std::max(plan.most, n);
  }
  plan.unlabelled = std::ssize(*plan.labels.unlabelled);
  plan.test = static_cast<std::int64_t>(images.test.size());

  if (settings.student.empty()) {
    const std::ptrdiff_t start = smallest_start(ctx, sources, H, W, images.pool.images.shape()[3]);
    settings.student = start < 0 ? "resnet8" : "init";
    if (start >= 0) settings.init = files[static_cast<std::size_t>(start)];
  }
  if (!settings.init.empty()) plan.start = source_name(settings.init);
  if (settings.steps == 0)
    settings.steps = std::clamp(kPasses * plan.labelled / settings.batch, kFewestSteps, kMostSteps);
  const bool taught = std::any_of(sources.begin(), sources.end(), [](const Source& s) { return !s.is_table(); });
  plan.methods = {Method::scratch};
  if (taught) plan.methods.insert(plan.methods.end(), {Method::probe, Method::probe_cv, Method::probe_taught});
  if (!taught && plan.unlabelled > 0) plan.methods.push_back(Method::fixmatch);

  // What it takes: the student, and each source once for every picture.
  const Task task = make_task(std::make_shared<TargetImages>(images), plan.labels);
  const Array trial = pick_images(images.pool.images, all_indices(std::min(kTrial, N)));
  Figures student;
  // The very student, so that what cannot start is refused now.
  const StudentPlan first{
      .method = Method::scratch, .seed = seed, .architecture = student_architecture(ctx, settings, task)};
  const Model model = make_student_model(ctx, task, first, settings);
  add_running_cost(ctx, *model.network, model.info.normalization, H, W, trial, student);
  double seconds = 0;
  for (const Method m : plan.methods) {
    if (traits(m).start == Start::features) continue;
    seconds +=
        1e-3 * student.ms_per_image * kForwardAndBackward * static_cast<double>(pictures_trained_on(m, settings));
    plan.disk_bytes += bytes_of_numbers(student.parameters);
  }
  plan.memory_bytes = kProgram + images.pool.images.numel() + plan.test * H * W * images.pool.images.shape()[3];
  for (const Source& source : sources) {
    if (source.is_table()) continue;
    Figures f;
    add_running_cost(ctx, source.model, trial, f);
    seconds += 1e-3 * f.ms_per_image * static_cast<double>(N);
    const std::int64_t outputs = bytes_of_numbers(N * (source.model.network->feature_size() + source.classes()));
    plan.disk_bytes += outputs;
    plan.memory_bytes += outputs + bytes_of_numbers(f.parameters);
  }
  plan.memory_bytes += static_cast<std::int64_t>(ctx.host->stats().peak_in_use);
  plan.seconds = seconds;
  plan.settings = std::move(settings);
  return plan;
}

}  // namespace akin
