#include "kernels/conv2d.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/common/onednn.hpp"
#include "tests/window_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Every input pixel is scattered into the outputs that see it; the kernels gather.
Values scatter(const Conv2dShape& s, const Values& x, const Values& w) {
  std::vector<long double> y(at(s.y_size()), 0.0L);
  scatter_pixels(s, [&](std::int64_t from, std::int64_t to, std::int64_t tap) {
    for (std::int64_t c = 0; c < s.C; ++c)
      for (std::int64_t k = 0; k < s.K; ++k)
        y[at(to * s.K + k)] += static_cast<long double>(x[at(from * s.C + c)]) * w[at((k * s.R * s.S + tap) * s.C + c)];
  });
  return {y.begin(), y.end()};
}

OpCase conv(const Conv2dShape& s) {
  return {.name = fmt::format("conv2d {}x{}x{}x{} * {}x{}x{} /{} pad {}, {}", s.N, s.H, s.W, s.C, s.K, s.R, s.S,
                              s.stride, s.pad, s.pad_end),
          .inputs = {{s.N, s.H, s.W, s.C}, {s.K, s.R, s.S, s.C}},
          .run = [=](Context& ctx,
                     const std::vector<Tensor>& x) { return ops::conv2d(ctx, x[0], x[1], s.stride, s.pad, s.pad_end); },
          .reference = [=](const std::vector<Values>& in) { return scatter(s, in[0], in[1]); },
          .depth = static_cast<double>(s.R * s.S * s.C),
          .grad_depth = static_cast<double>(std::max(s.R * s.S * s.K, s.N * s.P() * s.Q())),
          .adjust = [=](std::vector<Values>& in) { one_signed_end(s, s.R * s.S * s.C, in); },
          .parameters = {1}};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> out;
  // N, H, W, C, K, R, S, stride, pad
  for (const Conv2dShape& s : {
           Conv2dShape{1, 1, 1, 1, 1, 1, 1, 1, 0},
           {1, 1, 1, 3, 7, 3, 3, 1, 1},
           {2, 5, 7, 3, 7, 3, 3, 1, 1},
           {1, 7, 5, 1, 8, 3, 3, 2, 1},
           {2, 9, 9, 8, 10, 1, 1, 2, 0},
           {1, 15, 13, 3, 16, 7, 7, 2, 3},
           {2, 7, 9, 16, 33, 3, 3, 1, 1},
           {1, 6, 5, 31, 7, 3, 3, 2, 1},
           {1, 9, 7, 33, 31, 1, 1, 1, 0},
           {2, 4, 4, 64, 64, 3, 3, 1, 1},
           {3, 8, 8, 16, 32, 3, 3, 2, 1},
           {1, 10, 6, 7, 1, 5, 3, 1, 2},
           {1, 5, 5, 2, 3, 3, 3, 1, 0},
           {1, 3, 3, 10, 257, 1, 1, 1, 0},
           {2, 7, 7, 10, 16, 3, 3, 2, 1},
           {1, 8, 8, 16, 16, 3, 3, 1, 1},
           {1, 11, 11, 8, 8, 3, 3, 1, 1},
           {2, 8, 8, 8, 16, 3, 3, 2, 1},
           {1, 9, 8, 16, 32, 1, 1, 2, 0},
           {2, 6, 5, 8, 16, 5, 5, 1, 0},
           {1, 7, 6, 16, 8, 3, 3, 1, 2},
           {1, 6, 7, 64, 65, 3, 3, 1, 1},
           {2, 7, 6, 64, 72, 5, 5, 1, 1},
           {1, 5, 6, 128, 64, 3, 3, 1, 0},
           {2, 8, 6, 3, 16, 3, 3, 2, 0, 1},  // TensorFlow's SAME
           {1, 6, 7, 16, 16, 3, 3, 1, 0, 2},
           {1, 7, 6, 64, 64, 3, 3, 1, 2, 1},
           {3, 5, 4, 16, 17, 1, 1, 1, 0},  // bf16 data gradients from an odd number of channels
           {2, 12, 10, 32, 129, 1, 1, 2, 0},
           {4, 1, 1, 32, 48, 3, 3, 2, 1},  // taps that see nothing but padding
           {5, 2, 2, 16, 24, 3, 3, 3, 1},
       })
    out.push_back(conv(s));
  return out;
}

