#include "kernels/channel_scale.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

OpCase make(const Shape& s) {
  const std::int64_t N = s[0], C = s[3], pixels = s[1] * s[2];
  return {.name = "channel_scale " + s.str(),
          .inputs = {s, {N, C}},
          .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::channel_scale(ctx, x[0], x[1]); },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y;
                for (std::int64_t n = 0; n < N; ++n)
                  for (std::int64_t i = 0; i < pixels; ++i)
                    for (std::int64_t c = 0; c < C; ++c)
                      y.push_back(x[0][y.size()] * x[1][static_cast<std::size_t>(n * C + c)]);
                return y;
              },
          .grad_depth = static_cast<double>(pixels),
          .adjust =
              [](std::vector<Values>& x) {
                for (Values& v : x) v.back() = 0.9;  // a product large enough for a planted bug to show
              }};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  for (const Shape& s :
       {Shape{1, 1, 1, 1}, Shape{2, 3, 3, 7}, Shape{3, 5, 2, 31}, Shape{1, 7, 7, 33}, Shape{33, 1, 1, 10},
        Shape{2, 6, 5, 24}, Shape{2, 3, 3, 272}, Shape{1, 20, 21, 16}, Shape{2, 4, 3, 257}})
    out.push_back(make(s));
  return out;
}

}  // namespace

TEST_CASE("channel_scale: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("channel_scale: the same bits on any number of threads") {
  const std::vector<OpCase> some{make({17, 9, 9, 33})};
  AKIN_TEST_THREADS(some);
}

TEST_CASE("channel_scale: factors of another image, and a gradient that misses a pixel, are rejected") {
  OpCase wrong = make({2, 2, 2, 3});
  wrong.differentiable = false;
  wrong.run = [](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor first = ops::rows(ctx, x[1], 0, 1);
    std::vector<Tensor> twice{ops::reshape(ctx, first, {3}), ops::reshape(ctx, first, {3})};
    return ops::channel_scale(ctx, x[0], ops::reshape(ctx, ops::concat_channels(ctx, twice), {2, 3}));
  };
  CHECK_NE(match(wrong), "");

  OpCase cut = make({2, 2, 2, 3});
  cut.run = [](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor y = ops::channel_scale(ctx, x[0].detach(), x[1].detach());
    return record(ctx, "mutant", y, {x[0], x[1]}, [=](const Tensor& dy, Grads& d) {
      const auto dx = d.into(0), ds = d.into(1);
      const Tensor g = Tensor::from(d.ctx(), dy.to_array());
      channel_scale_bwd(kSpec, {2, 4, 3},
                        ChannelScaleBackward<double>{.x = x[0].data<double>(),
                                                     .s = x[1].data<double>(),
                                                     .dy = g.data<double>(),
                                                     .dx = dx.buffer.data<double>()});
      std::fill_n(g.data<double>() + 9, 3, 0.0);  // the last pixel of the first image
      channel_scale_bwd(kSpec, {2, 4, 3},
                        ChannelScaleBackward<double>{.x = x[0].data<double>(),
                                                     .s = x[1].data<double>(),
                                                     .dy = g.data<double>(),
                                                     .ds = ds.buffer.data<double>()});
    });
  };
  CHECK_NE(gradcheck(cut), "");
}

TEST_CASE("channel_scale: either gradient alone, unaligned memory, launches") {
  OpCase late = make({2, 3, 2, 16});
  late.inputs[0] = {193};
  late.run = [](Context& ctx, const std::vector<Tensor>& x) {
    return ops::channel_scale(ctx, ops::reshape(ctx, ops::rows(ctx, x[0], 1, 193), {2, 3, 2, 16}), x[1]);
  };
  late.reference = [whole = late.reference](const std::vector<Values>& x) {
    return whole({Values(x[0].begin() + 1, x[0].end()), x[1]});
  };
  CHECK_EQ(match(late), "");

  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices)
    for (const bool image : {true, false}) {
      LaunchLog log;
      Context ctx(device, {.poison = true});
      Tensor x = Tensor::from(ctx, std::vector<float>{1, 2, 3, 4}, {1, 2, 1, 2});
      Tensor s = Tensor::from(ctx, std::vector<float>{5, 7}, {1, 2});
      (image ? x : s).set_requires_grad(true);
      Tape tape;
      const TapeScope scope(ctx, &tape);
      const Tensor loss = ops::sum(ctx, ops::channel_scale(ctx, x, s));
      ctx.launches = &log;
      tape.backward(ctx, loss);
      if (device != Device::cpu) CHECK_EQ(log.size(), 3);  // with the gradients of the loss and of the sum
      const Array g = (image ? x : s).grad().to_array();
      const std::vector<float> found(g.as<float>().begin(), g.as<float>().end());
      const std::vector<float> want = image ? std::vector<float>{5, 7, 5, 7} : std::vector<float>{4, 6};
      CHECK(found == want);
    }
}

TEST_CASE("channel_scale: mismatches are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {2, 3, 3, 4});
  CHECK_THROWS_WITH_AS(ops::channel_scale(ctx, x, Tensor::zeros(ctx, {2, 3})), doctest::Contains("need factors [2, 4]"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::channel_scale(ctx, x, Tensor::zeros(ctx, {2, 4}, DType::f64)),
                       doctest::Contains("found f64 [2, 4]"), Error);
  CHECK_THROWS_WITH_AS(ops::channel_scale(ctx, Tensor::zeros(ctx, {2, 4}), Tensor::zeros(ctx, {2, 4})),
                       doctest::Contains("[N, H, W, C]"), Error);
}
