// Networks: names and shapes, options, random start. Values against PyTorch are in test_golden.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "nn/network.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Names in torchvision's order with shapes as in its files (OIHW), spelled out from the papers' tables.
std::vector<std::pair<std::string, Shape>> expected(bool imagenet, bool bottleneck, const std::vector<int>& blocks,
                                                    bool option_a, std::int64_t w, std::int64_t channels,
                                                    std::int64_t classes) {
  std::vector<std::pair<std::string, Shape>> out;
  const auto norm = [&](const std::string& name, std::int64_t c) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      out.push_back({name + part, Shape{c}});
    out.push_back({name + ".num_batches_tracked", Shape{}});
  };
  const auto conv = [&](const std::string& name, std::int64_t k, std::int64_t c, std::int64_t r) {
    out.push_back({name + ".weight", Shape{k, c, r, r}});
  };
  conv("conv1", w, channels, imagenet ? 7 : 3);
  norm("bn1", w);
  std::int64_t in = w;
  for (std::size_t s = 0; s < blocks.size(); ++s) {
    const std::int64_t planes = w * (std::int64_t{1} << s), k = planes * (bottleneck ? 4 : 1);
    for (int i = 0; i < blocks[s]; ++i) {
      const std::string p = "layer" + std::to_string(s + 1) + "." + std::to_string(i) + ".";
      conv(p + "conv1", planes, in, bottleneck ? 1 : 3);
      norm(p + "bn1", planes);
      conv(p + "conv2", planes, planes, 3);
      norm(p + "bn2", planes);
      if (bottleneck) {
        conv(p + "conv3", k, planes, 1);
        norm(p + "bn3", k);
      }
      if (i == 0 && (s > 0 || k != in) && !option_a) {
        conv(p + "downsample.0", k, in, 1);
        norm(p + "downsample.1", k);
      }
      in = k;
    }
  }
  out.push_back({"fc.weight", Shape{classes, in}});
  out.push_back({"fc.bias", Shape{classes}});
  return out;
}

Shape in_file(const Parameter& p) {
  const Shape& s = p.tensor.shape();
  return p.kind == ParameterKind::conv_weight ? Shape{s[0], s[3], s[1], s[2]} : s;
}

}  // namespace

TEST_CASE("networks have torchvision's names, shapes and counts") {
  struct Case {
    Architecture a;
    bool imagenet, bottleneck, option_a;
    std::vector<int> blocks;
    std::int64_t trainable;  // published; 0 = none is
    std::size_t entries;     // of the state_dict
  };
  const std::vector<Case> cases = {
      {{"resnet8", 4, "A", 1, 3}, false, false, true, {1, 1, 1}, 0, 0},
      {{"resnet8", 7, "conv", 3, 10}, false, false, false, {1, 1, 1}, 0, 0},
      {{"resnet20", 0, "", 3, 10}, false, false, true, {3, 3, 3}, 269722, 0},
      {{"resnet56", 0, "", 3, 10}, false, false, true, {9, 9, 9}, 853018, 0},
      {{"resnet18", 0, "", 3, 1000}, true, false, false, {2, 2, 2, 2}, 11689512, 122},
      {{"resnet34", 0, "conv", 3, 1000}, true, false, false, {3, 4, 6, 3}, 21797672, 218},
      {{"resnet50", 0, "", 3, 1000}, true, true, false, {3, 4, 6, 3}, 25557032, 320},
  };
  for (const Case& c : cases) {
    CAPTURE(c.a.name);
    Context ctx;
    const auto net = make_network(ctx, c.a);
    const Architecture& full = net->architecture();
    CHECK_EQ(full.width, c.a.width > 0 ? c.a.width : (c.imagenet ? 64 : 16));
    CHECK_EQ(full.shortcut, c.option_a ? "A" : "conv");
    const auto want = expected(c.imagenet, c.bottleneck, c.blocks, c.option_a, full.width, c.a.channels, c.a.classes);
    const ParameterList list = net->parameters();
    REQUIRE_EQ(list.size(), want.size());
    for (std::size_t i = 0; i < want.size(); ++i) {
      CHECK_EQ(list[i].name, want[i].first);
      CHECK_MESSAGE(in_file(list[i]) == want[i].second, list[i].name, " is ", in_file(list[i]).str());
      CHECK_EQ(list[i].trainable(), list[i].tensor.requires_grad());
    }
    if (c.trainable > 0) CHECK_EQ(count_trainable(list), c.trainable);
    if (c.entries > 0) CHECK_EQ(list.size(), c.entries);
  }
}

