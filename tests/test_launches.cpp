// How many kernels a training step of ResNet-20 starts, and which.
#include <doctest/doctest.h>

#include <map>

#include "kernels/common/rng.hpp"
#include "kernels/common/sim/sim_device.hpp"
#include "nn/optimizer.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/places.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Launches by kernel of one step of ResNet-20 as CIFAR has it, at a small side.
std::map<std::string, int> step_launches() {
  Context ctx(Device::sim, open_sim(sim_options(sim::Policy::fifo, 5)));
  use_bf16(ctx);
  const auto network = make_network(ctx, {.name = "resnet20", .width = 16, .channels = 3, .classes = 10});
  const ParameterList parameters = network->parameters();
  initialize(parameters, 1);
  Optimizer optimizer(ctx, parameters, OptimizerOptions{});
  std::vector<float> pixels(4 * 16 * 16 * 3);
  Rng rng(4, 2);
  for (float& v : pixels) v = rng.normal();
  const Tensor x = ops::convert(ctx, Tensor::from(ctx, Array::from(pixels, {4, 16, 16, 3})), ctx.activations);
  const Tensor labels = Tensor::from(ctx, Array::from(std::vector<std::int64_t>{0, 9, 3, 3}, {4}));
  LaunchLog log;
  ctx.launches = &log;
  Tape tape;
  {
    const TapeScope scope(ctx, &tape);
    const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, network->logits(ctx, x, true), labels));
    tape.backward(ctx, loss);
  }
  optimizer.step(0.1);
  ctx.launches = nullptr;
  CHECK(std::isfinite(parameters.front().tensor.to_array().as<float>()[0]));
  std::map<std::string, int> count;
  for (const std::string& name : log) ++count[name];
  return count;
}

}  // namespace

TEST_CASE("a training step of ResNet-20 starts no kernel too many") {
  const std::map<std::string, int> count = step_launches();
  int all = 0;
  for (const auto& [name, n] : count) all += n;
  const auto of = [&](const char* name) { return count.contains(name) ? count.at(name) : 0; };
  CHECK_EQ(of("conv2d_direct_fwd"), 19);
  CHECK_EQ(of("conv2d_direct_bwd_data"), 18);  // not of the images
  CHECK_EQ(of("conv2d_direct_bwd_weight"), 19);
  CHECK_EQ(of("batchnorm_statistics"), 0);  // the convolutions leave them
  CHECK_EQ(of("batchnorm_bwd_reduce"), 3);  // the last norm, and two whose gradient a shortcut makes whole
  CHECK_LE(all, 173);
}
