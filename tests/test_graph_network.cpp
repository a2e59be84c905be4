// Layer graphs and foreign weights: quantised tensors, TensorFlow's padding, timm's names, heads and stems of another
// size.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/io/file.hpp"
#include "kernels/common/rng.hpp"
#include "nn/evaluate.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/graph_network.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// One image [H,W,C] in double.
struct Map {
  std::int64_t H, W, C;
  std::vector<double> v;
  double& at(std::int64_t h, std::int64_t w, std::int64_t c) {
    return v[static_cast<std::size_t>((h * W + w) * C + c)];
  }
  double at(std::int64_t h, std::int64_t w, std::int64_t c) const {
    return v[static_cast<std::size_t>((h * W + w) * C + c)];
  }
};

/// TensorFlow's SAME convolution, weights [K,C,R,R] (depthwise [C,1,R,R]), bias, relu6 on request: by its definition.
Map same_conv(const Map& x, const std::vector<float>& w, const std::vector<float>& b, std::int64_t K, std::int64_t R,
              std::int64_t stride, bool depthwise, bool relu6) {
  const auto out = [&](std::int64_t side) { return (side + stride - 1) / stride; };
  const auto before = [&](std::int64_t side) {
    return std::max<std::int64_t>(0, (out(side) - 1) * stride + R - side) / 2;
  };
  Map y{out(x.H), out(x.W), K, {}};
  y.v.resize(static_cast<std::size_t>(y.H * y.W * K));
  for (std::int64_t h = 0; h < y.H; ++h)
    for (std::int64_t q = 0; q < y.W; ++q)
      for (std::int64_t k = 0; k < K; ++k) {
        double sum = b[static_cast<std::size_t>(k)];
        for (std::int64_t r = 0; r < R; ++r)
          for (std::int64_t s = 0; s < R; ++s) {
            const std::int64_t i = h * stride + r - before(x.H), j = q * stride + s - before(x.W);
            if (i < 0 || j < 0 || i >= x.H || j >= x.W) continue;
            for (std::int64_t c = depthwise ? k : 0; c < (depthwise ? k + 1 : x.C); ++c)
              sum += x.at(i, j, c) *
                     w[static_cast<std::size_t>(((k * (depthwise ? 1 : x.C) + (depthwise ? 0 : c)) * R + r) * R + s)];
          }
        y.at(h, q, k) = relu6 ? std::clamp(sum, 0.0, 6.0) : sum;
      }
  return y;
}

constexpr const char* kGraph = R"({"input_shape_nhwc": [1, 8, 8, 3], "nodes": [
  {"op": "conv", "w": "a", "in": ["input"], "out": "x1", "act": "relu6", "stride": 2, "kernel": [3, 3], "pad": "same",
   "out_shape_nhwc": [1, 4, 4, 4]},
  {"op": "dwconv", "w": "b", "in": ["x1"], "out": "x2", "act": "none", "stride": 1, "kernel": [3, 3], "pad": "same",
   "out_shape_nhwc": [1, 4, 4, 4]},
  {"op": "add", "in": ["x1", "x2"], "out": "x3", "act": "none"},
  {"op": "global_avg_pool", "in": ["x3"], "out": "x4"},
  {"op": "conv", "w": "c", "in": ["x4"], "out": "x5", "act": "none", "stride": 1, "kernel": [1, 1], "pad": "same",
   "out_shape_nhwc": [1, 1, 1, 5]}]})";

