#include <doctest/doctest.h>

#include <algorithm>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

Values reference(const Shape& s, std::int64_t stride, std::int64_t K, const Values& x) {
  const std::int64_t N = s[0], H = s[1], W = s[2], C = s[3];
  Values y;
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t h = 0; h < H; h += stride)
      for (std::int64_t w = 0; w < W; w += stride)
        for (std::int64_t k = 0; k < K; ++k) {
          const std::int64_t c = k - (K - C) / 2;
          y.push_back(c < 0 || c >= C ? 0 : x[static_cast<std::size_t>(((n * H + h) * W + w) * C + c)]);
        }
  return y;
}

OpCase make(const Shape& s, std::int64_t stride, std::int64_t K) {
  // The planted bug scales the last value by 0.1 %: with zero channels behind it that would change nothing, so the case
  // adds one.
  return {.name = fmt::format("shortcut_a {} stride {} to {} channels", s.str(), stride, K),
          .inputs = {s},
          .run =
              [=](Context& ctx, const std::vector<Tensor>& x) {
                const Tensor y = ops::shortcut_a(ctx, x[0], stride, K);
                const Array ones =
                    Array::from(std::vector<double>(static_cast<std::size_t>(y.numel()), 1.0), y.shape());
                return ops::add(ctx, y, Tensor::from(ctx, ones.cast(y.dtype())));
              },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y = reference(s, stride, K, x[0]);
                for (double& v : y) v += 1;
                return y;
              }};
}

}  // namespace

TEST_CASE("shortcut_a: match, gradcheck") {
  for (const OpCase& c : {make({1, 1, 1, 1}, 1, 1), make({2, 7, 5, 1}, 2, 7), make({1, 8, 8, 16}, 2, 32),
                          make({3, 3, 4, 10}, 1, 10), make({1, 4, 7, 31}, 3, 33), make({2, 5, 5, 33}, 2, 257),
                          make({33, 9, 10, 7}, 2, 9), make({2, 5, 4, 16}, 2, 48), make({2, 5, 4, 8}, 2, 16)}) {
    CAPTURE(c.name);
    CHECK_EQ(match(c), "");
    if (c.inputs[0].numel() <= 600) CHECK_EQ(gradcheck(c), "");
    CHECK_NE(match(planted(c, Plant::last_value)), "");
    CHECK_NE(match(planted(c, Plant::unwritten_value)), "");
  }
  // The gradient of the last output reaches an input only without zero channels behind it.
  CHECK_NE(match(planted(make({2, 5, 7, 7}, 2, 7), Plant::last_gradient)), "");
}

TEST_CASE("shortcut_a: unaligned memory on a device") {
  const Shape s{2, 5, 6, 8};
  OpCase c = make(s, 2, 24);  // one element late, so that nothing lies on 16 bytes
  c.inputs[0] = {s.numel() + 1};
  c.run = [s, whole = c.run](Context& ctx, const std::vector<Tensor>& x) {
    return whole(ctx, {ops::reshape(ctx, ops::rows(ctx, x[0], 1, s.numel() + 1), s)});
  };
  c.reference = [whole = c.reference](const std::vector<Values>& x) {
    return whole({Values(x[0].begin() + 1, x[0].end())});
  };
  CHECK_EQ(match(c), "");
}

TEST_CASE("shortcut_a: zeros on one side only are rejected") {
  const Shape s{2, 4, 6, 3};
  OpCase wrong = make(s, 2, 7);
  wrong.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    // All four zero channels behind the data instead of two on each side.
    const Array a = x[0].to_array().cast(DType::f64);
    Values y = reference(s, 2, 7, {a.as<double>().begin(), a.as<double>().end()});
    for (std::size_t i = 0; i < y.size(); i += 7)
      std::rotate(y.begin() + long(i), y.begin() + long(i) + 2, y.begin() + long(i) + 7);
    for (double& v : y) v += 1;
    return Tensor::from(ctx, Array::from(y, {2, 2, 3, 7}).cast(x[0].dtype()));
  };
  wrong.differentiable = false;
  CHECK_NE(match(wrong), "");
  OpCase right = make(s, 2, 7);
  right.differentiable = false;
  CHECK_EQ(match(right), "");
}

TEST_CASE("shortcut_a: impossible channel counts are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {1, 4, 4, 16});
  CHECK_THROWS_WITH_AS(ops::shortcut_a(ctx, x, 2, 17), doctest::Contains("grow 16 channels to 17"), Error);
  CHECK_THROWS_WITH_AS(ops::shortcut_a(ctx, x, 2, 8), doctest::Contains("grow 16 channels to 8"), Error);
  CHECK_THROWS_WITH_AS(ops::shortcut_a(ctx, x, 0, 32), doctest::Contains("stride 0"), Error);
  CHECK_THROWS_WITH_AS(ops::shortcut_a(ctx, Tensor::zeros(ctx, {4}), 1, 4), doctest::Contains("[N, H, W, C]"), Error);
}
