// The trace of ops, and the layers made of it.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/export/layer_graph.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<std::string> ops_of(const LayerGraph& g) {
  std::vector<std::string> out;
  for (const Layer& l : g.layers) out.push_back(l.op);
  return out;
}

}  // namespace

TEST_CASE("trace: ops leave a node while a trace is there, and none otherwise") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {2, 5, 5, 3}), w = Tensor::zeros(ctx, {4, 3, 3, 3});
  Trace trace, inner;
  Tensor y, z;
  {
    const TraceScope on(ctx, &trace);
    y = ops::conv2d(ctx, x, w, 2, 1);
    {
      const TraceScope other(ctx, &inner);
      ops::relu(ctx, y);
      const TraceScope off(ctx, nullptr);
      ops::relu(ctx, y);
    }
    z = ops::max_pool(ctx, y, 2, 1, 1);
  }
  CHECK(ctx.trace == nullptr);
  ops::relu(ctx, z);
  REQUIRE_EQ(trace.nodes.size(), 2);
  REQUIRE_EQ(inner.nodes.size(), 1);
  const TraceNode &conv = trace.nodes[0], &pool = trace.nodes[1];
  CHECK_EQ(conv.op, "conv2d");
  CHECK(conv.inputs[0].handle() == x.handle());
  CHECK(conv.inputs[1].handle() == w.handle());
  CHECK(conv.output.handle() == y.handle());
  CHECK_EQ(conv.attributes.at("stride"), 2);
  CHECK_EQ(conv.attributes.at("pad"), 1);
  CHECK(pool.attributes == std::map<std::string, double>{{"pad", 1}, {"stride", 1}, {"window", 2}});
  CHECK_EQ(inner.nodes[0].op, "relu");
}

TEST_CASE("trace: a backward pass leaves no node") {
  Context ctx;
  Tensor x = Tensor::zeros(ctx, {3});
  x.set_requires_grad(true);
  Tape tape;
  Trace trace;
  const TapeScope record(ctx, &tape);
  const TraceScope on(ctx, &trace);
  const Tensor loss = ops::sum(ctx, ops::relu(ctx, ops::scale(ctx, x, 2)));
  const std::size_t before = trace.nodes.size();
  tape.backward(ctx, loss);
  CHECK_EQ(before, 3);
  CHECK_EQ(trace.nodes.size(), before);
  CHECK_EQ(trace.nodes[0].attributes.at("factor"), 2);
}

TEST_CASE("layers: a ResNet's, with fused norms taken apart") {
  Context ctx;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
  LayerGraph g = capture_layers(ctx, *net, 8, 6);
  const std::vector<std::string> block{"conv2d", "batchnorm", "relu", "conv2d", "batchnorm", "add", "relu"};
  std::vector<std::string> wanted{"conv2d", "batchnorm", "relu"};
  for (int i = 0; i < 3; ++i) {
    if (i > 0) wanted.push_back("shortcut_a");
    wanted.insert(wanted.end(), block.begin(), block.end());
  }
  wanted.insert(wanted.end(), {"global_avg_pool", "linear"});
  CHECK(ops_of(g) == wanted);
  CHECK(g.input == Shape{1, 8, 6, 1});
  CHECK(g.layers.back().output == Shape{1, 3});
  const Layer& conv = g.at("layer2.0.conv1");
  CHECK(conv.output == Shape{1, 4, 3, 8});
  CHECK_EQ(conv.weights.at("weight"), "layer2.0.conv1.weight");
  CHECK_EQ(conv.attributes.at("stride"), 2);
  const Layer& norm = g.at("layer2.0.bn1");
  CHECK(norm.inputs == std::vector<std::string>{"layer2.0.conv1"});
  CHECK_EQ(norm.weights.at("var"), "layer2.0.bn1.running_var");
  CHECK_EQ(norm.attributes.at("eps"), 1e-5);
  CHECK_EQ(g.weights.size(), 7 + 7 * 4 + 2);
  CHECK(has(error_of([&] { g.at("layer9"); }), "layer9"));
  // Twice the same.
  CHECK(ops_of(capture_layers(ctx, *net, 8, 6)) == wanted);

  const LayerGraph before = g;
  fold_batchnorm(g);
  CHECK_EQ(g.layers.size(), before.layers.size() - 7);
  CHECK_EQ(g.weights.size(), 7 * 2 + 2);
  for (const char* k : {"conv1", "layer3.0.conv2"}) {
    const std::string name = k;
    const std::string n = name == "conv1" ? "bn1" : "layer3.0.bn2";
    const auto was = before.weights.at(name + ".weight").as<float>(),
               is = std::as_const(g).weights.at(name + ".weight").as<float>();
    const auto at = [&](const char* role) { return before.weights.at(n + role).as<float>(); };
    const std::size_t K = at(".weight").size();
    for (std::size_t i = 0; i < K; ++i) {
      const double gain =
          static_cast<double>(at(".weight")[i]) / std::sqrt(static_cast<double>(at(".running_var")[i]) + 1e-5);
      const double bias = static_cast<double>(at(".bias")[i]) - static_cast<double>(at(".running_mean")[i]) * gain;
      CHECK_EQ(g.weights.at(name + ".bias").as<float>()[i], static_cast<float>(bias));
      for (std::size_t j = i * was.size() / K; j < (i + 1) * was.size() / K; ++j)
        CHECK_EQ(is[j], static_cast<float>(static_cast<double>(was[j]) * gain));
    }
  }
}