TEST_CASE("every known architecture runs, wrong ones are refused") {
  Context ctx;
  for (const std::string& name : known_architectures()) {
    CAPTURE(name);
    const bool resnet = name.starts_with("resnet"), mobile = name.starts_with("mobilenet");
    const auto net = make_network(ctx, {.name = name,
                                        .width = resnet   ? 1
                                                 : mobile ? 8
                                                          : 0,
                                        .shortcut = resnet ? "conv" : "",
                                        .channels = 2,
                                        .classes = 5});
    initialize(net->parameters(), 3);
    const std::int64_t side = net->smallest_side();
    const Tensor x = Tensor::zeros(ctx, {2, std::max<std::int64_t>(side, 9), std::max<std::int64_t>(side, 7), 2});
    const Tensor y = net->logits(ctx, x, false);
    CHECK(y.shape() == Shape{2, 5});
    CHECK(std::isfinite(y.to_array().as<float>()[0]));
    const Tensor features = net->features(ctx, x, false);
    CHECK(net->pooled(ctx, features).shape() == Shape{2, net->feature_size()});
    if (side > 1)
      CHECK(has(error_of([&] {
                  net->features(ctx, Tensor::zeros(ctx, {1, side, side - 1, 2}), false);
                }),
                fmt::format("{} pixels a side are the least", side)));
    // The first and last layers of a file are found by the names that end_layers gives.
    const EndLayers ends = end_layers(net->architecture());
    const ParameterList list = net->parameters();
    CHECK(list.front().name == ends.stem[0]);
    CHECK(std::any_of(list.begin(), list.end(), [&](const Parameter& p) { return p.name == ends.head[0]; }));
  }
  const auto error = [&](const Architecture& a) { return error_of([&] { make_network(ctx, a); }); };
  CHECK_THROWS_AS(make_network(ctx, {.name = "resnet9"}), UsageError);
  CHECK(has(error({.name = "resnet9"}), "did you mean 'resnet8'?"));
  CHECK(has(error({.name = "transformer"}), "known are resnet8, resnet14, resnet20"));
  CHECK_THROWS_AS(make_network(ctx, {.name = "resnet8", .shortcut = "B"}), UsageError);
  CHECK(has(error({.name = "resnet18", .shortcut = "A"}), "CIFAR"));
  CHECK(has(error({.name = "alexnet", .width = 8}), "alexnet: its width cannot be chosen"));
  CHECK(has(error({.name = "mobilenet_v2", .shortcut = "A"}), "mobilenet_v2: has no choice of shortcuts"));
  CHECK(has(error({.name = "googlenet", .stem = "small"}), "googlenet: has no stem for small images"));
  CHECK(has(error({.name = "resnet18", .stem = "large"}), "stem 'large'"));
  CHECK(has(error({.name = "mobilenet_v3_tiny"}), "mobilenet_v3_small"));
  CHECK(has(error({.name = "resnet8", .width = 5000}), "width 5000"));
  CHECK(has(error({.name = "resnet8", .width = 5}), "width 5 must be even"));
  CHECK(has(error({.name = "resnet8", .width = -1}), "width -1"));
  CHECK(has(error({.name = "resnet8", .channels = 0}), "0 channels"));
  CHECK(has(error({.name = "resnet8", .classes = 0}), "0 classes"));
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 3});
  const std::string wrong = error_of([&] { net->features(ctx, Tensor::zeros(ctx, {1, 8, 8, 1}), false); });
  CHECK(has(wrong, "3 channels"));
  CHECK(has(wrong, "[1, 8, 8, 1]"));
}

