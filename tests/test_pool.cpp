#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "engine/launch_on.hpp"
#include "kernels/pool.hpp"
#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

enum class Kind { max, avg };

/// Distinct values at least 0.01 apart in a shuffled order: central differences never cross a tie of max_pool.
void distinct(std::vector<Values>& x) {
  std::vector<double> v(x[0].size());
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = 0.01 * static_cast<double>(i + 1);
  Rng rng(5);
  for (std::size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[rng.below(static_cast<std::uint32_t>(i))]);
  // The last output must carry a value, or the planted bug would be invisible.
  for (std::size_t i = 0; i < v.size(); ++i) x[0][i] = v[i] - (i % 3 == 0 ? 0.005 * static_cast<double>(v.size()) : 0);
}

/// Plain loops over a padded copy: padding is -inf for max, 0 for avg.
Values pool_reference(Kind kind, const Shape& s, std::int64_t window, std::int64_t stride, std::int64_t pad,
                      const Values& x) {
  const std::int64_t N = s[0], H = s[1], W = s[2], C = s[3], HP = H + 2 * pad, WP = W + 2 * pad;
  std::vector<double> padded(static_cast<std::size_t>(N * HP * WP * C), kind == Kind::max ? -INFINITY : 0.0);
  std::size_t i = 0;
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t h = 0; h < H; ++h)
      for (std::int64_t w = 0; w < W; ++w)
        for (std::int64_t c = 0; c < C; ++c)
          padded[static_cast<std::size_t>(((n * HP + h + pad) * WP + w + pad) * C + c)] = x[i++];
  Values y;
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t top = 0; top + window <= HP; top += stride)
      for (std::int64_t left = 0; left + window <= WP; left += stride)
        for (std::int64_t c = 0; c < C; ++c) {
          double best = -INFINITY, sum = 0;
          for (std::int64_t r = 0; r < window; ++r)
            for (std::int64_t t = 0; t < window; ++t) {
              const double v = padded[static_cast<std::size_t>(((n * HP + top + r) * WP + left + t) * C + c)];
              best = std::max(best, v);
              sum += v;
            }
          y.push_back(kind == Kind::max ? best : sum / static_cast<double>(window * window));
        }
  return y;
}

OpCase make(Kind kind, const Shape& s, std::int64_t window, std::int64_t stride, std::int64_t pad) {
  return {.name = fmt::format("{}_pool {} window {} stride {} pad {}", kind == Kind::max ? "max" : "avg", s.str(),
                              window, stride, pad),
          .inputs = {s},
          .run =
              [=](Context& ctx, const std::vector<Tensor>& x) {
                return kind == Kind::max ? ops::max_pool(ctx, x[0], window, stride, pad)
                                         : ops::avg_pool(ctx, x[0], window, stride, pad);
              },
          .reference = [=](const std::vector<Values>& x) { return pool_reference(kind, s, window, stride, pad, x[0]); },
          .depth = static_cast<double>(window * window),
          .grad_depth = static_cast<double>(window * window),
          .adjust = distinct};
}

OpCase make_global(const Shape& s) {
  return {.name = "global_avg_pool " + s.str(),
          .inputs = {s},
          .run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::global_avg_pool(ctx, x[0]); },
          .reference =
              [s](const std::vector<Values>& x) {
                Values y;
                const std::int64_t pixels = s[1] * s[2], C = s[3];
                for (std::int64_t n = 0; n < s[0]; ++n)
                  for (std::int64_t c = 0; c < C; ++c) {
                    long double sum = 0;
                    for (std::int64_t i = 0; i < pixels; ++i)
                      sum += x[0][static_cast<std::size_t>((n * pixels + i) * C + c)];
                    y.push_back(static_cast<double>(sum / pixels));
                  }
                return y;
              },
          .depth = static_cast<double>(s[1] * s[2]),
          .low = 0.1};
}

}  // namespace

