#include <doctest/doctest.h>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

// relu has a kink at 0, where central differences see half a slope.
void off_zero(std::vector<Values>& x) {
  for (Values& v : x)
    for (double& e : v)
      if (std::abs(e) < 1e-2) e = 0.1;
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  for (const std::int64_t n : {1, 7, 10, 31, 33, 257, 40001}) {
    const Shape s{n};
    out.push_back({.name = "add " + s.str(),
                   .inputs = {s, s},
                   .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::add(ctx, x[0], x[1]); },
                   .reference =
                       [](const std::vector<Values>& x) {
                         Values y;
                         for (std::size_t i = 0; i < x[0].size(); ++i) y.push_back(x[0][i] + x[1][i]);
                         return y;
                       }});
    out.push_back({.name = "mul " + s.str(),
                   .inputs = {s, s},
                   .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::mul(ctx, x[0], x[1]); },
                   .reference =
                       [](const std::vector<Values>& x) {
                         Values y;
                         for (std::size_t i = 0; i < x[0].size(); ++i) y.push_back(x[0][i] * x[1][i]);
                         return y;
                       }});
    out.push_back({.name = "scale " + s.str(),
                   .inputs = {s},
                   .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::scale(ctx, x[0], -2.5); },
                   .reference =
                       [](const std::vector<Values>& x) {
                         Values y;
                         for (const double v : x[0]) y.push_back(-2.5 * v);
                         return y;
                       }});
    out.push_back({.name = "relu " + s.str(),
                   .inputs = {s},
                   .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::relu(ctx, x[0]); },
                   .reference =
                       [](const std::vector<Values>& x) {
                         Values y;
                         for (const double v : x[0]) y.push_back(v > 0 ? v : 0);
                         return y;
                       },
                   .low = 0.01,  // the last element must carry a gradient for the planted bug to show
                   .adjust =
                       [](std::vector<Values>& x) {
                         for (std::size_t i = 0; i + 1 < x[0].size(); i += 2) x[0][i] = -x[0][i];
                         off_zero(x);
                       }});
  }
  return out;
}

}  // namespace

TEST_CASE("elementwise: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("elementwise: rows and reshape share memory and route gradients") {
  const OpCase c{.name = "rows+reshape",
                 .inputs = {{5, 2, 3}},
                 .run =
                     [](Context& ctx, const std::vector<Tensor>& x) {
                       const Tensor top = ops::reshape(ctx, ops::rows(ctx, x[0], 0, 3), {18});
                       const Tensor low = ops::reshape(ctx, ops::rows(ctx, x[0], 2, 5), {18});
                       return ops::mul(ctx, top, low);  // row 2 is in both
                     },
                 .reference =
                     [](const std::vector<Values>& x) {
                       Values y;
                       for (std::size_t i = 0; i < 18; ++i) y.push_back(x[0][i] * x[0][12 + i]);
                       return y;
                     }};
  CHECK_EQ(match(c), "");
  CHECK_EQ(gradcheck(c), "");
}

TEST_CASE("elementwise: NaN passes through, and mismatches are refused") {
  Context ctx;
  const Tensor x = Tensor::from(ctx, std::vector<float>{NAN, -1, 2}, {3});
  CHECK(std::isnan(ops::relu(ctx, x).data<float>()[0]));
  CHECK_THROWS_WITH_AS(ops::add(ctx, x, Tensor::zeros(ctx, {4})), doctest::Contains("[3] and f32 [4]"), Error);
  CHECK_THROWS_WITH_AS(ops::rows(ctx, x, 1, 4), doctest::Contains("rows"), Error);
}
