// ONNX files against akin's own logits, through a reader and evaluator that share no code with the writer.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/protobuf.hpp"
#include "nn/evaluate.hpp"
#include "nn/export/onnx.hpp"
#include "tests/onnx_reader.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const Normalization kNorm{{0.4f, 0.5f, 0.3f}, {0.2f, 0.3f, 0.25f}};

Array random_images(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
  Array a(DType::u8, {n, h, w, c});
  Rng rng(8, 1, 2);
  for (std::uint8_t& p : a.as<std::uint8_t>()) p = static_cast<std::uint8_t>(rng.below(256));
  return a;
}

OnnxTensor nchw(const Array& images) {
  const std::int64_t N = images.shape()[0], H = images.shape()[1], W = images.shape()[2], C = images.shape()[3];
  OnnxTensor x{{N, C, H, W}, {}};
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t c = 0; c < C; ++c)
      for (std::int64_t h = 0; h < H; ++h)
        for (std::int64_t w = 0; w < W; ++w)
          x.v.push_back(images.as<std::uint8_t>()[static_cast<std::size_t>(((n * H + h) * W + w) * C + c)]);
  return x;
}

Normalization norm_of(std::int64_t channels) {
  Normalization n = kNorm;
  n.mean.resize(static_cast<std::size_t>(channels));
  n.std.resize(static_cast<std::size_t>(channels));
  return n;
}

double apart(const OnnxTensor& a, const OnnxTensor& b) {
  const std::vector<float> x(a.v.begin(), a.v.end()), y(b.v.begin(), b.v.end());
  return test::apart(x, y);
}

struct Case {
  Context ctx;
  std::unique_ptr<Network> net;
  Array images;
  Normalization norm;
  OnnxTensor wanted;  ///< akin's logits

  Case(std::unique_ptr<Network> network, std::int64_t n, std::int64_t h, std::int64_t w) : net(std::move(network)) {
    const std::int64_t channels = net->architecture().channels;
    images = random_images(n, h, w, channels);
    norm = norm_of(channels);
    const Array z = run_network(ctx, *net, images, all_indices(n), norm).logits;
    wanted = {z.shape().dims(), {z.as<float>().begin(), z.as<float>().end()}};
  }
  LayerGraph layers() { return capture_layers(ctx, *net, images.shape()[1], images.shape()[2]); }
  OnnxFile file(const LayerGraph& g) const { return OnnxFile(to_file(g)); }
  std::string to_file(const LayerGraph& g) const { return onnx::to_bytes(onnx::export_layers(g, norm)); }
  double error(const LayerGraph& g) const { return apart(file(g).run(nchw(images)), wanted); }

  double condition_of() { return condition(ctx, *net, noise(ctx, images.shape())); }
  /// akin works in float: a sum of K terms is wrong by eps/2 sqrt(K) of its size, which is like an error of its
  /// weights. Four times that.
  double tolerance(const LayerGraph& g) {
    std::int64_t K = 1;
    for (const Layer& l : g.layers)
      if (l.weights.contains("weight")) {
        const Array& w = g.weights.at(l.weights.at("weight"));
        K = std::max(K, w.numel() / w.shape()[0]);
      }
    return 2 * 1.2e-7 * std::sqrt(static_cast<double>(K)) * condition_of();
  }
  /// Exports as it is and folded, and compares both.
  void check() {
    LayerGraph g = layers();
    const double tol = tolerance(g);
    const OnnxTensor before = file(g).run(nchw(images));
    const double plain = apart(before, wanted);
    MESSAGE("difference ", plain, " of ", tol, " allowed");
    CHECK_FALSE(!(plain <= tol));
    const auto norms = [&] {
      return std::count_if(g.layers.begin(), g.layers.end(), [](const Layer& l) { return l.op == "batchnorm"; });
    };
    const std::ptrdiff_t n = norms();
    if (n == 0) return;
    fold_batchnorm(g);
    CHECK_EQ(norms(), 0);
    const OnnxTensor after = file(g).run(nchw(images));
    const double folded = apart(after, before), fold_tol = fold_tolerance();
    MESSAGE("folded ", folded, " of ", fold_tol, " allowed");
    CHECK_FALSE(!(folded <= fold_tol));
    CHECK_FALSE(!(apart(after, wanted) <= tol));
  }
  /// Both in double, from weights that were rounded to float once more: relative errors of at most 2^-24. Eight times
  /// that. (The logits are compared as floats, which adds another 2^-24.)
  double fold_tolerance() { return 8 * std::pow(2, -24) * condition_of(); }
};

