// One training step of a whole network: forward, cross-entropy, backward, SGD. Inputs are random and rotate.
//   bench_step --net resnet8 --width 16 --batch 128            runs for a while and prints images a second
//   bench_step --device cuda --precision bf16 --net resnet50 --batch 256
//   bench_step ... --worker                                    waits for "run SECONDS" on stdin, answers one JSON line;
//                                        bench/peers/step_vs_torch.py takes turns with it and PyTorch
// The net kd28 is no network but the losses of a step alone: cross-entropy of 1000 classes, and distillation from 28
// sources of 1000 classes; its "images" are rows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

#include "bench/networks.hpp"
#include "bench/program.hpp"
#include "bench/programs.hpp"
#include "engine/vendor.hpp"
#include "kernels/common/rng.hpp"
#include "nn/data/image_batch.hpp"
#include "nn/optimizer.hpp"
#include "nn/stepper.hpp"
#include "nn/zoo/zoo.hpp"

namespace {

using namespace akin;

struct StepSettings {
  std::string net = "resnet8", device = "cpu", precision = "f32", gemm = "own", conv = "own";
  std::int64_t width = 0, batch = 128, side = 0, input_batches = 8;
  std::string json, lines;
  std::int64_t losses = 0;
  double most = 0;
  bool graph = true, worker = false;
  double seconds = 1;
  int rounds = 12;
};

constexpr std::int64_t kClasses = 1000, kSources = 28;

struct LossBatch {
  Tensor teacher;  ///< [B, kSources * kClasses]
  Tensor targets;  ///< i64 [B]
  void each(auto&& f, auto&... others) {
    f("teacher", teacher, others.teacher...);
    f("targets", targets, others.targets...);
  }
};

class Step {
 public:
  explicit Step(const StepSettings& s) : ctx_(parse_device(s.device)), batch_(s.batch) {
    if (s.precision == "bf16") use_bf16(ctx_);
    use_vendor(ctx_, s.gemm == "cublas", s.conv == "cudnn");
    if (s.net == "kd28")
      make_losses(s);
    else
      make_network_step(s);
    optimizer_ = std::make_unique<Optimizer>(ctx_, parameters_, OptimizerOptions{});
    stepper_ = std::make_unique<Stepper>(ctx_, *objective_, *optimizer_, parameters_, s.graph);
  }
  ~Step() {
    if (ctx_.stream != nullptr) ctx_.stream->synchronize();
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  const Context& context() const { return ctx_; }
  std::size_t graph_nodes() const { return stepper_->graph_nodes(); }
  /// Of the last step. Throws where a loss was not finite.
  double loss() {
    const std::vector<double> losses = stepper_->losses().take();
    AKIN_CHECK(!losses.empty(), "no step was done");
    return losses.back();
  }

  /// At least `steps` whole steps and for at least `seconds`; returns {images, seconds}. A GPU gets a few steps ahead,
  /// as in training.
  std::pair<std::int64_t, double> run_for(double seconds, std::int64_t steps = 1) {
    const auto start = std::chrono::steady_clock::now();
    const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    std::deque<std::unique_ptr<GpuEvent>> ahead;
    std::int64_t images = 0;
    do {
      stepper_->run(done_, 1e-4);
      ++done_;
      images += batch_;
      --steps;
      if (ctx_.stream == nullptr) continue;
      ahead.push_back(ctx_.stream->record());
      if (ahead.size() < 8) continue;
      ahead.front()->synchronize();
      ahead.pop_front();
    } while (passed() < seconds || steps > 0);
    if (ctx_.stream != nullptr) ctx_.stream->synchronize();
    return {images, passed()};
  }

 private:
  Tensor noise(const Shape& shape, std::uint32_t seed) {
    std::vector<float> values(static_cast<std::size_t>(shape.numel()));
    Rng rng(7, seed);
    for (float& v : values) v = rng.normal();
    return Tensor::from(ctx_, Array::from(values, shape));
  }
  Tensor labels(std::int64_t classes, std::uint32_t seed) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(batch_));
    Rng rng(8, seed);
    for (auto& v : values) v = rng.below(static_cast<std::uint32_t>(classes));
    return Tensor::from(ctx_, Array::from(values, {batch_}));
  }