/// Forward that forgets the right edge: a window over it reads the first pixel of the next row instead of zero.
template <class T>
void wrap_right(const Conv2dShape& s, const T* x, const T* w, T* y) {
  for (std::int64_t n = 0; n < s.N; ++n)
    for (std::int64_t p = 0; p < s.P(); ++p)
      for (std::int64_t q = 0; q < s.Q(); ++q)
        for (std::int64_t k = 0; k < s.K; ++k) {
          T sum = 0;
          for (std::int64_t r = 0; r < s.R; ++r)
            for (std::int64_t t = 0; t < s.S; ++t)
              for (std::int64_t c = 0; c < s.C; ++c) {
                const std::int64_t h = p * s.stride + r - s.pad, v = q * s.stride + t - s.pad;
                if (h < 0 || h >= s.H || v < 0 || h * s.W + v >= s.H * s.W) continue;
                sum += x[((n * s.H + h) * s.W + v) * s.C + c] * w[((k * s.R + r) * s.S + t) * s.C + c];
              }
          y[((n * s.P() + p) * s.Q() + q) * s.K + k] = sum;
        }
}

}  // namespace

TEST_CASE("conv2d: match, gradcheck, mutants") { AKIN_TEST_OP(cases()); }

TEST_CASE("conv2d: outputs that see nothing but padding are zero") {
  for (const OpCase& c : {conv({1, 4, 4, 2, 3, 1, 1, 1, 1}), conv({2, 6, 6, 3, 5, 3, 3, 3, 3}),
                          conv({1, 8, 8, 8, 16, 1, 1, 2, 0, 1}), conv({1, 4, 5, 8, 7, 1, 1, 1, 0, 1})}) {
    CHECK_EQ(match(c), "");
    CHECK_EQ(gradcheck(c), "");
  }
}

TEST_CASE("conv2d: a weight gradient holds nothing of what memory held before") {
  // Large sums in the threads' scratch memory first, of a shape that needs more of it.
  const OpCase before = conv({16, 8, 8, 128, 128, 3, 3, 1, 1}), blind = conv({16, 1, 1, 64, 64, 3, 3, 2, 1});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Context ctx;
    if (dtype == DType::bf16 && !fast::onednn_has_bf16()) continue;
    const auto gradient = [&](const OpCase& c, double scale) {
      std::vector<Tensor> in;
      for (Array& a : std::vector<Array>(make_inputs(c, 9))) {
        for (double& v : a.as<double>()) v *= scale;
        in.push_back(Tensor::from(ctx, a.cast(in.empty() ? dtype : DType::f32)));  // weights stay f32
        in.back().set_requires_grad(true);
      }
      Tape tape;
      const TapeScope scope(ctx, &tape);
      tape.backward(ctx, ops::sum(ctx, c.run(ctx, in)));
      return in[1].grad().to_array().cast(DType::f64);
    };
    const Array first = gradient(blind, 1);
    gradient(before, 1e6);
    const Array again = gradient(blind, 1);
    CHECK(std::ranges::equal(again.as<double>(), first.as<double>()));
    const auto dw = again.as<double>();
    for (std::size_t i = 0; i < dw.size(); ++i)
      if (i / 64 % 9 != 4) CHECK(dw[i] == 0);  // of the nine taps the middle one sees the pixel
  }
}

TEST_CASE("conv2d: the same bits on any number of threads") {
  const std::vector<OpCase> some{
      conv({5, 14, 14, 16, 32, 3, 3, 2, 1}), conv({3, 9, 9, 8, 8, 3, 3, 1, 1}),
      conv({2, 15, 13, 1, 16, 3, 3, 1, 1}),  conv({37, 14, 14, 8, 16, 3, 3, 1, 1}),  // a last piece that is smaller
      conv({3, 4, 4, 192, 160, 3, 3, 1, 1}),                                         // pieces of channels
      conv({5, 8, 8, 130, 300, 3, 3, 2, 1})};
  AKIN_TEST_THREADS(some);
}

TEST_CASE("conv2d: a Context whose thread count changes stays right") {
  const Conv2dShape s{6, 8, 8, 16, 16, 3, 3, 1, 1};
  const std::vector<Array> in = make_inputs(conv(s), 5);
  const Array dy = Array::from(std::vector<double>(at(s.y_size()), 0.25), {s.N, s.P(), s.Q(), s.K});
  std::vector<double> want_y(at(s.y_size())), want_w(at(s.w_size()));
  conv2d_fwd(kSpec, s, in[0].as<double>().data(), in[1].as<double>().data(), want_y.data());
  conv2d_bwd_weight(kSpec, s, in[0].as<double>().data(), dy.as<double>().data(), want_w.data(), Accum::overwrite,
                    nullptr);
  const Array x = in[0].cast(DType::f32), w = in[1].cast(DType::f32), g = dy.cast(DType::f32);
  fast::OnednnCache cache;
  const Stream<Cpu> onednn{true, &cache};
  for (const int n : {2, 1, 2}) {
    const Threads threads(n);
    std::vector<float> y(want_y.size(), NAN), dw(want_w.size(), NAN);
    conv2d_fwd(onednn, s, x.as<float>().data(), w.as<float>().data(), y.data());
    conv2d_bwd_weight(onednn, s, x.as<float>().data(), g.as<float>().data(), dw.data(), Accum::overwrite, nullptr);
    const double eps = std::numeric_limits<float>::epsilon();
    CHECK_EQ(compare("y", {y.begin(), y.end()}, want_y, 4 * eps * std::sqrt(144)), "");
    CHECK_EQ(compare("dw", {dw.begin(), dw.end()}, want_w, 4 * eps * std::sqrt(384)), "");
  }
}

