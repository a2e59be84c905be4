#include "kernels/activation.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const std::vector<Activation> kKinds{Activation::none, Activation::relu, Activation::relu6, Activation::hardswish,
                                     Activation::hardsigmoid};

double value_of(Activation kind, double x) {
  const double gate = std::min(std::max(x + 3, 0.0), 6.0) / 6;
  switch (kind) {
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::relu6:
      return std::min(std::max(x, 0.0), 6.0);
    case Activation::hardswish:
      return x * gate;
    case Activation::hardsigmoid:
      return gate;
    default:
      return x;
  }
}

/// Numbers on both sides of all kinks, none within 0.05 of one: central differences see half a slope there. The last
/// one has a slope and a value for a planted bug to show.
void off_kinks(std::vector<Values>& x) {
  for (double& e : x[0])
    for (const double kink : {-3.0, 0.0, 3.0, 6.0})
      if (std::abs(e - kink) < 0.05) e = kink + 0.25;
  x[0].back() = 1.5;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  for (const Activation kind : kKinds)
    for (const Shape& s : {Shape{1}, Shape{7}, Shape{2, 31}, Shape{33}, Shape{257}, Shape{3, 5, 7, 24}, Shape{40001}}) {
      if (s.numel() > 10000 && kind != Activation::hardswish) continue;
      out.push_back(
          {.name = fmt::format("{} {}", name_of(kind), s.str()),
           .inputs = {s},
           .run = [=](Context& ctx, const std::vector<Tensor>& x) { return ops::activation(ctx, x[0], kind); },
           .reference =
               [=](const std::vector<Values>& x) {
                 Values y;
                 for (const double v : x[0]) y.push_back(value_of(kind, v));
                 return y;
               },
           .low = -7,
           .high = 9,
           .adjust = off_kinks});
    }
  return out;
}

}  // namespace

TEST_CASE("activation: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("activation: values and gradients at the kinks, infinities and NaN are PyTorch's") {
  const float inf = INFINITY;
  const std::vector<float> x{-3, 0, 3, 6, -inf, inf, NAN};
  struct Expected {
    Activation kind;
    std::vector<float> y, dx;
  };
  // torch 1.13: y = F.<kind>(x); y.sum().backward(). hardswish of -inf is -inf * 0.
  const std::vector<Expected> all{{Activation::relu, {0, 0, 3, 6, 0, inf, NAN}, {0, 0, 1, 1, 0, 1}},
                                  {Activation::relu6, {0, 0, 3, 6, 0, 6, NAN}, {0, 0, 1, 0, 0, 0}},
                                  {Activation::hardswish, {0, 0, 3, 6, NAN, inf, NAN}, {-0.5f, 0.5f, 1.5f, 1, 0, 1}},
                                  {Activation::hardsigmoid, {0, 0.5f, 1, 1, 0, 1, NAN}, {0, 1 / 6.0f, 0, 0, 0, 0}}};
  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    Context ctx(device);
    for (const Expected& e : all) {
      CAPTURE(name_of(e.kind));
      Tensor in = Tensor::from(ctx, x, {7});
      in.set_requires_grad(true);
      Tape tape;
      const TapeScope scope(ctx, &tape);
      const Tensor y = ops::activation(ctx, in, e.kind);
      tape.backward(ctx, ops::sum(ctx, y));
      const Array values = y.to_array(), gradient = in.grad().to_array();
      for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i]);
        const float v = values.as<float>()[i];
        CHECK((std::isnan(e.y[i]) ? std::isnan(v) : v == e.y[i]));
        if (i < e.dx.size()) CHECK_EQ(gradient.as<float>()[i], e.dx[i]);
      }
    }
  }
}

TEST_CASE("activation: a slope of the wrong side is rejected") {
  // relu6 whose gradient does not stop at 6: the values are right.
  OpCase wrong{.name = "relu6 with relu's gradient",
               .inputs = {{33}},
               .run =
                   [](Context& ctx, const std::vector<Tensor>& x) {
                     const Tensor y = ops::activation(ctx, x[0].detach(), Activation::relu6);
                     return record(ctx, "mutant", y, {x[0]}, [y](const Tensor& dy, Grads& d) {
                       const auto [dx, mode] = d.into(0);
                       activation_bwd(kSpec, Activation::relu, dy.numel(), y.data<double>(), dy.data<double>(),
                                      dx.data<double>(), mode);
                     });
                   },
               .reference = {},
               .low = -7,
               .high = 9,
               .adjust = off_kinks};
  CHECK_NE(gradcheck(wrong), "");
}

TEST_CASE("activation: relu and relu6 keep their output alone, one launch a direction, none is the tensor itself") {
  LaunchLog log;
  Context ctx(Device::sim, {.poison = true});
  for (const Activation kind : kKinds) {
    Tensor x = Tensor::zeros(ctx, {3, 5});
    x.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    log.clear();
    ctx.launches = &log;
    const Tensor y = ops::activation(ctx, x, kind);
    CHECK_EQ(log.size(), kind == Activation::none ? 0 : 1);
    const bool same = y.raw() == x.raw();
    CHECK_EQ(same, kind == Activation::none);
    ctx.launches = nullptr;
  }
}
