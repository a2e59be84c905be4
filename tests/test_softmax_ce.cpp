#include <doctest/doctest.h>

#include "kernels/softmax_ce.hpp"
#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<std::int64_t> targets(std::int64_t B, std::int64_t C) {
  std::vector<std::int64_t> t;
  for (std::int64_t b = 0; b < B; ++b) t.push_back((b * 7 + 3) % C);
  return t;
}

OpCase make(std::int64_t B, std::int64_t C, bool weighted, double range = 3) {
  Values weight(static_cast<std::size_t>(B), 1.0);
  if (weighted)
    for (std::size_t b = 0; b < weight.size(); ++b) weight[b] = 0.25 * static_cast<double>((b + 1) % 5);
  weight.back() = weighted ? 0.75 : 1.0;
  return {.name = fmt::format("softmax_ce {}x{}{}", B, C, weighted ? " weighted" : ""),
          .inputs = {{B, C}},
          .run =
              [=](Context& ctx, const std::vector<Tensor>& x) {
                const Tensor t = Tensor::from(ctx, targets(B, C), {B});
                const Tensor w = weighted ? Tensor::from(ctx, Array::from(weight, {B}).cast(x[0].dtype())) : Tensor();
                return ops::softmax_ce(ctx, x[0], t, w);
              },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y;
                for (std::int64_t b = 0; b < B; ++b) {
                  long double z = 0;
                  for (std::int64_t c = 0; c < C; ++c)
                    z += std::exp(static_cast<long double>(x[0][static_cast<std::size_t>(b * C + c)]));
                  const long double hit =
                      x[0][static_cast<std::size_t>(b * C + targets(B, C)[static_cast<std::size_t>(b)])];
                  y.push_back(weight[static_cast<std::size_t>(b)] * static_cast<double>(std::log(z) - hit));
                }
                return y;
              },
          .depth = static_cast<double>(C),
          .grad_depth = static_cast<double>(C),
          .amplify = 4,  // the loss is a difference of two numbers of the size of the range
          .low = -range,
          .high = range};
}

}  // namespace

TEST_CASE("softmax_ce: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  for (const std::int64_t B : {1, 7, 33})
    for (const std::int64_t C : {2, 7, 10, 31, 257})
      for (const bool weighted : {false, true}) cases.push_back(make(B, C, weighted));
  AKIN_TEST_OP(cases);
}

TEST_CASE("softmax_ce: a mutant that forgets the target's -1 is rejected") {
  OpCase wrong = make(7, 10, false);
  const auto right = wrong.run;
  wrong.run = [right](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor y = right(ctx, x);
    return record(ctx, "mutant", y.detach(), {x[0]}, [x0 = x[0].detach()](const Tensor& dy, Grads& d) {
      const auto [dx, mode] = d.into(0);
      for (std::int64_t b = 0; b < 7; ++b)
        for (std::int64_t c = 0; c < 10; ++c) {
          if (dy.dtype() == DType::f64)
            store(dx.data<double>()[b * 10 + c], dy.data<double>()[b] * 0.1, mode);
          else
            store(dx.data<float>()[b * 10 + c], dy.data<float>()[b] * 0.1f, mode);
        }
    });
  };
  CHECK_NE(gradcheck(wrong), "");
}

TEST_CASE("softmax_ce: huge logits stay finite, NaN shows, bad targets are named") {
  Context ctx;
  const Tensor t = Tensor::from(ctx, std::vector<std::int64_t>{1}, {1});
  const Tensor big = Tensor::from(ctx, std::vector<float>{3e4f, -3e4f}, {1, 2});
  CHECK_EQ(ops::softmax_ce(ctx, big, t).item(), doctest::Approx(6e4));
  const Tensor nan = Tensor::from(ctx, std::vector<float>{NAN, 0.0f}, {1, 2});
  CHECK(std::isnan(ops::softmax_ce(ctx, nan, t).item()));
  const Tensor bad = Tensor::from(ctx, std::vector<std::int64_t>{2}, {1});
  CHECK_THROWS_WITH_AS(ops::softmax_ce(ctx, big, bad), doctest::Contains("target 2 in row 0 is outside 0..1"), Error);
  CHECK_THROWS_WITH_AS(ops::softmax_ce(ctx, Tensor::zeros(ctx, {2, 2}), t), doctest::Contains("2 rows of logits"),
                       Error);
}

TEST_CASE("softmax: rows sum to one at any temperature") {
  const std::vector<double> x{1, 2, 3, -1, 500, 499};
  for (const double T : {0.5, 1.0, 4.0}) {
    std::vector<double> p(6, NAN);
    spec::softmax<double>(2, 3, T, x.data(), p.data());
    for (int b = 0; b < 2; ++b) {
      double z = 0;
      for (int c = 0; c < 3; ++c) z += std::exp((x[std::size_t(b * 3 + c)] - x[std::size_t(b * 3 + 2 - b)]) / T);
      for (int c = 0; c < 3; ++c)
        CHECK_EQ(p[std::size_t(b * 3 + c)],
                 doctest::Approx(std::exp((x[std::size_t(b * 3 + c)] - x[std::size_t(b * 3 + 2 - b)]) / T) / z)
                     .epsilon(1e-13));
    }
  }
}