TEST_CASE("conv2d: mutants are rejected") {
  const Conv2dShape s{2, 5, 6, 3, 4, 3, 3, 1, 1};
  OpCase wrap = conv(s);
  wrap.differentiable = false;
  wrap.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.K}, x[0].dtype());
    if (x[0].dtype() == DType::f64)
      wrap_right(s, x[0].data<double>(), x[1].data<double>(), y.data<double>());
    else
      wrap_right(s, x[0].data<float>(), x[1].data<float>(), y.data<float>());
    return y;
  };
  CHECK_NE(match(wrap), "");

  // Weight gradients that miss the last output row, data gradients computed with the padding of one side less.
  for (const bool weight : {true, false}) {
    OpCase wrong = conv(s);
    wrong.run = [s, weight](Context& ctx, const std::vector<Tensor>& x) {
      const Tensor y = ops::conv2d(ctx, x[0].detach(), x[1].detach(), s.stride, s.pad);
      return record(ctx, "mutant", y, {x[0], x[1]}, [=, in = x](const Tensor& dy, Grads& d) {
        const auto [dx, mx] = d.into(0);
        const auto [dw, mw] = d.into(1);
        const Tensor cut = Tensor::from(d.ctx(), dy.to_array());
        if (weight) std::fill_n(cut.data<double>() + (s.N * s.P() - 1) * s.Q() * s.K, s.Q() * s.K, 0.0);
        conv2d_bwd_weight(kSpec, s, in[0].data<double>(), cut.data<double>(), dw.data<double>(), mw, nullptr);
        Conv2dShape shape = s;
        if (!weight) shape.W -= 1, shape.S -= 1;  // Q stays the same
        conv2d_bwd_data(kSpec, shape, dy.data<double>(), in[1].data<double>(), dx.data<double>(), mx, nullptr);
        if (!weight) std::fill(dx.data<double>() + shape.x_size(), dx.data<double>() + s.x_size(), 0.0);
      });
    };
    CHECK_NE(gradcheck(wrong), "");
  }
}

TEST_CASE("conv2d: NaN reaches every window that sees it and no other; an empty batch gives zero weight gradients") {
  Context ctx;
  Tensor x = Tensor::zeros(ctx, {1, 7, 7, 16});
  x.data<float>()[(3 * 7 + 3) * 16 + 5] = NAN;
  const Tensor w = Tensor::from(ctx, std::vector<float>(16 * 9 * 16, 0.5f), {16, 3, 3, 16});
  const Tensor y = ops::conv2d(ctx, x, w, 1, 1);
  for (std::int64_t p = 0; p < 7; ++p)
    for (std::int64_t q = 0; q < 7; ++q) {
      const bool sees = std::abs(p - 3) <= 1 && std::abs(q - 3) <= 1;
      for (std::int64_t k : {0, 15}) CHECK_EQ(std::isnan(y.data<float>()[(p * 7 + q) * 16 + k]), sees);
    }
  const Conv2dShape none{0, 7, 7, 16, 16, 3, 3, 1, 1};
  fast::OnednnCache cache;
  const Stream<Cpu> onednn{true, &cache};
  std::vector<float> dw(at(none.w_size()), NAN);
  const float* nothing = nullptr;
  conv2d_bwd_weight(onednn, none, nothing, nothing, dw.data(), Accum::overwrite, nullptr);
  CHECK(std::all_of(dw.begin(), dw.end(), [](float v) { return v == 0; }));
}

TEST_CASE("conv2d: mismatches are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {1, 5, 5, 3});
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, x, Tensor::zeros(ctx, {2, 3, 3, 4}), 1, 1),
                       doctest::Contains("input has 3 channels, weight expects 4"), Error);
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, x, Tensor::zeros(ctx, {2, 7, 7, 3}), 1, 0),
                       doctest::Contains("a 7x7 window does not fit in 5x5 padded by 0"), Error);
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, x, Tensor::zeros(ctx, {2, 7, 7, 3}), 1, 0, 1),
                       doctest::Contains("5x5 padded by 0 and 1"), Error);
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, x, Tensor::zeros(ctx, {2, 3, 3, 3}), 0, 0), doctest::Contains("stride 0"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, Tensor::zeros(ctx, {5, 5, 3}), Tensor::zeros(ctx, {2, 3, 3, 3}), 1, 0),
                       doctest::Contains("[N, H, W, C]"), Error);
  CHECK_THROWS_WITH_AS(ops::conv2d(ctx, x, Tensor::zeros(ctx, {2, 3, 3, 3}, DType::f64), 1, 0),
                       doctest::Contains("input is f32, weight f64"), Error);
}