Context& shared() {
  static Context ctx;
  return ctx;
}

}  // namespace

TEST_CASE("onnx: ResNets of every kind give akin's logits, folded too") {
  SUBCASE("option A") {
    Case(random_net(shared(), {.name = "resnet8", .width = 4, .channels = 3, .classes = 7}), 3, 13, 11).check();
  }
  SUBCASE("1x1 shortcuts, grey") {
    Case(random_net(shared(), {.name = "resnet8", .width = 4, .shortcut = "conv", .channels = 1, .classes = 2}), 2, 9,
         9)
        .check();
  }
  SUBCASE("two heads") {
    for (const double share : {0.8, 0.3, 1.0})
      Case(random_net(shared(), {.name = "resnet8", .width = 4, .channels = 3, .classes = 7, .taught_share = share}), 3,
           13, 11)
          .check();
  }
  SUBCASE("max pool and four stages") {
    Case(random_net(shared(), {.name = "resnet18", .width = 4, .channels = 3, .classes = 5}), 2, 33, 40).check();
  }
  SUBCASE("bottlenecks") {
    Case(random_net(shared(), {.name = "resnet50", .width = 2, .channels = 3, .classes = 5}), 1, 32, 32).check();
  }
}

TEST_CASE("onnx: every other architecture gives akin's logits, folded too") {
  const auto check = [](const Architecture& a, std::int64_t side) {
    Case(random_net(shared(), a), 1, side, side + 1).check();
  };
  SUBCASE("mobilenet_v1") { check({.name = "mobilenet_v1", .width = 8, .channels = 3, .classes = 5}, 32); }
  SUBCASE("mobilenet_v2") { check({.name = "mobilenet_v2", .width = 16, .channels = 3, .classes = 5}, 32); }
  SUBCASE("mobilenet_v3_small") {
    check({.name = "mobilenet_v3_small", .channels = 1, .classes = 5, .stem = "small"}, 16);
  }
  SUBCASE("mobilenet_v3_large") { check({.name = "mobilenet_v3_large", .channels = 3, .classes = 5}, 32); }
  SUBCASE("googlenet") { check({.name = "googlenet", .channels = 3, .classes = 5}, 32); }
  SUBCASE("alexnet") { check({.name = "alexnet", .channels = 3, .classes = 5}, 63); }
  SUBCASE("squeezenet1_0") { check({.name = "squeezenet1_0", .channels = 3, .classes = 5}, 40); }
  SUBCASE("squeezenet1_1") { check({.name = "squeezenet1_1", .channels = 3, .classes = 5}, 40); }
}

TEST_CASE("onnx: the file says what it is") {
  Case c(random_net(shared(), {.name = "resnet8", .width = 4, .channels = 3, .classes = 7}), 2, 12, 10);
  onnx::Graph g = onnx::export_layers(c.layers(), c.norm);
  g.name = "toy";
  g.producer_version = "1";
  g.metadata = {{"task", "\"quoted\" \xce\xb4"}, {"classes", ""}};
  const OnnxFile f(onnx::to_bytes(g));
  CHECK_EQ(f.ir, 8);
  CHECK_EQ(f.opset, 13);
  CHECK_EQ(f.producer, "akin");
  CHECK_EQ(f.input, "image");
  CHECK_EQ(f.output, "logits");
  CHECK(f.input_dims == std::vector<std::int64_t>{-1, 3, 12, 10});
  CHECK(f.output_dims == std::vector<std::int64_t>{-1, 7});
  CHECK(f.metadata == g.metadata);
  // Every parameter under its own name, as PyTorch has it.
  for (const Parameter& p : c.net->parameters()) {
    if (p.kind == ParameterKind::counter) continue;
    CAPTURE(p.name);
    REQUIRE(f.initializers.contains(p.name));
    const OnnxTensor& t = f.initializers.at(p.name);
    CHECK_EQ(t.numel(), p.tensor.numel());
    if (p.kind != ParameterKind::conv_weight) continue;
    const std::int64_t K = p.tensor.dim(0), R = p.tensor.dim(1), S = p.tensor.dim(2), C = p.tensor.dim(3);
    CHECK(t.dims == std::vector<std::int64_t>{K, C, R, S});
    const std::int64_t k = K - 1, r = R - 1, s = 0, in = C / 2;
    CHECK_EQ(t.v[static_cast<std::size_t>(((k * C + in) * R + r) * S + s)],
             static_cast<double>(p.tensor.data<float>()[((k * R + r) * S + s) * C + in]));
  }
  // Any batch: the same weights, another number of images.
  for (const std::int64_t n : {1, 5}) {
    const Array images = random_images(n, 12, 10, 3);
    CHECK_EQ(f.run(nchw(images)).dims[0], n);
  }
}

