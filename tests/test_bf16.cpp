// bf16 on the CPU beyond single ops (tests/op_case.hpp has them): what loops of vectors make of special values, whole
// training runs beside f32 and beside the emulated device, and who is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "tests/augment_case.hpp"
#include "tests/sanitized.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("bf16: loops over arrays round as the single conversion does, NaN and infinities too") {
  std::vector<float> x;
  for (std::uint32_t high = 0; high < 0x10000; ++high)
    for (const std::uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      x.push_back(std::bit_cast<float>(high << 16 | low));
  x.pop_back();  // an odd number, for the tail
  Context ctx;
  const Tensor wide = Tensor::from(ctx, x, {static_cast<std::int64_t>(x.size())});
  const Tensor low = ops::convert(ctx, wide, DType::bf16), back = ops::convert(ctx, low, DType::f32);
  int wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bf16 expected = float_to_bf16(x[i]);
    wrong += low.data<bf16>()[i].bits != expected.bits;
    wrong += std::bit_cast<std::uint32_t>(back.data<float>()[i]) != static_cast<std::uint32_t>(expected.bits) << 16;
    wrong += std::isnan(x[i]) != std::isnan(back.data<float>()[i]);
  }
  CHECK_EQ(wrong, 0);
}

TEST_CASE("bf16: a NaN and an infinity come out where they come out in f32") {
  using Run = std::function<Tensor(Context&, const Tensor&)>;
  const auto weights = [](Context& ctx, Shape shape) {
    std::vector<float> w;
    Rng rng(5);
    for (std::int64_t i = 0; i < shape.numel(); ++i) w.push_back(rng.uniform(0.5f, 1));
    return Tensor::from(ctx, w, std::move(shape));
  };
  const std::pair<std::string, Run> ops[] = {
      {"relu", [](Context& c, const Tensor& x) { return ops::relu(c, x); }},
      {"relu6", [](Context& c, const Tensor& x) { return ops::activation(c, x, Activation::relu6); }},
      {"hardswish", [](Context& c, const Tensor& x) { return ops::activation(c, x, Activation::hardswish); }},
      {"add", [](Context& c, const Tensor& x) { return ops::add(c, x, x); }},
      {"mul", [](Context& c, const Tensor& x) { return ops::mul(c, x, x); }},
      {"max_pool", [](Context& c, const Tensor& x) { return ops::max_pool(c, x, 2, 2, 0, false); }},
      {"avg_pool", [](Context& c, const Tensor& x) { return ops::avg_pool(c, x, 2, 2, 0); }},
      {"global_avg_pool", [](Context& c, const Tensor& x) { return ops::global_avg_pool(c, x); }},
      {"shortcut_a", [](Context& c, const Tensor& x) { return ops::shortcut_a(c, x, 2, 32); }},
      {"conv2d",
       [&](Context& c, const Tensor& x) {
         return ops::conv2d(c, x, weights(c, {16, 3, 3, 16}), 1, 1);
       }},
      {"depthwise",
       [&](Context& c, const Tensor& x) {
         return ops::depthwise_conv2d(c, x, weights(c, {16, 3, 3, 1}), 1, 1);
       }},
      {"batchnorm", [&](Context& c, const Tensor& x) {
         const Tensor g = weights(c, {16});
         return ops::batchnorm(c, x, g, g, {g, g, 1e-5, 0.1}, false, Activation::relu);
       }}};
  for (const auto& [name, run] : ops)
    for (const float special : {NAN, INFINITY}) {
      CAPTURE(name);
      CAPTURE(special);
      Context ctx(Device::cpu, {.poison = true});
      const Tensor x = weights(ctx, {2, 6, 6, 16});
      x.data<float>()[16 * 36 + 16 * 14 + 3] = special;
      const Array full = run(ctx, x).to_array().cast(DType::f64);
      const Array half = run(ctx, ops::convert(ctx, x, DType::bf16)).to_array().cast(DType::f64);
      int found = 0, wrong = 0;
      for (std::size_t i = 0; i < full.as<double>().size(); ++i) {
        const double a = full.as<double>()[i], b = half.as<double>()[i];
        found += !std::isfinite(a);
        wrong += std::isnan(a) != std::isnan(b) || std::isinf(a) != std::isinf(b);
      }
      CHECK_EQ(wrong, 0);
      if (std::isnan(special)) CHECK(found > 0);  // relu6 makes 6 of an infinity
    }
}