std::string edited(const std::string& from, const std::string& to) {
  std::string text = kGraph;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// A quantised model of kGraph's layers in `folder`, and its true weights.
struct Quantised {
  TempFolder folder;
  std::filesystem::path path = folder / "q.safetensors";
  std::map<std::string, std::vector<float>> weights;
  SafeTensors file;

  Quantised() {
    file.metadata["input"] = "RGB, (x-128)/128";
    add("a", {4, 3, 3, 3}, 0.02f, 121, 1);
    add("b", {4, 1, 3, 3}, 0.05f, 130, 1);
    add("c", {5, 4, 1, 1}, 0.01f, 7, 5);  // a scale and zero point for each row
    write(kGraph);
  }
  void add(const std::string& name, const Shape& shape, float scale, float zero, std::int64_t parts) {
    Rng rng(3, static_cast<std::uint32_t>(name[0]), 0);
    Array w(DType::u8, shape), scales(DType::f32, {parts}), zeros(DType::f32, {parts}), bias(DType::f32, {shape[0]});
    for (std::int64_t p = 0; p < parts; ++p) {
      scales.as<float>()[static_cast<std::size_t>(p)] = scale * static_cast<float>(1 + p);
      zeros.as<float>()[static_cast<std::size_t>(p)] = zero + static_cast<float>(p);
    }
    const std::int64_t each = shape.numel() / shape[0];
    std::vector<float>& truth = weights[name + ".weight"];
    for (std::int64_t i = 0; i < shape.numel(); ++i) {
      w.as<std::uint8_t>()[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(rng.below(256));
      const float p = parts == 1 ? 0 : static_cast<float>(i / each);
      truth.push_back(scale * (1 + p) *
                      (static_cast<float>(w.as<std::uint8_t>()[static_cast<std::size_t>(i)]) - (zero + p)));
    }
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      bias.as<float>()[static_cast<std::size_t>(i)] = rng.uniform(-0.5f, 0.5f);
      weights[name + ".bias"].push_back(bias.as<float>()[static_cast<std::size_t>(i)]);
    }
    file.add(name + ".weight", w);
    file.add(name + ".weight_scale", scales);
    file.add(name + ".weight_zero_point", zeros);
    file.add(name + ".bias", bias);
  }
  void write(const std::string& graph) const {
    write_safetensors(path, file);
    write_file_atomic(folder / "q.graph.json", std::string_view(graph));
  }
};

}  // namespace

TEST_CASE("a quantised graph computes what its definition says, for sides that pad evenly and unevenly") {
  Quantised q;
  Context ctx;
  const Model m = load_model(ctx, q.path);
  CHECK(m.info.architecture.classes == 5);
  CHECK(m.info.height == 8);
  CHECK(m.info.normalization.mean == std::vector<float>(3, 128.0f / 255));
  for (const std::int64_t side : {8, 7, 1}) {
    CAPTURE(side);
    Array pixels(DType::u8, {2, side, side, 3});
    Rng rng(5, static_cast<std::uint32_t>(side), 0);
    for (std::uint8_t& p : pixels.as<std::uint8_t>()) p = static_cast<std::uint8_t>(rng.below(256));
    const Outputs out = run_network(ctx, *m.network, pixels, all_indices(2), m.info.normalization);
    for (std::int64_t n = 0; n < 2; ++n) {
      Map x{side, side, 3, {}};
      for (std::int64_t i = 0; i < side * side * 3; ++i)
        x.v.push_back((pixels.as<std::uint8_t>()[static_cast<std::size_t>(n * side * side * 3 + i)] - 128.0) / 128.0);
      const Map a = same_conv(x, q.weights["a.weight"], q.weights["a.bias"], 4, 3, 2, false, true);
      const Map b = same_conv(a, q.weights["b.weight"], q.weights["b.bias"], 4, 3, 1, true, false);
      for (std::int64_t k = 0; k < 5; ++k) {
        double logit = q.weights["c.bias"][static_cast<std::size_t>(k)];
        for (std::int64_t c = 0; c < 4; ++c) {
          double mean = 0;
          for (std::int64_t i = 0; i < a.H * a.W; ++i)
            mean += a.v[static_cast<std::size_t>(i * 4 + c)] + b.v[static_cast<std::size_t>(i * 4 + c)];
          mean /= static_cast<double>(a.H * a.W);
          if (k == 0) CHECK(std::abs(out.features.as<float>()[static_cast<std::size_t>(n * 4 + c)] - mean) <= 1e-4);
          logit += mean * q.weights["c.weight"][static_cast<std::size_t>(k * 4 + c)];
        }
        // Sums of at most 36 products below 6 * 7, three layers deep: some hundred roundings of 2^-24.
        CHECK(std::abs(out.logits.as<float>()[static_cast<std::size_t>(n * 5 + k)] - logit) <=
              1e-5 * (1 + std::abs(logit)) * 10);
      }
    }
  }
  // Saved as akin's own file, it needs no graph beside it, and is the same network.
  save_model(q.folder / "own.safetensors", *m.network, m.info);
  const Model again = load_model(ctx, q.folder / "own.safetensors");
  CHECK(again.info.architecture == m.info.architecture);
  const Tensor x = Tensor::from(ctx, std::vector<float>(8 * 8 * 3, 0.3f), {1, 8, 8, 3});
  CHECK(m.network->logits(ctx, x, false).to_array().as<float>()[0] ==
        again.network->logits(ctx, x, false).to_array().as<float>()[0]);
  const std::string rectangle = error_of([&] { m.network->features(ctx, Tensor::zeros(ctx, {1, 8, 7, 3}), false); });
  CHECK_MESSAGE(has(rectangle, "square"), rectangle);
}