TEST_CASE("layers: a norm that cannot be folded stays") {
  Context ctx;
  ops::BatchNormState state;
  FreeNet net(ctx, 3, 4, 2, [&](Context& c, const FreeNet& n, const Tensor& x) {
    const auto norm = ParameterKind::norm;
    const Tensor gamma = n.weight("bn.weight", {4}, norm), beta = n.weight("bn.bias", {4}, norm);
    state.running_mean = n.weight("bn.running_mean", {4}, norm);
    state.running_var = n.weight("bn.running_var", {4}, norm);
    const Tensor once = ops::conv2d(c, x, n.weight("conv.weight", {4, 3, 1, 1 + 2}), 1, 1);
    const Tensor y = ops::batchnorm(c, once, gamma, beta, state, false, Activation::relu);
    return ops::global_avg_pool(c, ops::add(c, once, y));  // the convolution has two readers
  });
  LayerGraph g = capture_layers(ctx, net, 4, 4);
  const std::vector<std::string> wanted{"conv2d", "batchnorm", "relu", "add", "global_avg_pool", "linear"};
  CHECK(ops_of(g) == wanted);
  fold_batchnorm(g);
  CHECK(ops_of(g) == wanted);
  CHECK_EQ(g.weights.size(), 7);
}

TEST_CASE("layers: what is no network of ops is refused") {
  Context ctx;
  const auto error = [&](const FreeNet::Body& body) {
    FreeNet net(ctx, 3, 3, 2, body);
    return error_of([&] { capture_layers(ctx, net, 4, 4); });
  };
  std::string e = error([](Context& c, const FreeNet&, const Tensor& x) { return ops::global_avg_pool(c, x.detach()); });
  CHECK_MESSAGE(has(e, "global_avg_pool reads a value that no op"), e);
  e = error([](Context& c, const FreeNet&, const Tensor& x) {  // the mean over the batch
    const Tensor f = ops::global_avg_pool(c, x);
    return ops::add(c, ops::rows(c, f, 0, 1), ops::rows(c, f, 1, 2));
  });
  CHECK_MESSAGE(has(e, "rows puts out f32 [1, 3] for 2 images"), e);
  e = error([](Context& c, const FreeNet&, const Tensor& x) {
    return ops::global_avg_pool(c, ops::conv2d(c, x, Tensor::zeros(c, {3, 1, 1, 3}), 1, 0));
  });
  CHECK_MESSAGE(has(e, "weight of conv2d is no parameter"), e);
  ops::BatchNormState state{Tensor::zeros(ctx, {3}), Tensor::zeros(ctx, {3})};
  e = error([&](Context& c, const FreeNet& n, const Tensor& x) {
    const Tensor gamma = n.weight("bn.weight", {3}), beta = n.weight("bn.bias", {3});
    return ops::global_avg_pool(c, ops::batchnorm(c, x, gamma, beta, state, true));
  });
  CHECK_MESSAGE(has(e, "training mode"), e);
}