TEST_CASE("bf16: augmented images on the CPU are the float ones, rounded") {
  const Images x(6, 7, 10, 3);
  const std::vector<std::int64_t> index{2, 0, 5};
  for (const AugmentOptions& o :
       {AugmentOptions{}, {.shift = 2, .flip = Flip::h, .cutout = 3}, augment_strong(7, Flip::hv)}) {
    const std::vector<float> expected = run(x, index, o, kRgb);
    std::vector<AugmentItem> items;
    for (const std::int64_t i : index) items.push_back({i, 5});
    std::vector<bf16> y(expected.size(), bf16{0x7fff});
    augment(kFast, x.view(), false, items.data(), std::ssize(items), o, kRgb, 3, y.data());
    int wrong = 0;
    for (std::size_t i = 0; i < y.size(); ++i) wrong += y[i].bits != float_to_bf16(expected[i]).bits;
    CHECK_EQ(wrong, 0);
  }
}

TEST_CASE("bf16: training on the CPU gives the same bits twice, and losses near those of f32 and of the device") {
  const std::int64_t steps = kSanitized ? 6 : 12;
  for (const char* kind : {"sgd", "adamw"}) {
    CAPTURE(kind);
    const auto run = [&](Device device, DType activations) {
      auto r = std::make_unique<ToyRun>(steps, 1, kind, device, activations);
      if (std::string(kind) == "adamw") r->options.schedule.base = 0.005;
      r->go();
      return r;
    };
    const auto half = run(Device::cpu, DType::bf16), again = run(Device::cpu, DType::bf16);
    CHECK_EQ(differing(*half->net, *again->net), "");
    CHECK_EQ(half->losses, again->losses);
    const auto full = run(Device::cpu, DType::f32), sim = run(Device::sim, DType::bf16);
    CHECK_NE(differing(*half->net, *full->net), "");
    REQUIRE_EQ(half->losses.size(), sim->losses.size());
    // The first loss: 9 layers, each of which rounds what it stores by 2^-9 at most; averaged over 8 images.
    CHECK_MESSAGE(std::abs(half->losses[0] - full->losses[0]) <= 9 * 0x1p-9 * full->losses[0], half->losses[0]);
    CHECK_MESSAGE(std::abs(half->losses[0] - sim->losses[0]) <= 9 * 0x1p-9 * sim->losses[0], half->losses[0]);
    const double a = full->result.curve.back().loss, b = half->result.curve.back().loss,
                 c = sim->result.curve.back().loss;
    CHECK_MESSAGE(std::abs(a - b) < 0.1 * a, a << " and " << b);
    CHECK_MESSAGE(std::abs(c - b) < 0.1 * c, c << " and " << b);
    if (!kSanitized) CHECK(b < half->result.curve.front().loss);
  }
}

TEST_CASE("bf16: every architecture takes a step on the CPU, with the gradient of each parameter") {
  for (const std::string& name : known_architectures()) {
    CAPTURE(name);
    Context ctx;
    ctx.activations = DType::bf16;
    const auto net =
        random_net(ctx, {.name = name, .width = name.starts_with("resnet") ? 8 : 0, .channels = 3, .classes = 5});
    Tape tape;
    const TapeScope scope(ctx, &tape);
    const ParameterList parameters = net->parameters();
    for (const Parameter& p : parameters)
      if (p.trainable()) Tensor(p.tensor).zero_grad();
    const Tensor x = ops::convert(ctx, noise(ctx, {2, 64, 64, 3}), DType::bf16);
    const Tensor z = net->logits(ctx, x, true);
    const Tensor targets = Tensor::from(ctx, std::vector<std::int64_t>{1, 3}, {2});
    tape.backward(ctx, ops::mean(ctx, ops::softmax_ce(ctx, z, targets)));
    int without = 0;
    for (const Parameter& p : parameters) {
      if (!p.trainable()) continue;
      const Array g = Tensor(p.tensor).grad().to_array();
      const auto values = g.as<float>();
      CHECK(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }));
      without += std::all_of(values.begin(), values.end(), [](float v) { return v == 0; });
    }
    CHECK(4 * without <= static_cast<int>(parameters.size()));  // dead units behind an activation
  }
}

TEST_CASE("bf16: is for devices, and for processors that multiply it; others are refused and told why") {
  Context sim(Device::sim);
  use_bf16(sim);
  CHECK(sim.activations == DType::bf16);
  Context cpu;
  if (fast::onednn_has_bf16()) {
    use_bf16(cpu);
    CHECK(cpu.activations == DType::bf16);
    CHECK(has(describe(cpu), "bf16"));
  } else {
    CHECK_THROWS_AS(use_bf16(cpu), UsageError);
    CHECK(has(error_of([&] { use_bf16(cpu); }), fast::onednn_version().empty() ? "libdnnl-dev" : "AVX512_BF16"));
    CHECK(cpu.activations == DType::f32);
  }
}