TEST_CASE("pool: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::max, Kind::avg}) {
    cases.push_back(make(kind, {1, 1, 1, 1}, 1, 1, 0));
    cases.push_back(make(kind, {2, 7, 7, 1}, 2, 2, 0));  // the last row and column are in no window
    cases.push_back(make(kind, {2, 5, 7, 7}, 3, 2, 1));
    cases.push_back(make(kind, {1, 6, 4, 10}, 3, 1, 1));  // windows overlap
    cases.push_back(make(kind, {1, 3, 3, 31}, 3, 3, 0));
    cases.push_back(make(kind, {3, 4, 5, 33}, 2, 3, 1));  // gaps between windows
    cases.push_back(make(kind, {1, 10, 9, 257}, 3, 2, 1));
    cases.push_back(make(kind, {5, 31, 33, 16}, 3, 2, 1));
    cases.push_back(make(kind, {2, 6, 5, 24}, 3, 2, 1));  // packs
  }
  for (const Shape& s : {Shape{1, 1, 1, 1}, Shape{7, 3, 3, 7}, Shape{2, 7, 7, 10}, Shape{3, 8, 8, 31},
                         Shape{1, 2, 5, 33}, Shape{33, 5, 3, 257}, Shape{3, 7, 5, 24}, Shape{2, 1, 1, 272}})
    cases.push_back(make_global(s));
  AKIN_TEST_OP(cases);
}

TEST_CASE("pool: a mean that leaves padding out, and a maximum that lets padding win, are rejected") {
  OpCase avg = make(Kind::avg, {1, 4, 4, 3}, 3, 2, 1);
  avg.run = [](Context& ctx, const std::vector<Tensor>& x) {
    // Dividing by the pixels inside the image instead of window^2.
    const Tensor ones = Tensor::from(ctx, Array::from(std::vector<double>(48, 1.0), {1, 4, 4, 3}).cast(x[0].dtype()));
    const Array inside = ops::avg_pool(ctx, ones, 3, 2, 1).to_array().cast(DType::f64);
    std::vector<double> inverse;
    for (const double v : inside.as<double>()) inverse.push_back(1 / v);
    const Tensor w = Tensor::from(ctx, Array::from(inverse, inside.shape()).cast(x[0].dtype()));
    return ops::mul(ctx, ops::avg_pool(ctx, x[0], 3, 2, 1), w);
  };
  CHECK_NE(match(avg), "");
  OpCase max = make(Kind::max, {1, 4, 4, 3}, 3, 2, 1);
  max.adjust = [](std::vector<Values>& x) {
    distinct(x);
    for (double& v : x[0]) v -= 10;  // all below zero, so that zero padding would win
  };
  CHECK_EQ(match(max), "");
  const auto right = max.run;
  max.run = [right](Context& ctx, const std::vector<Tensor>& x) { return ops::relu(ctx, right(ctx, x)); };
  CHECK_NE(match(max), "");
}

TEST_CASE("max_pool: the first of equal pixels gets the whole gradient, NaN wins, padding does not") {
  Context ctx(Device::cpu, {.poison = true});
  Tensor x = Tensor::from(ctx, std::vector<float>{2, 2, 1, 2}, {1, 2, 2, 1});
  x.set_requires_grad(true);
  Tape tape;
  {
    const TapeScope scope(ctx, &tape);
    tape.backward(ctx, ops::sum(ctx, ops::max_pool(ctx, x, 2, 2, 0)));
  }
  const Array g = x.grad().to_array();
  CHECK(std::vector<float>(g.as<float>().begin(), g.as<float>().end()) == std::vector<float>{1, 0, 0, 0});

  for (const std::size_t at : {0u, 1u, 3u}) {
    std::vector<float> v{5, 5, 5, 5};
    v[at] = NAN;
    const Tensor y = ops::max_pool(ctx, Tensor::from(ctx, v, {1, 2, 2, 1}), 2, 2, 0);
    CHECK(std::isnan(y.item()));
  }
  const Tensor low = Tensor::from(ctx, std::vector<float>{-INFINITY, -3e38f, -INFINITY, -INFINITY}, {1, 2, 2, 1});
  const Array y = ops::max_pool(ctx, low, 3, 2, 1).to_array();
  CHECK_EQ(y.as<float>()[0], -3e38f);

  // The saved index names the first NaN, so its gradient lands there.
  const PoolShape row{1, 3, 3, 1, 3, 3, 0};
  std::vector<double> nine(9);
  std::iota(nine.begin(), nine.end(), 0.0);
  nine[4] = NAN;
  nine[7] = NAN;
  double top = 0;
  std::int32_t at = -1;
  max_pool_fwd(kSpec, row, nine.data(), &top, &at);
  CHECK(std::isnan(top));
  CHECK_EQ(at, 4);
}