TEST_CASE("random start: He's deviation, uniform heads, ones and zeros") {
  Context ctx;
  const auto net = make_network(ctx, {.name = "resnet20", .width = 16, .shortcut = "conv", .classes = 100});
  const ParameterList list = net->parameters();
  initialize(list, 5);
  for (const Parameter& p : list) {
    CAPTURE(p.name);
    if (p.kind == ParameterKind::counter) {
      CHECK_EQ(p.tensor.data<std::int64_t>()[0], 0);
      continue;
    }
    const auto n = static_cast<double>(p.tensor.numel());
    const float* x = p.tensor.data<float>();
    double sum = 0, square = 0, low = x[0], high = x[0];
    for (std::int64_t i = 0; i < p.tensor.numel(); ++i) {
      const double v = x[i];
      sum += v;
      square += v * v;
      low = std::min(low, v);
      high = std::max(high, v);
    }
    const double mean = sum / n, std = std::sqrt(square / n - mean * mean);
    if (p.kind == ParameterKind::conv_weight) {
      const auto fan_out = static_cast<double>(p.tensor.dim(0) * p.tensor.dim(1) * p.tensor.dim(2));
      const double want = std::sqrt(2 / fan_out);
      // Standard errors for n normal draws: want/sqrt(n) of the mean, want/sqrt(2n) of the deviation.
      CHECK(std::abs(mean) <= 5 * want / std::sqrt(n));
      CHECK(std::abs(std - want) <= 5 * want / std::sqrt(2 * n));
      // Fan-in, the planted mistake, differs wherever the channels do.
      const auto fan_in = static_cast<double>(p.tensor.dim(3) * p.tensor.dim(1) * p.tensor.dim(2));
      if (fan_in != fan_out) CHECK_FALSE(std::abs(std - std::sqrt(2 / fan_in)) <= 5 * want / std::sqrt(2 * n));
    } else if (p.kind == ParameterKind::linear_weight || p.kind == ParameterKind::bias) {
      const double bound = 1 / std::sqrt(64.0);
      CHECK(low >= -bound);
      CHECK(high <= bound);
      CHECK(high - low > bound);  // for n = 100 draws, missed with probability below 101 / 2^100
      // A uniform draw has deviation bound/sqrt(3), its mean a standard error of that over sqrt(n).
      CHECK(std::abs(mean) <= 5 * bound / std::sqrt(3 * n));
    } else {
      const bool ones =
          p.name.ends_with("running_var") || (p.kind == ParameterKind::norm && p.name.ends_with("weight"));
      CHECK_EQ(low, ones ? 1 : 0);
      CHECK_EQ(high, ones ? 1 : 0);
    }
  }
}

TEST_CASE("random start depends on the seed alone") {
  Context ctx, other;
  const auto a = make_network(ctx, toy_net()), b = make_network(other, toy_net());
  initialize(a->parameters(), 1);
  initialize(b->parameters(), 1);
  CHECK_EQ(differing(*a, *b), "");
  initialize(b->parameters(), 2);
  const std::string changed = differing(*a, *b);
  for (const char* name : {"conv1.weight", "layer1.0.conv1.weight", "layer3.0.conv2.weight", "fc.weight", "fc.bias"})
    CHECK(has(changed, name));
  CHECK_FALSE(has(changed, "bn1"));
  // Parameters do not repeat each other's numbers.
  const ParameterList list = a->parameters();
  std::map<float, std::string> firsts;
  for (const Parameter& p : list)
    if (p.kind == ParameterKind::conv_weight || p.kind == ParameterKind::linear_weight) {
      const float v =
          p.tensor.data<float>()[0] /
          (p.kind == ParameterKind::conv_weight ? std::sqrt(2.0f / static_cast<float>(9 * p.tensor.dim(0))) : 1.0f);
      CHECK_MESSAGE(firsts.emplace(v, p.name).second, p.name, " starts as ", firsts[v]);
    }
}

TEST_CASE("batches are counted in training only, and heads see the features") {
  Context ctx;
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
  initialize(net->parameters(), 1);
  const Tensor x = Tensor::zeros(ctx, {2, 8, 8, 1});
  const auto count = [&] {
    for (const Parameter& p : net->parameters())
      if (p.name == "layer2.0.bn1.num_batches_tracked") return p.tensor.data<std::int64_t>()[0];
    return std::int64_t{-1};
  };
  CHECK_EQ(count(), 0);
  net->features(ctx, x, true);
  net->features(ctx, x, true);
  net->features(ctx, x, false);
  CHECK_EQ(count(), 2);
  CHECK_EQ(net->feature_size(), 16);
  CHECK(same_bits(net->logits(ctx, x, false).to_array(), net->head(ctx, net->features(ctx, x, false)).to_array()));
}