  template <class Batch>
  void rotate(std::vector<Batch> batches, std::function<Tensor(const Batch&)> loss) {
    auto objective = std::make_unique<BatchObjective<Batch>>();
    objective->batch = [batches](std::int64_t t) { return batches[static_cast<std::size_t>(t) % batches.size()]; };
    objective->loss = std::move(loss);
    objective_ = std::move(objective);
  }

  void make_network_step(const StepSettings& s) {
    const bench::Input in = bench::input_of(s.net);
    const std::int64_t side = s.side > 0 ? s.side : in.side;
    network_ = make_network(ctx_, {.name = s.net, .width = s.width, .channels = in.channels, .classes = in.classes});
    parameters_ = network_->parameters();
    initialize(parameters_, 1);
    std::vector<LabelledBatch> batches;
    for (std::int64_t k = 0; k < s.input_batches; ++k)
      batches.push_back({ops::convert(ctx_, noise({batch_, side, side, in.channels}, static_cast<std::uint32_t>(k)),
                                      ctx_.activations),
                         labels(in.classes, static_cast<std::uint32_t>(k))});
    rotate<LabelledBatch>(std::move(batches), [this](const LabelledBatch& b) {
      return ops::mean(ctx_, ops::softmax_ce(ctx_, network_->logits(ctx_, b.images, true), b.targets));
    });
  }

  /// Losses and their gradients alone; the optimizer has one number to look after.
  void make_losses(const StepSettings& s) {
    own_ = noise({batch_, kClasses}, 100);
    heads_ = noise({batch_, kSources * kClasses}, 101);
    Tensor unused = noise({1}, 102);
    unused.set_requires_grad(true);
    parameters_.push_back({"unused", unused, ParameterKind::bias});
    for (std::int64_t i = 0; i <= kSources; ++i) sources_.offsets.push_back(i * kClasses);
    sources_.alpha.assign(kSources, 1.0 / kSources);
    std::vector<LossBatch> batches;
    for (std::int64_t k = 0; k < s.input_batches; ++k)
      batches.push_back({noise({batch_, kSources * kClasses}, static_cast<std::uint32_t>(k)),
                         labels(kClasses, static_cast<std::uint32_t>(k))});
    rotate<LossBatch>(std::move(batches), [this](const LossBatch& b) {
      Tensor own = own_.detach(), heads = heads_.detach();  // leaves of this step alone
      own.set_requires_grad(true);
      heads.set_requires_grad(true);
      return ops::add(ctx_, ops::mean(ctx_, ops::softmax_ce(ctx_, own, b.targets)),
                      ops::kd_multi(ctx_, heads, b.teacher, sources_));
    });
  }

  Context ctx_;
  std::int64_t batch_, done_ = 0;
  std::unique_ptr<Network> network_;
  ParameterList parameters_;
  ops::KdSources sources_;
  Tensor own_, heads_;  // a student's logits
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Stepper> stepper_;
};

/// The rows' name says what was measured, so that two files tell whether it was the same.
std::string name_of(const StepSettings& s) {
  return fmt::format("{} width {} side {} batch {} {} {}", s.net, s.width, s.side, s.batch, s.device, s.precision);
}

/// The first steps' losses beside the CPU's in f32. Throws where they are further apart than the settings allow.
void compare_losses(const StepSettings& s) {
  bench::LineFile lines(s.lines);
  const auto losses_of = [&](const StepSettings& where) {
    Step step(where);
    std::vector<double> losses;
    for (std::int64_t i = 0; i < s.losses; ++i) {
      step.run_for(0);
      losses.push_back(step.loss());
    }
    return losses;
  };
  StepSettings cpu = s;
  cpu.device = "cpu", cpu.precision = "f32", cpu.gemm = cpu.conv = "own";
  const std::vector<double> own = losses_of(s), wanted = losses_of(cpu);
  double apart = 0;
  for (std::size_t i = 0; i < own.size(); ++i)
    apart = std::max(apart, std::abs(own[i] - wanted[i]) / std::abs(wanted[i]));
  fmt::print("{}: {} losses, {:.4f} to {:.4f}, at most {:.2g} from the CPU's\n", name_of(s), own.size(), own.front(),
             own.back(), apart);
  lines.add({{"kind", "losses"},
             {"name", name_of(s)},
             {"losses", own},
             {"cpu", wanted},
             {"difference", apart},
             {"most", s.most}});
  AKIN_CHECK(s.most == 0 || apart <= s.most, "the losses differ by {:.3g} of their size (at most {:.3g})", apart,
             s.most);
}