TEST_CASE("max_pool: rounding up gives the pixels that are left a window of their own") {
  std::vector<OpCase> cases;
  // PyTorch's sizes: F.max_pool2d(zeros(1, 1, H, W), window, stride, pad, ceil_mode=True).shape
  struct Ceil {
    Shape s;
    std::int64_t window, stride, pad, P, Q;
  };
  for (const Ceil& c :
       {Ceil{{1, 8, 7, 7}, 3, 2, 0, 4, 3},
        {{2, 28, 11, 8}, 3, 2, 0, 14, 5},
        {{1, 5, 6, 24}, 2, 2, 1, 3, 4},  // a window that would start in the padding after 5 rows is dropped
        {{1, 2, 4, 31}, 3, 2, 0, 1, 2},  // a window larger than the image
        {{1, 5, 7, 1}, 2, 3, 1, 2, 3},
        {{1, 6, 3, 10}, 1, 4, 0, 2, 1},
        {{1, 9, 4, 33}, 3, 3, 1, 4, 2}}) {
    OpCase o = make(Kind::max, c.s, c.window, c.stride, c.pad);
    o.name += " rounded up";
    o.run = [=](Context& ctx, const std::vector<Tensor>& x) {
      const Tensor y = ops::max_pool(ctx, x[0], c.window, c.stride, c.pad, true);
      CHECK(y.shape() == Shape{c.s[0], c.P, c.Q, c.s[3]});
      return y;
    };
    o.reference = [=](const std::vector<Values>& x) {
      Values y;
      for (std::int64_t n = 0; n < c.s[0]; ++n)
        for (std::int64_t p = 0; p < c.P; ++p)
          for (std::int64_t q = 0; q < c.Q; ++q)
            for (std::int64_t k = 0; k < c.s[3]; ++k) {
              double best = -INFINITY;
              for (std::int64_t h = p * c.stride - c.pad; h < p * c.stride - c.pad + c.window; ++h)
                for (std::int64_t w = q * c.stride - c.pad; w < q * c.stride - c.pad + c.window; ++w)
                  if (h >= 0 && h < c.s[1] && w >= 0 && w < c.s[2])
                    best = std::max(best, x[0][static_cast<std::size_t>(((n * c.s[1] + h) * c.s[2] + w) * c.s[3] + k)]);
              y.push_back(best);
            }
      return y;
    };
    cases.push_back(o);
  }
  AKIN_TEST_OP(cases);
  OpCase down = cases[0];  // the same without rounding up
  down.run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::max_pool(ctx, x[0], 3, 2, 0); };
  CHECK_NE(match(down), "");
}

