// Folded networks as layer graphs: the same function as before, on disk and back.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/evaluate.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/model_file.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

LayerGraph folded(Context& ctx, Network& net, std::int64_t h, std::int64_t w) {
  LayerGraph g = capture_layers(ctx, net, h, w);
  fold_batchnorm(g);
  return g;
}

double apart(Context& ctx, Network& a, Network& b, const Tensor& x) {
  return test::apart(a.logits(ctx, x, false), b.logits(ctx, x, false));
}

/// Both networks round every sum of at most 1152 terms, as if its weights were wrong by 1.2e-7 / 2 sqrt(1152); twice
/// that for two networks, and four times.
double tolerance(Context& ctx, Network& net, const Tensor& x) { return 1.7e-5 * condition(ctx, net, x); }

}  // namespace

TEST_CASE("layer graphs: folded networks say what the whole ones said") {
  Context ctx;
  const auto check = [&](const Architecture& a, std::int64_t h, std::int64_t w) {
    const auto net = random_net(ctx, a);
    const auto graph = to_graph_network(ctx, folded(ctx, *net, h, w));
    const Tensor x = noise(ctx, {3, h, w, a.channels});
    const double error = apart(ctx, *graph, *net, x), tol = tolerance(ctx, *net, x);
    MESSAGE("difference ", error, " of ", tol, " allowed");
    CHECK_FALSE(!(error <= tol));
    CHECK_EQ(graph->architecture().classes, a.classes);
    for (const Parameter& p : graph->parameters()) CHECK_FALSE(has(p.name, "running"));
  };
  SUBCASE("option A") { check({.name = "resnet8", .width = 4, .channels = 1, .classes = 3}, 13, 11); }
  SUBCASE("1x1 shortcuts") { check({.name = "resnet14", .width = 4, .shortcut = "conv", .classes = 3}, 12, 12); }
  SUBCASE("max pool") { check({.name = "resnet18", .width = 4, .classes = 5}, 40, 33); }
  SUBCASE("depthwise") { check({.name = "mobilenet_v1", .width = 8, .classes = 5}, 33, 32); }
  SUBCASE("inverted residuals") { check({.name = "mobilenet_v2", .width = 16, .classes = 5}, 32, 32); }
  SUBCASE("gates") { check({.name = "mobilenet_v3_small", .classes = 5, .stem = "small"}, 16, 17); }
  SUBCASE("branches, pools that hang over") { check({.name = "googlenet", .classes = 5}, 40, 36); }
}

TEST_CASE("layer graphs: a forgotten eps shows") {
  Context ctx;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 4});
  for (const Parameter& p : net->parameters())  // variances of the size of eps, as dead channels have
    if (p.name.ends_with("running_var"))
      for (std::int64_t i = 0; i < p.tensor.numel(); i += 2) p.tensor.data<float>()[i] = 1e-5f;
  LayerGraph g = capture_layers(ctx, *net, 8, 8);
  LayerGraph wrong = g;
  fold_batchnorm(g);
  for (Layer& l : wrong.layers)
    if (l.op == "batchnorm") l.attributes["eps"] = 0;
  fold_batchnorm(wrong);
  const Tensor x = noise(ctx, {2, 8, 8, 3});
  const double tol = tolerance(ctx, *net, x);
  CHECK_FALSE(!(apart(ctx, *to_graph_network(ctx, g), *net, x) <= tol));
  CHECK(apart(ctx, *to_graph_network(ctx, wrong), *net, x) > 100 * tol);
}

TEST_CASE("layer graphs: written, read and written again") {
  Context ctx;
  const TempFolder folder;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 4});
  const auto graph = to_graph_network(ctx, folded(ctx, *net, 8, 8));
  ModelInfo info;
  info.height = info.width = 8;
  save_model(folder / "m.safetensors", *graph, info);
  const Model m = load_model(ctx, folder / "m.safetensors");
  CHECK_EQ(m.info.architecture.name, "graph");
  const Tensor x = noise(ctx, {2, 8, 8, 3});
  CHECK_EQ(apart(ctx, *m.network, *graph, x), 0);
  // A graph is a network like any other: nothing is left to fold.
  const auto again = to_graph_network(ctx, folded(ctx, *m.network, 8, 8));
  CHECK_EQ(apart(ctx, *again, *graph, x), 0);
}

TEST_CASE("layer graphs: TensorFlow's padding is kept, other uneven ones are refused") {
  Context ctx;
  const auto error = [&](std::int64_t pad, std::int64_t end, std::int64_t side) {
    FreeNet net(ctx, 3, 4, 2, [&](Context& c, const FreeNet& n, const Tensor& x) {
      return ops::global_avg_pool(c, ops::conv2d(c, x, n.weight("conv.weight", {4, 3, 3, 3}), 2, pad, end));
    });
    const Tensor x = noise(ctx, {2, side, side, 3});
    net.features(ctx, x, false);  // makes its parameters
    randomise(net.parameters(), 4);
    std::unique_ptr<Network> graph;
    const std::string e = error_of([&] { graph = to_graph_network(ctx, capture_layers(ctx, net, side, side)); });
    if (graph != nullptr) CHECK_FALSE(!(apart(ctx, *graph, net, x) <= tolerance(ctx, net, x)));
    return e;
  };
  CHECK_EQ(error(0, 1, 8), "");
  CHECK_EQ(error(1, 1, 7), "");
  CHECK_EQ(error(2, 2, 8), "");
  CHECK(has(error(1, 0, 8), "conv is padded by 1 before and 0 after"));
  CHECK(has(error(0, 1, 7), "conv is padded by 0 before and 1 after"));
}

TEST_CASE("layer graphs: what the form lacks is named") {
  Context ctx;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 4});
  std::string e = error_of([&] { to_graph_network(ctx, capture_layers(ctx, *net, 8, 8)); });
  CHECK_MESSAGE(has(e, "bn1 follows no convolution"), e);
  const auto alexnet = random_net(ctx, {.name = "alexnet", .channels = 3, .classes = 4});
  e = error_of([&] { to_graph_network(ctx, folded(ctx, *alexnet, 63, 63)); });
  CHECK_MESSAGE(has(e, "adaptive_avg_pool"), e);
}
