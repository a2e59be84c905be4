#include "kernels/gemm.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/common/onednn.hpp"
#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// y[b,k] = sum_d x[b,d] w[k,d] (+ bias[k])
Values linear_reference(std::int64_t B, std::int64_t D, std::int64_t K, const std::vector<Values>& in) {
  Values y;
  for (std::int64_t b = 0; b < B; ++b)
    for (std::int64_t k = 0; k < K; ++k) {
      long double sum = in.size() > 2 ? in[2][at(k)] : 0.0;
      for (std::int64_t d = 0; d < D; ++d) sum += static_cast<long double>(in[0][at(b * D + d)]) * in[1][at(k * D + d)];
      y.push_back(static_cast<double>(sum));
    }
  return y;
}

OpCase linear(std::int64_t B, std::int64_t D, std::int64_t K, bool bias) {
  OpCase c{.name = fmt::format("linear {}x{} -> {}{}", B, D, K, bias ? " bias" : ""),
           .inputs = {{B, D}, {K, D}},
           .run = [bias](Context& ctx,
                         const std::vector<Tensor>& x) { return ops::linear(ctx, x[0], x[1], bias ? x[2] : Tensor()); },
           .reference = [=](const std::vector<Values>& in) { return linear_reference(B, D, K, in); },
           .depth = static_cast<double>(D + 1),
           .grad_depth = static_cast<double>(std::max(B, K)),
           // the last output is a sum of terms of one sign, large enough for a bug of 0.1 % to show
           .adjust =
               [=](std::vector<Values>& in) {
                 for (std::int64_t d = 0; d < D; ++d) {
                   in[0][at((B - 1) * D + d)] = 0.5 + 0.01 * static_cast<double>(d % 5);
                   in[1][at((K - 1) * D + d)] = 0.75;
                 }
                 if (bias) in[2][at(K - 1)] = 0.5;
               },
           .parameters = {1, 2}};
  if (bias) c.inputs.push_back({K});
  return c;
}

template <class T>
struct Product {
  GemmShape s;
  std::vector<T> A, B, C, expected;
  double scale = 0;
};

template <class T>
Product<T> product(GemmShape s, double alpha, Accum mode) {
  Rng rng(11, static_cast<std::uint32_t>(s.M), static_cast<std::uint64_t>(s.N * 1000 + s.K));
  Product<T> p{s, std::vector<T>(at(s.M * s.K)), std::vector<T>(at(s.K * s.N)), std::vector<T>(at(s.M * s.N)), {}};
  for (T& v : p.A) v = rng.uniform(-1, 1);
  for (T& v : p.B) v = rng.uniform(-1, 1);
  for (T& v : p.C) v = mode == Accum::add ? static_cast<T>(rng.uniform(-1, 1)) : static_cast<T>(NAN);
  for (std::int64_t m = 0; m < s.M; ++m)
    for (std::int64_t n = 0; n < s.N; ++n) {
      long double sum = 0;
      for (std::int64_t k = 0; k < s.K; ++k)
        sum += static_cast<long double>(p.A[at(s.a == Trans::yes ? k * s.M + m : m * s.K + k)]) *
               p.B[at(s.b == Trans::yes ? n * s.K + k : k * s.N + n)];
      const long double value = alpha * sum + (mode == Accum::add ? p.C[at(m * s.N + n)] : T(0));
      p.expected.push_back(static_cast<T>(value));
      p.scale = std::max(p.scale, std::abs(static_cast<double>(value)));
    }
  return p;
}

template <class T>
void check(const Product<T>& p, const char* path) {
  // K + 2 roundings (alpha, add) of random sign, each at most eps/2 of a partial sum below 4 scale.
  const double tol = 4 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                     std::sqrt(static_cast<double>(p.s.K) + 2) * std::max(p.scale, 1.0);
  for (std::size_t i = 0; i < p.C.size(); ++i) {
    const double err = std::abs(static_cast<double>(p.C[i]) - static_cast<double>(p.expected[i]));
    if (!(err <= tol)) {
      FAIL_CHECK(fmt::format("{} {}x{}x{} trans {}{}: element {} is {}, expected {}", path, p.s.M, p.s.N, p.s.K,
                             p.s.a == Trans::yes, p.s.b == Trans::yes, i, p.C[i], p.expected[i]));
      return;
    }
  }
}

std::vector<GemmShape> shapes() {
  std::vector<GemmShape> out;
  const std::int64_t sizes[][3] = {{1, 1, 1},    {7, 10, 31}, {33, 1, 257}, {1, 257, 33}, {31, 33, 7},
                                   {64, 65, 66}, {257, 7, 8}, {10, 257, 1}, {2, 3, 0},    {128, 10, 64}};
  for (const auto& z : sizes)
    for (const Trans a : {Trans::no, Trans::yes})
      for (const Trans b : {Trans::no, Trans::yes}) out.push_back({z[0], z[1], z[2], a, b});
  return out;
}

}  // namespace