namespace {

OpCase make_adaptive(const Shape& s, std::int64_t P, std::int64_t Q) {
  const double depth = static_cast<double>((s[1] / P + 2) * (s[2] / Q + 2));
  return {
      .name = fmt::format("adaptive_avg_pool {} to {}x{}", s.str(), P, Q),
      .inputs = {s},
      .run = [=](Context& ctx, const std::vector<Tensor>& x) { return ops::adaptive_avg_pool(ctx, x[0], P, Q); },
      .reference =
          [=](const std::vector<Values>& x) {
            const auto from = [](std::int64_t i, std::int64_t size, std::int64_t n) {
              return static_cast<std::int64_t>(std::floor(static_cast<double>(i * size) / static_cast<double>(n)));
            };
            const auto to = [](std::int64_t i, std::int64_t size, std::int64_t n) {
              return static_cast<std::int64_t>(std::ceil(static_cast<double>((i + 1) * size) / static_cast<double>(n)));
            };
            Values y;
            for (std::int64_t n = 0; n < s[0]; ++n)
              for (std::int64_t p = 0; p < P; ++p)
                for (std::int64_t q = 0; q < Q; ++q)
                  for (std::int64_t c = 0; c < s[3]; ++c) {
                    double sum = 0, count = 0;
                    for (std::int64_t h = from(p, s[1], P); h < to(p, s[1], P); ++h)
                      for (std::int64_t w = from(q, s[2], Q); w < to(q, s[2], Q); ++w, ++count)
                        sum += x[0][static_cast<std::size_t>(((n * s[1] + h) * s[2] + w) * s[3] + c)];
                    y.push_back(sum / count);
                  }
            return y;
          },
      .depth = depth,
      .grad_depth = static_cast<double>((P / s[1] + 2) * (Q / s[2] + 2)),
      .adjust = distinct};
}

}  // namespace