TEST_CASE("onnx: wrong exports are told from right ones") {
  Case c(random_net(shared(), {.name = "resnet8", .width = 4, .channels = 3, .classes = 7}), 3, 13, 11);
  const LayerGraph good = c.layers();
  const double tol = c.tolerance(good);
  const auto rejected = [&](const LayerGraph& wrong) { return !(c.error(wrong) <= tol); };
  CHECK_FALSE(rejected(good));
  LayerGraph no_eps = good;  // batch norm folded with eps forgotten
  for (Layer& l : no_eps.layers)
    if (l.op == "batchnorm") l.attributes["eps"] = 0;
  fold_batchnorm(no_eps);
  const OnnxTensor before = c.file(good).run(nchw(c.images)), after = c.file(no_eps).run(nchw(c.images));
  CHECK(apart(after, before) > 2 * c.fold_tolerance());
  LayerGraph wrong = good;
  wrong.layers[0].attributes["pad_end"] = 2;
  wrong.layers[0].attributes["pad"] = 0;
  CHECK(rejected(wrong));
  wrong = good;  // a kernel turned by its diagonal
  Array& w = wrong.weights.at("layer2.0.conv1.weight");
  const Array keep = w;
  for (std::size_t k = 0; k < 8; ++k)
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j)
        for (std::size_t ch = 0; ch < 4; ++ch)
          w.as<float>()[((k * 3 + i) * 3 + j) * 4 + ch] = keep.as<float>()[((k * 3 + j) * 3 + i) * 4 + ch];
  CHECK(rejected(wrong));
  const Normalization right = c.norm;
  c.norm.std[1] *= 1.0001f;
  CHECK(rejected(good));
  c.norm = right;
  std::swap(c.norm.mean[0], c.norm.mean[2]);
  CHECK(rejected(good));
  c.norm = right;
  // A file that is cut off is no file.
  const std::string bytes = c.to_file(good);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, bytes.size() / 3, bytes.size() - 3, bytes.size() - 1})
    CHECK_THROWS(OnnxFile(std::string_view(bytes).substr(0, size)));
}