TEST_CASE("damaged graphs and quantised tensors are refused with what is wrong") {
  Quantised q;
  Context ctx;
  const auto error = [&](const std::string& graph) {
    q.write(graph);
    return error_of([&] { load_model(ctx, q.path); });
  };
  CHECK(has(error("{"), "no JSON"));
  CHECK(has(error(edited("[1, 8, 8, 3]", "[1, 8, 8]")), "input_shape_nhwc"));
  CHECK(has(error(edited("\"dwconv\"", "\"lstm\"")), "unknown kind 'lstm'"));
  CHECK(has(error(edited("\"relu6\"", "\"gelu\"")), "activation 'gelu'"));
  CHECK(has(error(edited("[\"x1\", \"x2\"]", "[\"x1\", \"x9\"]")), "reads x9, which no node before it makes"));
  CHECK(has(error(edited("\"kernel\": [3, 3]", "\"kernel\": [3, 5]")), "square ones"));
  CHECK(has(error(edited("\"in\": [\"input\"],", "")), "damaged or incomplete"));
  CHECK(has(error(edited("\"in\": [\"x4\"]", "\"in\": [\"x3\"]")), "must be the head"));
  CHECK(has(error(edited("\"w\": \"b\"", "\"w\": \"z\"")), "missing z.weight"));
  CHECK(has(error(edited("\"w\": \"c\"", "\"w\": \"z\"")), "no head z.weight"));
  q.file.metadata["input"] = "unsaid";
  CHECK(has(error(kGraph), "--mean and --std"));
  q.file.metadata["input"] = "raw 0..255";
  CHECK(error(kGraph) == "");
  const SafeTensors good = q.file;
  std::erase_if(q.file.tensors, [](const auto& t) { return t.first == "a.weight_zero_point"; });
  CHECK(has(error(kGraph), "a.weight_zero_point"));
  q.file = good;
  for (auto& [name, array] : q.file.tensors)
    if (name == "a.weight_scale") array.as<float>()[0] = -1;
  CHECK(has(error(kGraph), "expected above 0"));
}