void run(const StepSettings& s) {
  if (s.losses > 0) return compare_losses(s);
  bench::LineFile lines(s.lines);
  bench::ResultFile file = bench::result_file("bench_step");
  Step step(s);
  step.run_for(s.seconds / 4, 4);  // warm-up; a graph is captured in the third step
  step.loss();
  if (s.worker) {
    bench::take_orders([&](double wanted) {
      const auto [images, seconds] = step.run_for(wanted);
      step.loss();
      return Json{{"images", images}, {"seconds", seconds}};
    });
    return;
  }
  fmt::print("{}, {}{}\n", describe(step.context()), s.net,
             step.graph_nodes() == 0 ? "" : fmt::format(", a graph of {} nodes", step.graph_nodes()));
  std::vector<double> rounds;
  double loss = 0;
  for (int i = 0; i < s.rounds; ++i) {
    const auto [images, seconds] = step.run_for(s.seconds);
    rounds.push_back(1e3 * seconds * static_cast<double>(s.batch) / static_cast<double>(images));
    loss = step.loss();
    fmt::print("{} batch {}: {:.0f} images/s, {:.3f} ms a step, loss {:.4f}\n", s.net, s.batch,
               static_cast<double>(images) / seconds, rounds.back(), loss);
    std::fflush(stdout);
  }
  lines.add({{"kind", "step"},
             {"name", name_of(s)},
             {"way", fmt::format("{}{}{}", s.graph ? "graph" : "no graph", s.gemm == "own" ? "" : ", " + s.gemm,
                                 s.conv == "own" ? "" : ", " + s.conv)},
             {"batch", s.batch},
             {"ms", rounds},
             {"images_per_second", 1e3 * static_cast<double>(s.batch) / bench::median(rounds)},
             {"loss", loss}});
  if (s.json.empty()) return;
  file.rows.push_back({name_of(s), "ms", false, rounds});
  write_results(s.json, file);
}

}  // namespace

namespace akin::bench {

int bench_step(int argc, char** argv) {
  CLI::App app("Time of a training step");
  StepSettings s;
  app.add_option("--net", s.net,
                 "resnet8 (28x28x1), other CIFAR ResNets (32x32x3), resnet18/34/50 (224x224x3), or kd28");
  app.add_option("--width", s.width, "channels of the first stage; 0: the family's own");
  app.add_option("--batch", s.batch, "images a step")->check(CLI::PositiveNumber);
  app.add_option("--side", s.side, "of the images; 0: the net's own")->check(CLI::NonNegativeNumber);
  app.add_option("--inputs", s.input_batches, "batches that rotate")->check(CLI::PositiveNumber);
  app.add_option("--device", s.device, "cpu, cuda, sim or auto");
  app.add_option("--precision", s.precision, "f32, or bf16 activations")->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--gemm", s.gemm)->check(CLI::IsMember({"own", "cublas"}));
  app.add_option("--conv", s.conv)->check(CLI::IsMember({"own", "cudnn"}));
  app.add_flag("--graph,!--no-graph", s.graph,
               "on a GPU: capture the step once and repeat it (default), or queue each");
  app.add_option("--seconds", s.seconds, "of one measurement")->check(CLI::PositiveNumber);
  app.add_option("--rounds", s.rounds, "measurements")->check(CLI::PositiveNumber);
  app.add_option("--json", s.json, "write all rounds to this file, for bench_compare");
  app.add_option("--lines", s.lines, "add what was measured to this file as a line of JSON");
  app.add_option("--losses", s.losses, "so many steps' losses beside the CPU's, and no times")
      ->check(CLI::PositiveNumber);
  app.add_option("--most", s.most, "how far they may lie apart, relative")->check(CLI::PositiveNumber);
  app.add_flag("--worker", s.worker, "take orders from standard input");
  return run_program(app, argc, argv, "bench_step", [&] { run(s); });
}

}  // namespace akin::bench
