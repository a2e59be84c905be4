// Layer graphs (nn/zoo/graph_network.hpp): built within the memory allowed, and run: what comes out has a row an image
// and a column a class, is the same again, and changes with the layers' own kernels by rounding alone. An input is the
// graph's JSON.
#include <cmath>

#include "engine/io/json.hpp"
#include "nn/zoo/graph_network.hpp"
#include "tests/fuzz/json_mutator.hpp"

namespace akin::fuzz {

namespace {

constexpr std::size_t kMostMemory = std::size_t{1} << 20;
constexpr std::int64_t kMostPixels = 24 * 24, kMostWeights = 4096;

void run(ByteView input) {
  const std::string text(text_of(input));
  const auto summary = accepted([&] { return summarize_graph(text, "input"); });
  if (!summary) return;
  const Architecture a{.name = "graph", .channels = summary->channels, .classes = 3, .graph = text};
  std::int64_t weights = 0;
  if (!passes([&] {
        Context shapes(Device::cpu, {.shapes_only = true});
        const GraphNetwork sketch(shapes, a);
        for (const Parameter& p : sketch.parameters())
          weights += std::min<std::int64_t>(p.tensor.numel(), kMostWeights);
      }))
    return;
  if (weights > kMostWeights || summary->height * summary->width > kMostPixels) return;
  Context ctx(Device::cpu, {.limit = kMostMemory});
  ctx.use_fast_paths = false;
  accepted([&] {
    const GraphNetwork network(ctx, a);
    initialize(network.parameters(), 1);
    const Tensor x = Tensor::empty(ctx, {2, summary->height, summary->width, summary->channels});
    for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = static_cast<float>(i % 17) / 8 - 1;
    const Array y = network.logits(ctx, x, false).to_array();
    require(y.shape() == Shape{2, 3}, "logits of another shape");
    require(same_bits(y, network.logits(ctx, x, false).to_array()), "a second run says something else");
    require(network.output_stride() >= 1 && network.feature_size() >= 1, "no stride, or no features");
    return true;
  });
}

Json node(const std::string& op, const std::vector<std::string>& in, const std::string& out,
          Json more = Json::object()) {
  Json j = {{"op", op}, {"in", in}, {"out", out}};
  j.update(more);
  return j;
}

Seeds seeds() {
  const auto graph = [](const std::string& name, int side, std::vector<Json> nodes) {
    return text_seed(name, json_line({{"input_shape_nhwc", {1, side, side, 3}}, {"nodes", nodes}}));
  };
  const auto conv = [](int side, int channels, int kernel, int stride, const Json& pad, const char* w) {
    return Json{{"w", w},           {"kernel", {kernel, kernel}},
                {"stride", stride}, {"pad", pad},
                {"act", "relu"},    {"out_shape_nhwc", {1, side, side, channels}}};
  };
  const Json head = node("fc", {"p"}, "y", {{"w", "fc"}, {"act", "none"}, {"out_shape_nhwc", {1, 3}}});
  const auto pool = [](const char* in) { return node("global_avg_pool", {in}, "p"); };
  return {
      graph("plain", 8,
            {node("conv", {"input"}, "a", conv(4, 4, 3, 2, "same", "c1")),
             node("dwconv", {"a"}, "b", conv(4, 4, 3, 1, 1, "c2")),
             node("conv", {"b"}, "c", conv(4, 6, 1, 1, "valid", "c3")), pool("c"), head}),
      graph(
          "branches", 9,
          {node("conv", {"input"}, "a", conv(9, 4, 3, 1, 1, "c1")), node("conv", {"a"}, "b", conv(9, 4, 5, 1, 2, "c2")),
           node("add", {"a", "b"}, "s", {{"act", "hardswish"}}), node("concat", {"s", "a"}, "d", {{"act", "none"}}),
           node("max_pool", {"d"}, "m", {{"kernel", {3, 3}}, {"stride", 2}, {"pad", 1}, {"ceil", true}}), pool("m"),
           head}),
      graph("squeeze", 6,
            {node("conv", {"input"}, "a", conv(6, 4, 3, 1, "same", "c1")), node("global_avg_pool", {"a"}, "g"),
             node("fc", {"g"}, "h", {{"w", "s1"}, {"act", "relu"}, {"out_shape_nhwc", {1, 2}}}),
             node("fc", {"h"}, "k", {{"w", "s2"}, {"act", "hardsigmoid"}, {"out_shape_nhwc", {1, 4}}}),
             node("scale", {"a", "k"}, "z"), pool("z"), head}),
      graph("shortcut", 8,
            {node("conv", {"input"}, "a", conv(8, 4, 3, 1, "same", "c1")),
             node("shortcut_a", {"a"}, "b", {{"stride", 2}, {"channels", 8}}),
             node("activation", {"b"}, "c", {{"act", "relu6"}}), pool("c"),
             node("conv", {"p"}, "y",
                  {{"w", "fc"}, {"act", "none"}, {"kernel", {1, 1}}, {"out_shape_nhwc", {1, 1, 1, 3}}})})};
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"\"op\"",         "\"conv\"",       "\"dwconv\"",          "\"fc\"",
                              "\"add\"",        "\"concat\"",     "\"scale\"",           "\"max_pool\"",
                              "\"shortcut_a\"", "\"activation\"", "\"global_avg_pool\"", "\"same\"",
                              "\"valid\"",      "\"kernel\"",     "\"stride\"",          "\"pad\"",
                              "\"ceil\"",       "\"relu6\"",      "\"hardswish\"",       "\"out_shape_nhwc\""},
                    .mutate = mutate_json};

}  // namespace akin::fuzz
