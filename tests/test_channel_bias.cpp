#include "kernels/channel_bias.hpp"

#include <doctest/doctest.h>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

double value_of(Activation kind, double u) {
  const double gate = u < -3 ? 0 : u > 3 ? 1 : (u + 3) / 6;
  switch (kind) {
    case Activation::relu:
      return u > 0 ? u : 0;
    case Activation::relu6:
      return u > 6 ? 6 : u > 0 ? u : 0;
    case Activation::hardswish:
      return u * gate;
    case Activation::hardsigmoid:
      return gate;
    default:
      return u;
  }
}

OpCase make(const Shape& s, Activation kind) {
  const std::int64_t C = s.dims().back();
  return {.name = fmt::format("channel_bias {} {}", s.str(), name_of(kind)),
          .inputs = {s, {C}},
          .run = [=](Context& ctx, const std::vector<Tensor>& x) { return ops::channel_bias(ctx, x[0], x[1], kind); },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y;
                for (std::size_t i = 0; i < x[0].size(); ++i)
                  y.push_back(value_of(kind, x[0][i] + x[1][i % static_cast<std::size_t>(C)]));
                return y;
              },
          .depth = 2,
          .grad_depth = static_cast<double>(s.numel() / C),
          .low = -4,
          .high = 5,
          .adjust =
              [=](std::vector<Values>& x) {
                // Sums away from the kinks, also once both are rounded to bf16 (by at most 2^-7 each here); biases are
                // such as bf16 holds.
                for (double& b : x[1]) b = std::round(b * 8) / 8;
                for (std::size_t i = 0; i < x[0].size(); ++i) {
                  const double b = x[1][i % static_cast<std::size_t>(C)];
                  for (const double kink : {-3.0, 0.0, 3.0, 6.0})
                    if (std::abs(x[0][i] + b - kink) < 0.05) x[0][i] = kink - b + 0.25;
                }
                x[0].back() = 1.5 - x[1].back();  // a value and a slope for a planted bug to show
              },
          .parameters = {1}};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  for (const Activation kind :
       {Activation::none, Activation::relu, Activation::relu6, Activation::hardswish, Activation::hardsigmoid}) {
    out.push_back(make({1, 1}, kind));
    out.push_back(make({2, 3, 3, 7}, kind));
    out.push_back(make({31, 33}, kind));
    out.push_back(make({2, 5, 7, 24}, kind));  // packs
  }
  out.push_back(make({3, 257}, Activation::relu6));
  out.push_back(make({7}, Activation::none));
  out.push_back(make({2, 9, 11, 272}, Activation::hardswish));  // more than one tile of packs
  out.push_back(make({4, 25, 25, 16}, Activation::relu));       // many rows: several parts
  return out;
}

}  // namespace

TEST_CASE("channel_bias: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("channel_bias: the same bits on any number of threads") {
  const std::vector<OpCase> some{make({40, 25, 33}, Activation::hardswish), make({5000, 8}, Activation::relu)};
  AKIN_TEST_THREADS(some);
}

TEST_CASE("channel_bias: a bias gradient that ignores the activation, or the last row, is rejected") {
  for (const bool cut : {false, true}) {
    OpCase wrong = make({5, 7}, Activation::relu6);
    wrong.run = [cut](Context& ctx, const std::vector<Tensor>& x) {
      const Tensor y = ops::channel_bias(ctx, x[0].detach(), x[1].detach(), Activation::relu6);
      return record(ctx, "mutant", y, {x[0], x[1]}, [y, cut](const Tensor& dy, Grads& d) {
        const auto dx = d.into(0), db = d.into(1);
        ChannelBiasBackward<double> t{.kept = y.data<double>(), .dy = dy.data<double>()};
        t.dx = dx.buffer.data<double>();
        channel_bias_bwd(kSpec, {5, 7, Activation::relu6}, t, nullptr);
        t.dx = nullptr;
        t.dbias = db.buffer.data<double>();
        channel_bias_bwd(kSpec, {cut ? 4 : 5, 7, cut ? Activation::relu6 : Activation::none}, t, nullptr);
      });
    };
    CHECK_NE(gradcheck(wrong), "");
  }
}

TEST_CASE("channel_bias: either gradient alone, unaligned memory, launches, an empty batch") {
  // One element late, so that nothing lies on 16 bytes.
  OpCase late = make({6, 24}, Activation::hardswish);
  late.inputs[0] = {145};
  late.adjust = {};
  late.run = [](Context& ctx, const std::vector<Tensor>& x) {
    return ops::channel_bias(ctx, ops::reshape(ctx, ops::rows(ctx, x[0], 1, 145), {6, 24}), x[1],
                             Activation::hardswish);
  };
  late.reference = [whole = late.reference](const std::vector<Values>& x) {
    return whole({Values(x[0].begin() + 1, x[0].end()), x[1]});
  };
  late.low = -2.5;
  late.high = 2;
  CHECK_EQ(match(late), "");

  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    LaunchLog log;
    Context ctx(device, {.poison = true});
    for (const bool input : {true, false}) {
      Tensor x = Tensor::from(ctx, std::vector<float>{1, -2, 3, -4, 5, 7}, {3, 2});
      Tensor bias = Tensor::from(ctx, std::vector<float>{0.5f, 1}, {2});
      (input ? x : bias).set_requires_grad(true);
      Tape tape;
      const TapeScope scope(ctx, &tape);
      ctx.launches = &log;
      log.clear();
      const Tensor y = ops::channel_bias(ctx, x, bias, Activation::relu6);
      if (device != Device::cpu) CHECK_EQ(log.size(), 1);
      ctx.launches = nullptr;
      const Tensor loss = ops::sum(ctx, y);
      ctx.launches = &log;
      log.clear();
      tape.backward(ctx, loss);
      if (device != Device::cpu) CHECK_EQ(log.size(), 2 + (input ? 1 : 2));  // and the gradients of loss and sum
      ctx.launches = nullptr;
      const Array g = (input ? x : bias).grad().to_array();
      const std::vector<float> found(g.as<float>().begin(), g.as<float>().end());
      const std::vector<float> want = input ? std::vector<float>{1, 0, 1, 0, 1, 0} : std::vector<float>{3, 0};
      CHECK(found == want);
      const bool other = (input ? bias : x).grad().defined();
      CHECK_FALSE(other);
    }
    Tensor bias = Tensor::from(ctx, std::vector<float>{0.5f, 1}, {2});
    bias.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    tape.backward(ctx, ops::sum(ctx, ops::channel_bias(ctx, Tensor::zeros(ctx, {0, 2}), bias, Activation::relu)));
    const Array none = bias.grad().to_array();
    for (const float v : none.as<float>()) CHECK_EQ(v, 0.0f);
  }
}

TEST_CASE("channel_bias: mismatches are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {2, 3});
  CHECK_THROWS_WITH_AS(ops::channel_bias(ctx, x, Tensor::zeros(ctx, {2})),
                       doctest::Contains("[2, 3] has other channels"), Error);
  CHECK_THROWS_WITH_AS(ops::channel_bias(ctx, x, Tensor::zeros(ctx, {3, 1})), doctest::Contains("bias [3, 1]"), Error);
  CHECK_THROWS_WITH_AS(ops::channel_bias(ctx, x, Tensor::zeros(ctx, {3}, DType::f64)),
                       doctest::Contains("input is f32, bias f64"), Error);
}