TEST_CASE("adaptive_avg_pool: windows that divide, overlap or repeat pixels") {
  std::vector<OpCase> cases;
  for (const auto& [s, P, Q] : std::vector<std::tuple<Shape, std::int64_t, std::int64_t>>{
           {{1, 1, 1, 1}, 1, 1},
           {{2, 6, 6, 7}, 3, 2},     // divide
           {{1, 7, 5, 10}, 3, 4},    // overlap
           {{2, 13, 13, 24}, 6, 6},  // AlexNet
           {{1, 1, 1, 33}, 6, 6},    // repeat, as AlexNet does on small images
           {{2, 3, 2, 8}, 7, 3},
           {{1, 4, 5, 31}, 4, 5},  // as it is
           {{2, 9, 7, 257}, 1, 1}})
    cases.push_back(make_adaptive(s, P, Q));
  AKIN_TEST_OP(cases);
  OpCase wrong = make_adaptive({1, 6, 6, 3}, 3, 3);  // means of 2x2 are the windows of 6 -> 3, not of 7 -> 3
  CHECK_EQ(match(wrong), "");
  wrong.run = [](Context& ctx, const std::vector<Tensor>& x) { return ops::avg_pool(ctx, x[0], 4, 2, 1); };
  CHECK_NE(match(wrong), "");
  Context ctx;
  CHECK_THROWS_WITH_AS(ops::adaptive_avg_pool(ctx, Tensor::zeros(ctx, {1, 2, 2, 1}), 0, 3), doctest::Contains("0x3"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::adaptive_avg_pool(ctx, Tensor::zeros(ctx, {1, 2, 2, 1}), 1, 1 << 30),
                       doctest::Contains("too many"), Error);
  CHECK_THROWS_WITH_AS(ops::adaptive_avg_pool(ctx, Tensor::zeros(ctx, {1, 0, 2, 1}), 1, 1),
                       doctest::Contains("no pixel"), Error);
}

TEST_CASE("pool: unaligned memory, and one launch a direction, on a device") {
  const Shape s{2, 5, 6, 8};
  for (const Kind kind : {Kind::max, Kind::avg}) {
    OpCase c = make(kind, s, 3, 2, 1);  // one element late, so that nothing lies on 16 bytes
    c.inputs[0] = {s.numel() + 1};
    c.run = [s, whole = c.run](Context& ctx, const std::vector<Tensor>& x) {
      return whole(ctx, {ops::reshape(ctx, ops::rows(ctx, x[0], 1, s.numel() + 1), s)});
    };
    c.reference = [whole = c.reference](const std::vector<Values>& x) {
      return whole({Values(x[0].begin() + 1, x[0].end())});
    };
    CHECK_EQ(match(c), "");
  }
  LaunchLog log;
  Context ctx(Device::sim, {.poison = true});
  for (const int which : {0, 1, 2}) {
    Tensor x = Tensor::zeros(ctx, s);
    x.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    ctx.launches = &log;
    log.clear();
    const Tensor y = which == 0   ? ops::max_pool(ctx, x, 3, 2, 1)
                     : which == 1 ? ops::avg_pool(ctx, x, 3, 2, 1)
                                  : ops::global_avg_pool(ctx, x);
    CHECK_EQ(log.size(), 1);
    ctx.launches = nullptr;
    const Tensor loss = ops::sum(ctx, y);
    ctx.launches = &log;
    tape.backward(ctx, loss);
    CHECK_EQ(log.size(), 1 + 2 + 1);  // and the gradients of the loss and of the sum
    ctx.launches = nullptr;
  }
}

TEST_CASE("max_pool: on a device ties, NaN and padding are as in the specification") {
  const PoolShape s{2, 9, 7, 24, 3, 2, 1};
  std::vector<float> x;
  Rng rng(21);
  for (std::int64_t i = 0; i < s.N * s.H * s.W * s.C; ++i) {
    const auto kind = rng.below(12);  // few values, so that most windows hold equal maxima
    x.push_back(kind == 0 ? NAN : kind == 1 ? -INFINITY : static_cast<float>(kind % 4) - 3);
  }
  std::vector<float> y(static_cast<std::size_t>(s.N * s.P() * s.Q() * s.C), NAN);
  std::vector<std::int32_t> at(y.size(), -1);
  max_pool_fwd(kSpec, s, x.data(), y.data(), at.data());
  Context ctx(Device::sim, {.poison = true});
  const auto size = static_cast<std::int64_t>(y.size());
  const Tensor in = Tensor::from(ctx, x, {static_cast<std::int64_t>(x.size())}), out = Tensor::empty(ctx, {size}),
               where = Tensor::empty(ctx, {size}, DType::i32);
  on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
    max_pool_fwd(stream, s, in.data<float>(), out.data<float>(), where.data<std::int32_t>());
  });
  const Array found = out.to_array(), index = where.to_array();
  int nans = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK_EQ(index.as<std::int32_t>()[i], at[i]);
    const float f = found.as<float>()[i];
    CHECK((std::isnan(y[i]) ? std::isnan(f) : f == y[i]));
    nans += std::isnan(y[i]);
  }
  CHECK(nans > 0);
}

TEST_CASE("pool: impossible windows are named") {
  Context ctx;
  const Tensor x = Tensor::zeros(ctx, {1, 4, 4, 2});
  CHECK_THROWS_WITH_AS(ops::max_pool(ctx, x, 5, 1, 0), doctest::Contains("smaller than the window of 5"), Error);
  CHECK_THROWS_WITH_AS(ops::avg_pool(ctx, x, 3, 1, 2), doctest::Contains("avg_pool: padding 2"), Error);
  CHECK_THROWS_WITH_AS(ops::max_pool(ctx, x, 2, 0, 0), doctest::Contains("stride 0"), Error);
  CHECK_THROWS_WITH_AS(ops::max_pool(ctx, Tensor::zeros(ctx, {4, 4}), 2, 2, 0), doctest::Contains("[N, H, W, C]"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::global_avg_pool(ctx, Tensor::zeros(ctx, {2, 0, 4, 2})), doctest::Contains("no pixel"),
                       Error);
  CHECK_THROWS_WITH_AS(ops::avg_pool(ctx, Tensor::zeros(ctx, {1, 2, 2, 1}, DType::u8), 2, 2, 0),
                       doctest::Contains("found u8"), Error);
}