TEST_CASE("gemm: every transposition, scale and write mode, specification and fast path, one and two threads") {
  for (const int n : {1, 2}) {
    const Threads threads(n);
    fast::OnednnCache cache;
    const Stream<Cpu> onednn{true, &cache};
    for (const GemmShape& s : shapes())
      for (const double alpha : {1.0, -0.5})
        for (const Accum mode : {Accum::overwrite, Accum::add}) {
          auto d = product<double>(s, alpha, mode);
          gemm(kSpec, s, alpha, d.A.data(), d.B.data(), nullptr, d.C.data(), mode, nullptr);
          check(d, "f64");
          auto f = product<float>(s, alpha, mode), g = f;
          gemm(kSpec, s, alpha, f.A.data(), f.B.data(), nullptr, f.C.data(), mode, nullptr);
          check(f, "f32 spec");
          gemm(onednn, s, alpha, g.A.data(), g.B.data(), nullptr, g.C.data(), mode, nullptr);
          check(g, "f32 fast");
        }
  }
}

TEST_CASE("linear: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  const std::int64_t sizes[][3] = {{1, 1, 1}, {7, 10, 31}, {1, 33, 7}, {33, 31, 10}, {10, 64, 257}, {31, 257, 65}};
  for (const auto& z : sizes)
    for (const bool bias : {false, true}) cases.push_back(linear(z[0], z[1], z[2], bias));
  AKIN_TEST_OP(cases);
}

TEST_CASE("linear: the same bits on any number of threads") {
  const std::vector<OpCase> cases{linear(129, 65, 33, true), linear(257, 64, 10, false),
                                  linear(300, 257, 129, true), linear(60, 301, 700, false)};
  AKIN_TEST_THREADS(cases);
}

TEST_CASE("linear: mutants are rejected") {
  OpCase square = linear(7, 9, 9, true);  // w or its transpose: both fit
  square.differentiable = false;
  square.run = [](Context& ctx, const std::vector<Tensor>& x) {
    const Array a = x[1].to_array().cast(DType::f64);
    std::vector<double> t(81);
    for (std::size_t i = 0; i < 81; ++i) t[i] = a.as<double>()[i % 9 * 9 + i / 9];
    return ops::linear(ctx, x[0], Tensor::from(ctx, Array::from(t, {9, 9}).cast(x[1].dtype())), x[2]);
  };
  CHECK_NE(match(square), "");

  OpCase forgets = linear(7, 5, 3, true);  // a bias gradient that misses the last row of the batch
  forgets.run = [](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor top = ops::linear(ctx, ops::rows(ctx, x[0], 0, 6), x[1], x[2]);
    const Tensor last = ops::linear(ctx, ops::rows(ctx, x[0], 6, 7), x[1], x[2].detach());
    Tensor y = Tensor::empty(ctx, {7, 3}, x[0].dtype());
    std::memcpy(y.raw(), top.raw(), top.bytes());
    std::memcpy(y.raw() + top.bytes(), last.raw(), last.bytes());
    return record(ctx, "mutant", y, {top, last}, [](const Tensor& dy, Grads& d) {
      d.add(0, dy.view({6, 3}));
      d.add(1, dy.view({1, 3}, 18));
    });
  };
  CHECK_NE(gradcheck(forgets), "");
}

TEST_CASE("linear: NaN passes through, mismatches are named") {
  Context ctx;
  Tensor x = Tensor::zeros(ctx, {40, 40});
  const Tensor w = Tensor::from(ctx, std::vector<float>(1600, 1.0f), {40, 40});
  x.data<float>()[5 * 40 + 3] = NAN;
  const Tensor y = ops::linear(ctx, x, w, {});
  for (std::int64_t b : {4, 5, 6})
    for (std::int64_t k : {0, 39}) CHECK_EQ(std::isnan(y.data<float>()[b * 40 + k]), b == 5);
  CHECK_THROWS_WITH_AS(ops::linear(ctx, x, Tensor::zeros(ctx, {3, 39}), {}),
                       doctest::Contains("input has 40 features, weight expects 39"), Error);
  CHECK_THROWS_WITH_AS(ops::linear(ctx, x, w, Tensor::zeros(ctx, {3})), doctest::Contains("bias [3] for 40 outputs"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::linear(ctx, Tensor::zeros(ctx, {4}), w, {}), doctest::Contains("input [B, D]"), Error);
  CHECK_THROWS_WITH_AS(ops::linear(ctx, x, Tensor::zeros(ctx, {3, 40}, DType::f64), {}),
                       doctest::Contains("input is f32, weight f64"), Error);
}