TEST_CASE("onnx: what no built-in network does yet") {
  Context& ctx = shared();
  const auto check = [&](std::int64_t features, const FreeNet::Body& body, std::int64_t h = 9, std::int64_t w = 7) {
    auto net = std::make_unique<FreeNet>(ctx, 3, features, 4, body);
    net->features(ctx, Tensor::zeros(ctx, {1, h, w, 3}), false);  // makes its parameters
    randomise(net->parameters(), 4);
    Case(std::move(net), 2, h, w).check();
  };
  SUBCASE("a flattened image goes into the head in PyTorch's order") {
    check(4 * 3 * 5, [](Context& c, const FreeNet& net, const Tensor& x) {
      const Tensor y = ops::conv2d(c, x, net.weight("conv.weight", {5, 3, 3, 3}), 2, 0);
      return ops::scale(c, ops::relu(c, ops::reshape(c, y, {x.dim(0), 4 * 3 * 5})), 0.7);
    });
    auto net = std::make_unique<FreeNet>(ctx, 3, 4 * 5 * 3, 4, [](Context& c, const FreeNet&, const Tensor& x) {
      return ops::reshape(c, x, {x.dim(0), 4 * 5 * 3});
    });
    randomise(net->parameters(), 4);
    Case c(std::move(net), 2, 4, 5);
    LayerGraph g = c.layers();
    CHECK_FALSE(!(c.error(g) <= c.tolerance(g)));
    const OnnxFile f = c.file(g);
    const Array& w = g.weights.at("fc.weight");
    CHECK_EQ(f.initializers.at("fc.weight").v[60 + 1 * 20 + 3 * 5 + 4],  // row 1, channel 1, pixel (3, 4)
             static_cast<double>(w.as<float>()[60 + (3 * 5 + 4) * 3 + 1]));
    // Another order of the columns is another network.
    const Array memory = w;
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t ch = 0; ch < 3; ++ch)
        for (std::size_t pixel = 0; pixel < 20; ++pixel)
          g.weights.at("fc.weight").as<float>()[k * 60 + ch * 20 + pixel] = memory.as<float>()[k * 60 + pixel * 3 + ch];
    CHECK(!(c.error(g) <= c.tolerance(g)));
  }
  SUBCASE("average pools with padding, products, sums") {
    check(3, [](Context& c, const FreeNet&, const Tensor& x) {
      const Tensor y = ops::avg_pool(c, x, 3, 2, 1), z = ops::max_pool(c, x, 3, 2, 1);
      return ops::global_avg_pool(c, ops::add(c, ops::mul(c, y, z), ops::scale(c, z, -1.5)));
    });
  }
  SUBCASE("a matrix as images of one pixel, and back") {
    check(6, [](Context& c, const FreeNet& net, const Tensor& x) {
      const Tensor f = ops::global_avg_pool(c, x);
      const Tensor y =
          ops::conv2d(c, ops::reshape(c, f, {x.dim(0), 1, 1, 3}), net.weight("fc1.weight", {6, 1, 1, 3}), 1, 0);
      return ops::relu(c, ops::reshape(c, y, {x.dim(0), 6}));
    });
  }
  SUBCASE("activations, biases with and without a convolution before them") {
    check(5, [](Context& c, const FreeNet& net, const Tensor& x) {
      const auto bias = [&](const char* name, std::int64_t n) { return net.weight(name, {n}, ParameterKind::bias); };
      Tensor y = ops::conv2d(c, x, net.weight("a.weight", {5, 3, 3, 3}), 1, 1, 0);
      y = ops::channel_bias(c, y, bias("a.bias", 5), Activation::hardswish);
      const Tensor gate = ops::activation(c, ops::scale(c, y, 3), Activation::hardsigmoid);
      y = ops::channel_bias(c, ops::mul(c, y, gate), bias("b.bias", 5), Activation::relu6);
      return ops::channel_bias(c, ops::global_avg_pool(c, y), bias("c.bias", 5), Activation::relu);
    });
  }
  SUBCASE("weights whose names look like those of other layers") {
    check(4, [](Context& c, const FreeNet& net, const Tensor& x) {
      Tensor y = x;
      for (const char* name : {"conv2d", "conv2d_1", "conv2d_2", "relu_1", "logits", "image"}) {
        const std::string n = name;
        y = ops::conv2d(c, y, net.weight(n + ".weight", {4, 3, 3, y.dim(3)}), 1, 1);
        y = ops::channel_bias(c, y, net.weight(n + ".bias", {4}, ParameterKind::bias), Activation::relu);
      }
      return ops::global_avg_pool(c, y);
    });
  }
  SUBCASE("depthwise convolutions, a squeeze-excite gate, concatenation") {
    check(9, [](Context& c, const FreeNet& net, const Tensor& x) {
      const Tensor y = ops::depthwise_conv2d(c, x, net.weight("dw.weight", {3, 3, 3, 1}), 2, 0, 1);
      const Tensor s =
          ops::linear(c, ops::global_avg_pool(c, y), net.weight("fc1.weight", {3, 3}, ParameterKind::linear_weight),
                      net.weight("fc1.bias", {3}, ParameterKind::bias));
      const Tensor z = ops::channel_scale(c, y, ops::activation(c, s, Activation::hardsigmoid));
      const Tensor maps = ops::concat_channels(c, {y, z});
      return ops::concat_channels(c, {ops::global_avg_pool(c, maps), s});
    });
  }
  SUBCASE("pools whose last window hangs over the end, and means over uneven windows") {
    for (const std::int64_t h : {7, 8, 9, 10})
      check(
          2 * 5 * 3,
          [](Context& c, const FreeNet&, const Tensor& x) {
            const Tensor y = ops::max_pool(c, x, 3, 2, 0, true);
            const Tensor z = ops::max_pool(c, ops::scale(c, y, -1), 2, 2, 1, true);
            return ops::reshape(c, ops::adaptive_avg_pool(c, z, 2, 5), {x.dim(0), 30});
          },
          h, h + 3);
  }
  SUBCASE("a linear layer on every pixel, and a flattened weight") {
    check(4, [](Context& c, const FreeNet& net, const Tensor& x) {
      const std::int64_t N = x.dim(0), H = x.dim(1), W = x.dim(2);
      const Tensor bias = net.weight("classifier.1.bias", {6}, ParameterKind::bias);
      const Tensor p = ops::linear(c, ops::reshape(c, x, {N * H * W, 3}),
                                   net.weight("classifier.1.weight", {6, 3}, ParameterKind::linear_weight), bias);
      const Tensor maps = ops::adaptive_avg_pool(c, ops::reshape(c, p, {N, H, W, 6}), 2, 3);
      const Tensor w = ops::reshape(c, net.weight("flat.weight", {4, 2, 3, 6}), {4, 36});
      return ops::linear(c, ops::reshape(c, maps, {N, 36}), w, net.weight("flat.bias", {4}, ParameterKind::bias));
    });
  }
  SUBCASE("what has no counterpart is named") {
    const auto error = [&](std::int64_t features, const FreeNet::Body& body) {
      FreeNet net(ctx, 3, features, 4, body);
      return error_of([&] { onnx::export_layers(capture_layers(ctx, net, 4, 4), kNorm); });
    };
    std::string e = error(48, [](Context& c, const FreeNet&, const Tensor& x) {
      return ops::reshape(c, ops::reshape(c, x, {x.dim(0), 2, 8, 3}), {x.dim(0), 48});
    });
    CHECK_MESSAGE(has(e, "reshape"), e);
    e = error(3, [](Context& c, const FreeNet&, const Tensor& x) {
      return ops::global_avg_pool(c, ops::reshape(c, ops::reshape(c, x, {x.dim(0), 48}), {x.dim(0), 4, 4, 3}));
    });
    CHECK_MESSAGE(has(e, "reshape"), e);
    FreeNet net(ctx, 3, 3, 4, [](Context& c, const FreeNet&, const Tensor& x) { return ops::global_avg_pool(c, x); });
    e = error_of([&] { onnx::export_layers(capture_layers(ctx, net, 4, 4), norm_of(1)); });
    CHECK_MESSAGE(has(e, "3 channels, the normalisation 1"), e);
  }
}

TEST_CASE("protobuf: the wire format's own examples") {
  ProtoMessage m, inner;
  m.integer(1, 150);
  CHECK_EQ(m.str(), "\x08\x96\x01");
  inner.integer(1, 150);
  m.message(3, inner);
  m.bytes(2, "testing");
  CHECK_EQ(m.str(), "\x08\x96\x01\x1a\x03\x08\x96\x01\x12\x07testing");
  ProtoMessage odd;
  for (const std::int64_t v : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN, INT64_MAX, std::int64_t{1} << 35})
    odd.integer(16, v);
  odd.number(7, -0.0f);
  odd.bytes(9, std::string(300, '\0'));
  const Wire w(odd.str());
  CHECK(w.numbers.at(16) ==
        std::vector<std::uint64_t>{0, ~std::uint64_t{0}, std::uint64_t{1} << 63, INT64_MAX, std::uint64_t{1} << 35});
  CHECK_EQ(w.number(7), 0x80000000);
  CHECK_EQ(w.text(9), std::string(300, '\0'));
}