TEST_CASE("what a graph asks for and would not get is refused, with file and node") {
  Quantised q;
  Context ctx;
  const auto error = [&](const std::string& graph) {
    q.write(graph);
    return error_of([&] { load_model(ctx, q.path); });
  };
  const auto with = [](const std::string& key) { return edited("\"w\": \"b\",", "\"w\": \"b\", " + key + ","); };
  CHECK(error(kGraph) == "");
  for (const char* harmless : {"\"dilation\": [1, 1]", "\"groups\": 1", "\"name\": \"block/b\""})
    CHECK_MESSAGE(error(with(harmless)) == "", harmless);
  const std::string dilated = error(with("\"dilation\": 2"));
  CHECK_MESSAGE(has(dilated, "q.graph.json: layer graph: node x2 has \"dilation\": 2, which akin does not know"),
                dilated);
  CHECK(has(error(with("\"groups\": 3")), "node x2 has \"groups\": 3"));
  CHECK(has(error(with("\"activation\": \"relu\"")), "node x2 has \"activation\""));
  CHECK(has(error(edited("\"act\": \"relu6\", ", "")), "node x1 (conv) has no \"act\""));
  CHECK(has(error(edited("\"out\": \"x3\", \"act\": \"none\"", "\"out\": \"x3\"")), "node x3 (add) has no \"act\""));
  CHECK(has(error(edited("\"out\": \"x4\"", "\"out\": \"x4\", \"act\": \"relu\"")),
            "node x4 (global_avg_pool) has the activation \"relu\""));
  CHECK(has(error(edited("\"out_shape_nhwc\": [1, 4, 4, 4]", "\"out_shape_nhwc\": [1, 8, 8, 4]")),
            "node x1 has the out_shape_nhwc [1,8,8,4], but by its inputs, kernel, stride and pad it is [1,4,4,4]"));
  CHECK(has(error(edited("\"out\": \"x4\"", "\"out\": \"x4\", \"out_shape_nhwc\": [1, 1, 1, 3]")), "it is [1,1,1,4]"));
  CHECK(error(edited("\"out\": \"x4\"", "\"out\": \"x4\", \"out_shape_nhwc\": [1, 4]")) == "");
  CHECK(has(error(edited("\"relu6\"", "\"gelu\"")), "q.graph.json: layer graph: activation 'gelu'"));
}

TEST_CASE("weights in another program's layout, of whole numbers, and statistics of 0..255 are called what they are") {
  TempFolder folder;
  Context ctx;
  const auto path = folder / "w.safetensors";
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 3, .classes = 5});
  initialize(net->parameters(), 2);
  SafeTensors file;
  export_weights(*net, file);
  ModelInfo info;
  info.architecture.name = "resnet8";
  const auto error = [&] {
    write_safetensors(path, file);
    return error_of([&] { load_model(ctx, path, &info); });
  };
  CHECK(error() == "");
  for (const auto& [mean, std, what] : std::vector<std::tuple<std::vector<float>, std::vector<float>, const char*>>{
           {{123.675f, 116.28f, 103.53f}, {0.2f}, "mean 123.675: expected 0 to 1"},
           {{-0.5f}, {0.2f}, "mean -0.5: expected 0 to 1"},
           {{0.5f}, {58.4f, 57.1f, 57.4f}, "std 58.4: expected 0.001 to 1"},
           {{0.5f}, {1e-30f}, "std 1e-30: expected 0.001 to 1"},
           {{0.5f}, {0.0f}, "std 0: expected"},
           {{std::nanf("")}, {0.5f}, "mean nan: expected"}}) {
    info.normalization = {mean, std};
    const std::string message = error();
    CHECK_MESSAGE(has(message, what), message);
    CHECK(has(message, "w.safetensors: "));
  }
  for (const Normalization& sound : {Normalization{{0}, {1.0f / 255}}, {{0}, {1}}, {{0.485f}, {0.229f}}}) {
    info.normalization = sound;
    CHECK(error() == "");
  }
  const SafeTensors good = file;
  for (auto& [name, array] : file.tensors)
    if (name == "conv1.weight") array = array.reshaped({3, 3, 3, 4});
  const std::string keras = error();
  CHECK_MESSAGE(has(keras, "w.safetensors: conv1.weight is [3, 3, 3, 4], which looks like [height, width, in, out]"),
                keras);
  for (auto& [name, array] : file.tensors)
    if (name == "conv1.weight") array = Array(DType::f32, {4, 5, 5, 3});
  CHECK(has(error(), "looks like [out, height, width, in]"));
  file = good;
  int whole = 0;
  for (auto& [name, array] : file.tensors)
    if (name.ends_with("conv1.weight")) array = Array(DType::i32, array.shape()), ++whole;
  const std::string quantised = error();
  CHECK_MESSAGE(has(quantised, fmt::format("conv1.weight and {} other tensors hold whole numbers", whole - 1)),
                quantised);
  CHECK(has(quantised, "<name>_scale and <name>_zero_point"));
}

