// Two heads as one: values against double loops on every device, and what a network of two heads is on disk and folded.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/ops.hpp"
#include "kernels/common/rng.hpp"
#include "nn/evaluate.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/model_file.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Case {
  std::int64_t B, C;
  double share;
};
constexpr Case kCases[] = {{1, 1, 0.3},    {7, 2, 0.8},    {33, 10, 0.5}, {5, 31, 0.01}, {9, 257, 0.99}, {3, 1000, 0.2},
                           {2, 1025, 0.7}, {4, 1337, 0.4}, {6, 12, 0},    {6, 12, 1},    {40, 4, 1e-6}};

std::vector<double> numbers(std::int64_t n, std::uint64_t seed, float range) {
  Rng rng(seed, 3, 3);
  std::vector<double> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(static_cast<double>(rng.uniform(-range, range)));
  return out;
}

/// The mixture of probabilities, in long double.
std::vector<double> reference(const Case& k, const std::vector<double>& x, const std::vector<double>& z) {
  std::vector<double> out;
  const auto C = static_cast<std::size_t>(k.C);
  for (std::size_t b = 0; b < static_cast<std::size_t>(k.B); ++b) {
    long double sx = 0, sz = 0;
    for (std::size_t c = 0; c < C; ++c) {
      sx += std::exp(static_cast<long double>(x[b * C + c]));
      sz += std::exp(static_cast<long double>(z[b * C + c]));
    }
    for (std::size_t c = 0; c < C; ++c)
      out.push_back(static_cast<double>(
          std::log((1 - static_cast<long double>(k.share)) * std::exp(static_cast<long double>(x[b * C + c])) / sx +
                   static_cast<long double>(k.share) * std::exp(static_cast<long double>(z[b * C + c])) / sz)));
  }
  return out;
}

double worst(const Array& found, const std::vector<double>& wanted) {
  const Array f = found.cast(DType::f64);
  double most = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double off = std::abs(f.as<double>()[i] - wanted[i]);
    most = std::isnan(off) ? off : std::max(most, off);
  }
  return most;
}

/// Of `mix` on a device, in parts of what the arithmetic of its type allows: some roundings of numbers up to the range,
/// and those of a sum of C terms.
double error(Context& ctx, const Case& k, DType dtype, std::uint64_t seed, bool wrong = false) {
  const float range = 8;
  const std::vector<double> x = numbers(k.B * k.C, seed, range), z = numbers(k.B * k.C, seed + 1, range);
  const auto give = [&](const std::vector<double>& v) {
    return Tensor::from(ctx, Array::from(v, {k.B, k.C}).cast(dtype));
  };
  const auto rounded = [&](const std::vector<double>& v) {
    const Array a = Array::from(v, {k.B, k.C}).cast(dtype).cast(DType::f64);
    return std::vector<double>(a.as<double>().begin(), a.as<double>().end());
  };
  const Tensor y = ops::mix_heads(ctx, give(x), give(z), wrong ? 1 - k.share : k.share);
  const double eps = dtype == DType::f32 ? 6e-8 : 1.2e-16;
  const double largest = 2 * static_cast<double>(range) + std::log(static_cast<double>(k.C)) + 14;  // log 1e-6
  return worst(y.to_array(), reference(k, rounded(x), rounded(z))) /
         (eps * (6 * largest + std::sqrt(static_cast<double>(k.C))));
}

}  // namespace

TEST_CASE("mix_heads: the mixture, on the CPU in both types and in the emulator") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  Context cpu;
  Context sim(Device::sim, {.poison = true});
  for (const Case& k : kCases) {
    CAPTURE(k.B);
    CAPTURE(k.C);
    CAPTURE(k.share);
    CHECK(error(cpu, k, DType::f32, seed) <= 1);
    CHECK(error(cpu, k, DType::f64, seed) <= 1);
    CHECK(error(sim, k, DType::f32, seed) <= 4);  // exp2f and logf of a device
    if (k.C > 1 && k.share != 0.5) CHECK_FALSE(error(cpu, k, DType::f32, seed, true) <= 4);  // shares exchanged
  }
  sim.allocator->flush();
  CHECK_EQ(sim.allocator->stats().fence_breaks, 0);
}

TEST_CASE("mix_heads: far apart, nothing underflows; NaN shows; what does not fit is named") {
  Context ctx;
  const auto row = [&](std::vector<float> v) { return Tensor::from(ctx, v, {1, 2}); };
  const Array far = ops::mix_heads(ctx, row({2000, -2000}), row({-1000, 1000}), 0.25).to_array();
  CHECK_EQ(far.as<float>()[0], doctest::Approx(std::log(0.75)));
  CHECK_EQ(far.as<float>()[1], doctest::Approx(std::log(0.25)));
  const Array one_sided = ops::mix_heads(ctx, row({2000, -2000}), row({1000, -1000}), 0.25).to_array();
  CHECK_EQ(one_sided.as<float>()[1], doctest::Approx(-2000 + std::log(0.25)));
  CHECK(std::isnan(ops::mix_heads(ctx, row({NAN, 0}), row({0, 0}), 0.5).to_array().as<float>()[1]));
  CHECK(has(error_of([&] { ops::mix_heads(ctx, row({0, 0}), row({0, 0}), 1.5); }), "a share of 1.5"));
  CHECK(has(error_of([&] { ops::mix_heads(ctx, row({0, 0}), Tensor::zeros(ctx, {1, 3}), 0.5); }), "[1, 3]"));
}

TEST_CASE("mix_heads: a network of two heads predicts their mixture, as a file and folded") {
  Context ctx;
  const auto net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3, .taught_share = 0.8});
  randomise(net->parameters(), 2);
  const Tensor x = noise(ctx, {5, 12, 12, 1});
  const Tensor f = net->features(ctx, x, false), expected = net->predict(ctx, f);
  const Tensor own = net->head(ctx, f), taught = net->taught_head()(ctx, f);
  const Array p = softmax_rows(expected.to_array()), a = softmax_rows(own.to_array()),
              b = softmax_rows(taught.to_array());
  for (std::size_t i = 0; i < 15; ++i)
    CHECK_EQ(p.as<float>()[i], doctest::Approx(0.2f * a.as<float>()[i] + 0.8f * b.as<float>()[i]).epsilon(1e-5));
  CHECK(same_bits(expected.to_array(), net->logits(ctx, x, false).to_array()));
  CHECK_EQ(net->parameters().back().name, "taught_head.bias");
  CHECK(net->in_head("taught_head.weight"));

  const TempFolder folder;
  ModelInfo info;
  info.architecture = net->architecture();
  save_model(folder / "m.safetensors", *net, info);
  const Model again = load_model(ctx, folder / "m.safetensors");
  CHECK_EQ(again.info.architecture.taught_share, 0.8);
  CHECK(same_bits(again.network->logits(ctx, x, false).to_array(), expected.to_array()));

  LayerGraph layers = capture_layers(ctx, *net, 12, 12);
  const double tolerance = 1.7e-5 * condition(ctx, *net, x);
  fold_batchnorm(layers);
  const auto folded = to_graph_network(ctx, layers);
  CHECK_EQ(folded->architecture().taught_share, 0.8);
  CHECK(apart(folded->logits(ctx, x, false), expected) <= tolerance);
}
