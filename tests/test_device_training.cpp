// Whole training steps on the CUDA kernels: in the emulator on every commit, and on a card where there is one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/data/image_batch.hpp"
#include "nn/stepper.hpp"
#include "tests/places.hpp"
#include "tests/sanitized.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Run : ToyRun {
  explicit Run(Device device, std::int64_t steps = 6, DType activations = DType::f32, const std::string& kind = "sgd")
      : ToyRun(steps, 1, kind, device, activations) {
    if (kind == "adamw") options.schedule.base = 0.005;
  }
};

/// Largest difference of a parameter between two networks, relative to the largest change that training made to the
/// parameters of that tensor in `b`.
double distance(const Network& a, const Network& b, const Network& start, std::string& where) {
  const ParameterList pa = a.parameters(), pb = b.parameters(), p0 = start.parameters();
  double worst = 0;
  for (std::size_t i = 0; i < pa.size(); ++i) {
    if (!pa[i].trainable()) continue;
    const Array x = pa[i].tensor.to_array(), y = pb[i].tensor.to_array(), z = p0[i].tensor.to_array();
    double difference = 0, change = 0;
    for (std::size_t k = 0; k < x.as<float>().size(); ++k) {
      difference = std::max(difference, std::abs(double{x.as<float>()[k]} - double{y.as<float>()[k]}));
      change = std::max(change, std::abs(double{y.as<float>()[k]} - double{z.as<float>()[k]}));
    }
    const double relative = difference / change;
    if (!(relative <= worst)) {
      worst = relative;
      where = pa[i].name;
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("one training step on the device equals the CPU's") {
  // An update is the gradient times the rate. It goes back through 9 convolutions and norms, each of which rounds sums
  // of at most 8 * 12 * 12 terms: 9 * 4 eps sqrt(1152) = 1.5e-4 of the largest element.
  const double tolerance = 9 * 4 * 0x1p-23 * std::sqrt(1152.0);
  const Run start(Device::cpu);
  Run cpu(Device::cpu, 1);
  cpu.options.schedule.warmup = 0;
  cpu.go();
  for (const Device device : gpu_devices()) {
    CAPTURE(name_of(device));
    Run there(device, 1);
    there.options.schedule.warmup = 0;
    there.go();
    std::string where;
    const double d = distance(*there.net, *cpu.net, *start.net, where);
    CAPTURE(where);
    CHECK_MESSAGE(d <= tolerance, d);
    CHECK_MESSAGE(std::abs(there.result.curve[0].loss - cpu.result.curve[0].loss) <= 1e-5, there.result.curve[0].loss);
    there.ctx.allocator->flush();
    CHECK_EQ(there.ctx.allocator->stats().fence_breaks, 0);
  }
}

TEST_CASE("a captured step gives the bits of an eager one; so does a run that was stopped and resumed") {
  const TempFolder folder;
  std::vector<Device> devices = gpu_devices();
  if (chosen(Device::cpu)) devices.push_back(Device::cpu);  // nothing is captured there
  for (const Device device : devices)
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const char* kind : {"sgd", "adamw"}) {
        if (kSanitized && (dtype == DType::bf16) != (std::string(kind) == "adamw")) continue;
        CAPTURE(name_of(device));
        CAPTURE(name_of(dtype));
        CAPTURE(kind);
        Run graph(device, 6, dtype, kind), eager(device, 6, dtype, kind);
        eager.options.graph = false;
        graph.go();
        eager.go();
        CHECK_EQ(differing(*graph.net, *eager.net), "");
        REQUIRE_EQ(graph.result.curve.size(), 2);
        for (const std::size_t i : {0u, 1u}) {
          CHECK_EQ(graph.result.curve[i].loss, eager.result.curve[i].loss);
          CHECK_EQ(graph.result.curve[i].validation, eager.result.curve[i].validation);
        }
        if (std::string(kind) == "adamw") continue;
        Run first(device, 6, dtype, kind), second(device, 6, dtype, kind);
        std::int64_t polls = 0;
        first.place.checkpoint = second.place.checkpoint =
            folder / fmt::format("{}{}.safetensors", name_of(device), name_of(dtype));
        first.hooks.stop = [&] { return polls++ == 4; };
        first.go();
        CHECK_FALSE(first.result.finished);
        second.place.resume = true;
        second.go();
        CHECK_EQ(differing(*graph.net, *second.net), "");
        CHECK_EQ(graph.result.curve[1].loss, second.result.curve[1].loss);
      }
}

TEST_CASE("bf16 activations train as f32 ones do, within their rounding") {
  const std::int64_t steps = kSanitized ? 6 : 12;
  Run full(Device::sim, steps), half(Device::sim, steps, DType::bf16);
  full.go();
  half.go();
  const double a = full.result.curve.back().loss, b = half.result.curve.back().loss;
  if (!kSanitized) CHECK(half.result.curve.back().loss < half.result.curve.front().loss);
  CHECK_MESSAGE(std::abs(a - b) < 0.1 * a, a << " and " << b);
}

TEST_CASE("a loss that is not finite is found, and its step named") {
  Run r(Device::sim, 12);
  r.options.graph = false;
  std::int64_t step = 0;
  const auto batch = r.objective.batch;
  r.objective.batch = [&](std::int64_t t) {
    step = t;
    return batch(t);
  };
  const auto loss = r.objective.loss;
  r.objective.loss = [&](const LabelledBatch& b) { return step == 3 ? ops::scale(r.ctx, loss(b), NAN) : loss(b); };
  CHECK(has(error_of([&] { r.go(); }), "loss of step 3 is nan"));
}

TEST_CASE("a step that reads the device cannot be captured, and the error says so") {
  Run r(Device::sim, 12);
  const auto loss = r.objective.loss;
  r.objective.loss = [&](const LabelledBatch& b) {
    const Tensor l = loss(b);
    l.item();
    return l;
  };
  const std::string error = error_of([&] { r.go(); });
  CHECK_MESSAGE(has(error, "captured"), error);
  CHECK_MESSAGE(has(error, "--no-graph"), error);
}

TEST_CASE("a batch that does not fit the captured step is refused, and the tensor named") {
  Run r(Device::sim, 12);
  const auto batch = r.objective.batch;
  r.objective.batch = [&](std::int64_t t) {
    LabelledBatch b = batch(t);
    if (t == 4) b.targets = b.targets.view({b.targets.dim(0) - 1});
    return b;
  };
  const std::string error = error_of([&] { r.go(); });
  CHECK_MESSAGE(has(error, "'targets' of a batch is i64 [7], in the captured step i64 [8]"), error);
}
