#include "kernels/concat.hpp"

#include <doctest/doctest.h>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

OpCase make(std::vector<std::int64_t> leading, std::vector<std::int64_t> channels) {
  const auto shape = [&](std::int64_t C) {
    std::vector<std::int64_t> dims = leading;
    dims.push_back(C);
    return Shape(dims);
  };
  std::vector<Shape> inputs;
  for (const std::int64_t C : channels) inputs.push_back(shape(C));
  const std::int64_t rows = Shape(leading).numel();
  return {.name = fmt::format("concat_channels of {} rows: {}", rows, fmt::join(channels, " + ")),
          .inputs = inputs,
          .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::concat_channels(ctx, x); },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y;
                for (std::int64_t r = 0; r < rows; ++r)
                  for (std::size_t i = 0; i < x.size(); ++i)
                    for (std::int64_t c = 0; c < channels[i]; ++c)
                      y.push_back(x[i][static_cast<std::size_t>(r * channels[i] + c)]);
                return y;
              },
          .adjust = [](std::vector<Values>& x) { x.back().back() = 0.9; }};  // large enough for a planted bug to show
}

std::vector<OpCase> cases() {
  return {make({}, {1}),
          make({}, {3, 1, 7}),
          make({5}, {31, 33}),
          make({2, 3, 3}, {8, 16, 24}),  // packs
          make({2, 3, 3}, {8, 10, 16}),  // packs, and none after the second
          make({1, 7, 7}, {64, 96, 16, 32}),
          make({33, 2}, {257, 1}),
          make({2, 20, 21}, {10, 24})};
}

}  // namespace

TEST_CASE("concat_channels: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("concat_channels: the same bits on any number of threads") {
  const std::vector<OpCase> some{make({3000}, {10, 7})};
  AKIN_TEST_THREADS(some);
}

TEST_CASE("concat_channels: one tensor in several places gets all its gradients; parts without a gradient get none") {
  const OpCase twice{.name = "the same twice",
                     .inputs = {{4, 3}, {4, 8}},
                     .run =
                         [](Context& ctx, const std::vector<Tensor>& x) {
                           return ops::concat_channels(ctx, {x[0], x[1], x[0]});
                         },
                     .reference =
                         [](const std::vector<Values>& x) {
                           Values y;
                           for (std::size_t r = 0; r < 4; ++r)
                             for (const std::size_t i : {0u, 1u, 0u})
                               for (std::size_t c = 0; c < (i == 0 ? 3 : 8); ++c)
                                 y.push_back(x[i][r * (i == 0 ? 3 : 8) + c]);
                           return y;
                         }};
  CHECK_EQ(match(twice), "");
  CHECK_EQ(gradcheck(twice), "");

  std::vector<Device> devices = gpu_devices();
  devices.push_back(Device::cpu);
  for (const Device device : devices) {
    LaunchLog log;
    Context ctx(device, {.poison = true});
    Tensor a = Tensor::zeros(ctx, {2, 3}), b = Tensor::zeros(ctx, {2, 5}), none = Tensor::zeros(ctx, {2, 0});
    b.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    ctx.launches = &log;
    const Tensor y = ops::concat_channels(ctx, {a, none, b});
    CHECK(y.shape() == Shape{2, 8});
    if (device != Device::cpu) CHECK_EQ(log.size(), 2);
    tape.backward(ctx, ops::sum(ctx, y));
    CHECK_FALSE(a.grad().defined());
    const Array g = b.grad().to_array();
    for (const float v : g.as<float>()) CHECK_EQ(v, 1.0f);
  }
}

TEST_CASE("concat_channels: parts in the wrong order are rejected, mismatches are named") {
  OpCase wrong = make({2, 3}, {4, 4});
  wrong.run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::concat_channels(ctx, {x[1], x[0]}); };
  CHECK_NE(match(wrong), "");

  Context ctx;
  const Tensor a = Tensor::zeros(ctx, {2, 3});
  CHECK_THROWS_WITH_AS(ops::concat_channels(ctx, {}), doctest::Contains("nothing to join"), Error);
  CHECK_THROWS_WITH_AS(ops::concat_channels(ctx, {a, Tensor::zeros(ctx, {3, 3})}),
                       doctest::Contains("f32 [3, 3] beside f32 [2, 3]"), Error);
  CHECK_THROWS_WITH_AS(ops::concat_channels(ctx, {a, Tensor::zeros(ctx, {2, 1, 3})}), doctest::Contains("[2, 1, 3]"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::concat_channels(ctx, {a, Tensor::zeros(ctx, {2, 3}, DType::f64)}),
                       doctest::Contains("f64 [2, 3] beside f32"), Error);
}