TEST_CASE("timm's names, heads of another size and stems for other channels") {
  TempFolder folder;
  Context ctx;
  const auto path = folder / "timm.safetensors";
  for (const char* name : {"mobilenet_v2", "mobilenet_v3_small"}) {
    CAPTURE(name);
    const auto net = make_network(ctx, {.name = name, .width = 8, .classes = 6});
    initialize(net->parameters(), 11);
    SafeTensors own, timm;
    export_weights(*net, own);
    std::map<std::string, std::string> theirs;
    for (const auto& [t, o] : net->aliases()) theirs[o] = t;
    CHECK(theirs.size() == net->aliases().size());
    for (const auto& [tensor, array] : own.tensors) {
      const std::size_t dot = tensor.rfind('.');
      REQUIRE_MESSAGE(theirs.contains(tensor.substr(0, dot)), tensor);
      // timm's last hidden layer of V3 is a 1x1 convolution.
      const bool hidden = tensor == "classifier.0.weight";
      timm.add(theirs[tensor.substr(0, dot)] + tensor.substr(dot),
               hidden ? array.reshaped({array.shape()[0], array.shape()[1], 1, 1}) : array);
    }
    write_safetensors(path, timm);
    ModelInfo fallback;
    fallback.architecture.name = name;
    const ForeignModel got = load_foreign(ctx, path, &fallback, {});
    CHECK(got.model.info.architecture == net->architecture());
    CHECK(got.report.renamed.size() == own.tensors.size());
    SafeTensors back;
    export_weights(*got.model.network, back);
    for (const auto& [tensor, array] : own.tensors)
      CHECK_MESSAGE(std::memcmp(array.bytes(), back.at(tensor).bytes(), array.byte_size()) == 0, tensor);
    // Eleven classes and grey images instead.
    ModelInfo other = fallback;
    other.architecture.classes = 11;
    other.architecture.channels = 1;
    const ForeignModel grey = load_foreign(ctx, path, &other, {.new_head = true, .seed = 4, .convert_stem = true});
    CHECK(grey.report.fresh.size() == 2);
    CHECK(grey.report.reshaped.size() == (has(name, "v3") ? 2 : 1));
    CHECK(grey.model.info.architecture.classes == 11);
    const Tensor one = Tensor::from(ctx, std::vector<float>(32 * 32, 0.7f), {1, 32, 32, 1});
    const Tensor three = Tensor::from(ctx, std::vector<float>(32 * 32 * 3, 0.7f), {1, 32, 32, 3});
    const Array a = grey.model.network->features(ctx, one, false).to_array(),
                b = net->features(ctx, three, false).to_array();
    for (std::size_t i = 0; i < b.as<float>().size(); ++i)  // the same sums in another order
      CHECK(std::abs(a.as<float>()[i] - b.as<float>()[i]) <= 1e-4 * (1 + std::abs(b.as<float>()[i])));
  }
  ModelInfo wrong;
  wrong.architecture.name = "resnet18";
  CHECK(has(error_of([&] { load_foreign(ctx, path, &wrong, {}); }), "missing conv1.weight, layer1.0.conv1.weight"));
}

TEST_CASE("GoogLeNet's auxiliary heads are set aside, and other strangers are not") {
  Context ctx;
  const auto net = make_network(ctx, {.name = "googlenet", .classes = 3});
  initialize(net->parameters(), 1);
  SafeTensors file;
  export_weights(*net, file);
  file.add("aux1.fc1.weight", Array(DType::f32, {4, 4}));
  CHECK(import_weights(*net, file).ignored == std::vector<std::string>{"aux1.fc1.weight"});
  file.add("aux3.fc1.weight", Array(DType::f32, {4, 4}));
  CHECK(has(error_of([&] { import_weights(*net, file); }), "unexpected aux3.fc1.weight"));
}
