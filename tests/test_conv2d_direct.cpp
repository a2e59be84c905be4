// The direct kernels of conv2d for few channels on a device: every count of channels, stride and pass, against plain
// loops in double. Which tiles a launch cuts depends on the sizes and on the number of multiprocessors.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/launch_on.hpp"
#include "kernels/common/gpu/halo_plan.hpp"
#include "kernels/conv2d.hpp"
#include "tests/gpu_case.hpp"
#include "tests/moments_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Numbers in [-1, 1] that bf16 holds.
std::vector<bf16> numbers(std::int64_t n, std::uint32_t stream) {
  Rng rng(33, stream);
  std::vector<bf16> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(float_to_bf16(rng.uniform(-1, 1)));
  return v;
}
Values wide(const std::vector<bf16>& v) {
  Values out;
  for (const bf16 x : v) out.push_back(static_cast<double>(bf16_to_float(x)));
  return out;
}

/// As in test_tile.cpp: products are exact, their sum rounds, the result rounds once more where it is bf16.
double tolerance(std::int64_t terms, bool low, Device device) {
  const double eps{std::numeric_limits<float>::epsilon()}, n = static_cast<double>(terms);
  return 4 * eps * std::sqrt(n + 3) + (device == Device::cuda ? eps * n / 16 : 0.0) + (low ? 0x1p-8 : 0.0);
}

std::string name(const Conv2dShape& s) {
  return fmt::format("{}x{}x{}x{} * {} /{} pad {}, {}", s.N, s.H, s.W, s.C, s.K, s.stride, s.pad, s.pad_end);
}

/// All three passes in one place, told of so many multiprocessors, as these have few tiles; `data_is_direct`: whether
/// the data gradient must be, as the others must.
void check(Context& ctx, const Conv2dShape& s, Accum mode, bool data_is_direct, int multiprocessors = 2) {
  CAPTURE(name(s));
  const std::vector<bf16> x = numbers(s.x_size(), 1), w = numbers(s.w_size(), 2), dy = numbers(s.y_size(), 3),
                          old = numbers(s.x_size(), 4);
  std::vector<float> old_w;
  for (const double v : wide(numbers(s.w_size(), 5))) old_w.push_back(static_cast<float>(v));
  const bool adds = mode == Accum::add;
  const Tensor tx = on_device(ctx, x), tw = on_device(ctx, w), tdy = on_device(ctx, dy);
  const Tensor ty = room<bf16>(ctx, s.y_size());
  const Tensor tdx = adds ? on_device(ctx, old) : room<bf16>(ctx, s.x_size());
  const Tensor tdw = adds ? on_device(ctx, old_w) : room<float>(ctx, s.w_size());
  LaunchLog log;
  ctx.launches = &log;
  GpuLimits limits = ctx.gpu->limits();
  limits.multiprocessors = multiprocessors;
  on_gpu(ctx, {"test", {}}, [&](auto stream) {
    stream.limits = &limits;
    const Tensor workspace = room<float>(ctx, conv2d_weight_workspace<bf16>(stream, s));
    const Tensor left = room<float>(ctx, conv2d_moments<bf16>(stream, s)), again = room<bf16>(ctx, s.y_size());
    PartMoments moments{left.data<float>()};
    conv2d_fwd(stream, s, tx.data<bf16>(), tw.data<bf16>(), ty.data<bf16>(), &moments);
    CHECK_EQ(compare_moments(left, moments.parts, to_values(ty), s.K), "");
    conv2d_fwd(stream, s, tx.data<bf16>(), tw.data<bf16>(), again.data<bf16>());
    CHECK_EQ(compare("without moments", to_values(again), to_values(ty), 0.0), "");
    conv2d_bwd_data(stream, s, tdy.data<bf16>(), tw.data<bf16>(), tdx.data<bf16>(), mode, nullptr);
    conv2d_bwd_weight(stream, s, tx.data<bf16>(), tdy.data<bf16>(), tdw.data<float>(), mode, workspace.data<float>());
  });
  ctx.launches = nullptr;
  const auto count = [&](const char* kernel) { return std::ranges::count(log, kernel); };
  CHECK_EQ(count("conv2d_direct_fwd"), 2);
  CHECK_EQ(count("conv2d_direct_bwd_data"), data_is_direct ? 1 : 0);
  CHECK_EQ(count("conv2d_direct_bwd_weight"), 1);

  const Values vx = wide(x), vw = wide(w), vdy = wide(dy);
  Values y(at(s.y_size())), dx = adds ? wide(old) : Values(at(s.x_size())),
                            dw = adds ? Values(old_w.begin(), old_w.end()) : Values(at(s.w_size()));
  conv2d_fwd(kSpec, s, vx.data(), vw.data(), y.data());
  conv2d_bwd_data(kSpec, s, vdy.data(), vw.data(), dx.data(), mode, nullptr);
  conv2d_bwd_weight(kSpec, s, vx.data(), vdy.data(), dw.data(), mode, nullptr);
  CHECK_EQ(compare("y", to_values(ty), y, tolerance(9 * s.C, true, ctx.device)), "");
  CHECK_EQ(compare("dx", to_values(tdx), dx, tolerance(9 * s.K, true, ctx.device)), "");
  CHECK_EQ(compare("dw", to_values(tdw), dw, tolerance(s.N * s.P() * s.Q(), false, ctx.device)), "");
}

}  // namespace

TEST_CASE("direct convolution: every count of channels, both strides") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t stride : {1, 2})
      for (const std::int64_t C : {1, 3, 8, 16, 32, 64})
        for (const std::int64_t K : {16, 32, 64}) {
          if (kSanitized && C * K > 16 * 32 && C * K < 64 * 64) continue;
          check(ctx, {2, 9, 11, C, K, 3, 3, stride, 1}, (C + K) % 3 == 0 ? Accum::add : Accum::overwrite, C >= 16);
        }
  });
}

TEST_CASE("direct convolution: images of all sizes, borders") {
  on_gpus([](Context& ctx) {
    const std::vector<Conv2dShape> shapes = {
        {1, 1, 1, 16, 16, 3, 3, 1, 1},      {1, 1, 1, 16, 16, 3, 3, 2, 1},     {3, 2, 3, 16, 32, 3, 3, 2, 1},
        {19, 8, 8, 16, 16, 3, 3, 1, 1},     {9, 7, 7, 32, 32, 3, 3, 1, 1},     {2, 32, 32, 16, 16, 3, 3, 1, 1},
        {1, 28, 28, 1, 16, 3, 3, 1, 1},     {2, 33, 17, 16, 16, 3, 3, 1, 1},   {3, 16, 16, 32, 16, 3, 3, 2, 1},
        {1, 5, 70, 3, 32, 3, 3, 2, 1},      {1, 40, 9, 16, 16, 3, 3, 1, 0, 0}, {2, 9, 10, 16, 16, 3, 3, 1, 2, 2},
        {1, 12, 10, 16, 16, 3, 3, 1, 0, 2}, {70, 2, 2, 16, 16, 3, 3, 1, 1},    {5, 8, 8, 64, 64, 3, 3, 1, 1}};
    for (const Conv2dShape& s : shapes) check(ctx, s, Accum::overwrite, s.C >= 16);
    // With stride 2 a data gradient is direct where the padding is 1 on all sides.
    check(ctx, {2, 8, 10, 16, 16, 3, 3, 2, 0, 1}, Accum::overwrite, false);
  });
}

TEST_CASE("direct convolution: shapes at random") {
  on_gpus([](Context& ctx) {
    Rng rng(77, 1);
    const auto some = [&](std::uint32_t most) { return static_cast<std::int64_t>(1 + rng.below(most)); };
    const char* more = std::getenv("AKIN_TEST_SHAPES");  // how many, for a longer search
    for (int left = more != nullptr ? std::atoi(more) : kSanitized ? 3 : 10; left > 0; --left) {
      Conv2dShape s{some(9), some(34), some(40), 16 << rng.below(3), 16 << rng.below(3), 3, 3, some(2), some(3) - 1};
      s.pad_end = some(3) - 1;
      if (rng.below(4) == 0) s.C = some(8);
      if (s.H + s.pad + s.pad_end < 3 || s.W + s.pad + s.pad_end < 3) continue;
      const bool spread = s.stride == 2;
      const bool direct = s.C >= 16 && (!spread || (s.pad == 1 && s.P() == (s.H + 1) / 2 && s.Q() == (s.W + 1) / 2));
      check(ctx, s, rng.below(2) == 0 ? Accum::add : Accum::overwrite, direct);
    }
  });
}

TEST_CASE("direct convolution: on as many multiprocessors as a card has") {
  on_gpus([](Context& ctx) {
    if (ctx.gpu->limits().multiprocessors < 100) return;
    check(ctx, {66, 16, 9, 16, 16, 3, 3, 1, 1}, Accum::overwrite, true, 132);
    check(ctx, {140, 17, 9, 16, 16, 3, 3, 2, 1}, Accum::add, true, 132);
  });
}

TEST_CASE("plan_halo: tiles hold all positions, within what is given") {
  Rng rng(5, 1);
  for (int i = 0; i < 2000; ++i) {
    const auto some = [&](double most) { return 1 + static_cast<std::int64_t>(rng.uniform(0, 1) * most); };
    const std::int64_t stride = some(1.99), P = some(40), Q = some(70);
    const gpu::HaloWindow w{some(20), P * stride, Q * stride, P, Q, stride, 1, 3};
    const std::int64_t runs = 8 * some(7.99), pixels = 200 + some(1000), cols = 34 + some(60);
    const gpu::HaloPlan p = gpu::plan_halo(w, runs, pixels, cols);
    REQUIRE(p.tiles > 0);
    CHECK_LE(p.runs(), runs);
    CHECK_LE(p.pixels(), pixels);
    CHECK_LE(p.cols, cols);
    CHECK_EQ(p.tw % 8, 0);
    if (p.images > 1) CHECK_MESSAGE((p.th == P && p.tw >= Q), "several images, not whole ones");
    CHECK_GE(p.tiles * p.images * p.th * p.tw, w.N * P * Q);
  }
  CHECK_EQ(gpu::plan_halo({1, 8, 8, 8, 8, 1, 1, 3}, 64, 20, 100).tiles, 0);  // no room for three rows of ten
}

TEST_CASE("direct convolution: a tap at the wrong place is told") {
  const Conv2dShape s{2, 9, 11, 16, 16, 3, 3, 1, 1};
  const Values x = wide(numbers(s.x_size(), 1)), w = wide(numbers(s.w_size(), 2));
  Values right(at(s.y_size())), wrong(at(s.y_size())), moved = w;
  for (std::int64_t k = 0; k < s.K; ++k)
    std::swap_ranges(moved.begin() + k * 144, moved.begin() + k * 144 + 16, moved.begin() + k * 144 + 16);
  conv2d_fwd(kSpec, s, x.data(), w.data(), right.data());
  conv2d_fwd(kSpec, s, x.data(), moved.data(), wrong.data());
  CHECK_NE(compare("y", wrong, right, tolerance(144, true, Device::sim)), "");
}

namespace {

/// The data gradient masked and summed for a batch norm, its ReLU told from `from_output` or from its input.
void check_norm(Context& ctx, const Conv2dShape& s, Accum mode, bool from_output) {
  CAPTURE(name(s));
  const std::int64_t M = s.N * s.H * s.W;
  const std::vector<bf16> w = numbers(s.w_size(), 2), dy = numbers(s.y_size(), 3), old = numbers(s.x_size(), 4),
                          x = numbers(s.x_size(), 6), y = numbers(s.x_size(), 7);
  std::vector<std::vector<float>> norm;  // mean, invstd, gamma, beta
  for (std::uint32_t i = 0; i < 4; ++i) {
    norm.emplace_back();
    for (const double v : wide(numbers(s.C, 8 + i))) norm.back().push_back(static_cast<float>(i == 1 ? v + 2 : v));
  }
  const bool adds = mode == Accum::add;
  const Tensor tw = on_device(ctx, w), tdy = on_device(ctx, dy), tx = on_device(ctx, x), ty = on_device(ctx, y);
  const Tensor tdx = adds ? on_device(ctx, old) : room<bf16>(ctx, s.x_size());
  std::vector<Tensor> tn;
  for (const auto& v : norm) tn.push_back(on_device(ctx, v));
  std::int64_t parts = 0;
  Values sums;
  GpuLimits limits = ctx.gpu->limits();
  limits.multiprocessors = 2;
  on_gpu(ctx, {"test", {}}, [&](auto stream) {
    stream.limits = &limits;
    const Tensor left = room<float>(ctx, conv2d_norm_sums<bf16>(stream, s));
    NormGradient<bf16> wanted{.x = tx.data<bf16>(),
                              .y = from_output ? ty.data<bf16>() : nullptr,
                              .mean = tn[0].data<float>(),
                              .invstd = tn[1].data<float>(),
                              .gamma = tn[2].data<float>(),
                              .beta = tn[3].data<float>(),
                              .sums = left.data<float>()};
    conv2d_bwd_data(stream, s, tdy.data<bf16>(), tw.data<bf16>(), tdx.data<bf16>(), mode, nullptr, &wanted);
    parts = wanted.parts;
    sums = to_values(left);
  });
  REQUIRE_GE(parts, 1);
  REQUIRE_LE(NormGradient<bf16>::floats(parts, s.C), static_cast<std::int64_t>(sums.size()));

  const Values vw = wide(w), vdy = wide(dy), vx = wide(x), vy = wide(y);
  Values du = adds ? wide(old) : Values(at(s.x_size()));
  conv2d_bwd_data(kSpec, s, vdy.data(), vw.data(), du.data(), mode, nullptr);
  for (std::int64_t i = 0; i < s.x_size(); ++i) {
    const auto c = at(i % s.C);
    const float scale = norm[2][c] * norm[1][c];
    const float out = std::fmaf(static_cast<float>(vx[at(i)]) - norm[0][c], scale, norm[3][c]);
    if (!(from_output ? vy[at(i)] > 0 : out > 0)) du[at(i)] = 0;
  }
  const Values found = to_values(tdx);
  CHECK_EQ(compare("du", found, du, tolerance(9 * s.K, true, ctx.device)), "");
  // The sums are of what is stored: M terms, rounded as they are added.
  Values want(at(2 * s.C)), have(at(2 * s.C));
  double most = 0;
  for (std::int64_t i = 0; i < s.x_size(); ++i) {
    const auto c = at(i % s.C);
    want[c] += found[at(i)];
    want[at(s.C) + c] += found[at(i)] * (vx[at(i)] - double{norm[0][c]});
    most = std::max(most, std::abs(found[at(i)]));
  }
  for (std::int64_t p = 0; p < parts; ++p)
    for (std::int64_t c = 0; c < s.C; ++c) {
      have[at(c)] += sums[at(p * s.C + c)];
      have[at(s.C + c)] += sums[at((parts + p) * s.C + c)];
    }
  const double bound = 4 * double{std::numeric_limits<float>::epsilon()} * std::sqrt(static_cast<double>(M)) * 2 *
                       most * static_cast<double>(M);
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(std::abs(have[i] - want[i]) <= bound);
}

}  // namespace

TEST_CASE("direct convolution: data gradients masked and summed for a batch norm") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t C : {16, 32, 64})
      for (const std::int64_t K : {16, 32, 64})
        for (const bool from_output : {false, true}) {
          if (kSanitized && C != K) continue;
          check_norm(ctx, {3, 9, 11, C, K, 3, 3, 1, 1}, C == K ? Accum::overwrite : Accum::add, from_output);
        }
    check_norm(ctx, {2, 32, 32, 16, 16, 3, 3, 1, 1}, Accum::add, true);
    check_norm(ctx, {11, 8, 8, 16, 16, 3, 3, 1, 1}, Accum::add, false);
  });
}

namespace {

/// Batch norms and convolutions as residual networks have them, and gradients of all that can have one.
std::vector<Values> chain(Context& ctx, bool shortcut_last) {
  const std::int64_t N = 4, H = 8, W = 8, C = 16;
  const auto tensor = [&](const Shape& shape, std::uint32_t stream, DType type) {
    const Tensor t = Tensor::from(ctx, Array::from(wide(numbers(shape.numel(), stream)), shape).cast(type));
    return t;
  };
  std::vector<Tensor> leaves;
  const auto leaf = [&](Tensor t) {
    t.set_requires_grad(true);
    leaves.push_back(t);
    return t;
  };
  const Tensor x = leaf(tensor({N, H, W, C}, 20, DType::bf16));
  std::vector<Tensor> w, gamma, beta;
  std::vector<ops::BatchNormState> state(3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    w.push_back(leaf(tensor({C, 3, 3, C}, 21 + i, DType::f32)));
    gamma.push_back(leaf(tensor({C}, 31 + i, DType::f32)));
    beta.push_back(leaf(tensor({C}, 41 + i, DType::f32)));
    state[i].running_mean = Tensor::zeros(ctx, {C});
    state[i].running_var = Tensor::zeros(ctx, {C});
  }
  Tape tape;
  const TapeScope scope(ctx, &tape);
  const auto norm = [&](const Tensor& t, std::size_t i, const Tensor& residual, const ops::ChannelMoments& moments) {
    return ops::batchnorm(ctx, t, gamma[i], beta[i], state[i], true, Activation::relu, residual, moments);
  };
  ops::ChannelMoments moments;
  const Tensor a = norm(x, 0, {}, {});
  // A shortcut that is recorded before the convolution adds to the gradient of `a` after it.
  const Tensor early = shortcut_last ? ops::scale(ctx, a, 0.5) : Tensor();
  Tensor b = ops::conv2d(ctx, a, w[0], 1, 1, -1, &moments);
  b = norm(b, 1, early.defined() ? early : a, moments);
  Tensor c = ops::conv2d(ctx, b, w[1], 1, 1, -1, &moments);
  c = norm(c, 2, b, moments);
  const Tensor d = ops::conv2d(ctx, c, w[2], 1, 1);
  tape.backward(ctx, ops::sum(ctx, ops::mul(ctx, d, d)));
  std::vector<Values> out{to_values(d)};
  for (const Tensor& t : leaves) out.push_back(to_values(t.grad()));
  return out;
}

}  // namespace

TEST_CASE("a chain of convolutions and norms on a device has the specification's gradients") {
  for (const bool shortcut_last : {false, true}) {
    Context cpu;
    cpu.use_fast_paths = false;
    const std::vector<Values> want = chain(cpu, shortcut_last);
    on_gpus([&](Context& ctx) {
      LaunchLog log;
      ctx.launches = &log;
      const std::vector<Values> found = chain(ctx, shortcut_last);
      ctx.launches = nullptr;
      if (ctx.gpu->limits().multiprocessors <= 2) {  // else these are too few tiles
        // Without the early shortcut each norm's gradient comes from a convolution last.
        CHECK_EQ(std::ranges::count(log, "batchnorm_bwd_reduce"), shortcut_last ? 1 : 0);
        CHECK_EQ(std::ranges::count(log, "batchnorm_statistics"), 1);
      }
      // About six roundings to bf16 lie between the ends, each of half of 2^-8.
      for (std::size_t i = 0; i < want.size(); ++i)
        CHECK_EQ(compare(fmt::format("result {}", i), found[i], want[i], 6 * 0x1p-8), "");
    });
  }
}

TEST_CASE("direct convolution: a NaN of a pixel that no window sees changes nothing") {
  on_gpus([](Context& ctx) {
    const Conv2dShape s{1, 8, 8, 16, 16, 3, 3, 2, 0};  // 3 x 3 outputs: the last row and column are left over
    std::vector<bf16> x(at(s.x_size()), float_to_bf16(1.0f));
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i / 16 / 8 == 7 || i / 16 % 8 == 7) x[i] = float_to_bf16(NAN);
    const Tensor tx = on_device(ctx, x);
    Tensor w = Tensor::from(ctx, std::vector<float>(at(s.w_size()), 0.5f), {16, 3, 3, 16});
    w.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    ops::ChannelMoments moments;
    const Tensor y = ops::conv2d(ctx, ops::reshape(ctx, tx, {1, 8, 8, 16}), w, 2, 0, -1, &moments);
    for (const double v : to_values(y)) CHECK_EQ(v, 72.0);
    CHECK_EQ(compare_moments(moments.data, moments.parts, to_values(y), s.K), "");
    tape.backward(ctx, ops::sum(ctx, y));
    for (const double v : to_values(w.grad())) CHECK_EQ(v, 9.0);
  });
}

TEST_CASE("direct convolution: statistics of numbers far from zero keep their digits") {
  on_gpus([](Context& ctx) {
    // y = x by the middle tap: 256 or 258, neighbours in bf16.
    for (const std::int64_t C : {16, 24}) {  // 24: not direct
      const Conv2dShape s{4, 32, 32, C, 16, 3, 3, 1, 1};
      std::vector<bf16> x = numbers(s.x_size(), 50), w(at(s.w_size()), bf16{});
      for (bf16& v : x) v = float_to_bf16(bf16_to_float(v) < 0 ? 256.0f : 258.0f);
      for (std::int64_t k = 0; k < s.K; ++k) w[at((k * 9 + 4) * C + k)] = float_to_bf16(1.0f);
      const Tensor tx = on_device(ctx, x), tw = on_device(ctx, w), ty = room<bf16>(ctx, s.y_size());
      GpuLimits limits = ctx.gpu->limits();
      limits.multiprocessors = 2;
      on_gpu(ctx, {"test", {}}, [&](auto stream) {
        stream.limits = &limits;
        const Tensor left = room<float>(ctx, conv2d_moments<bf16>(stream, s));
        PartMoments moments{left.data<float>()};
        conv2d_fwd(stream, s, tx.data<bf16>(), tw.data<bf16>(), ty.data<bf16>(), &moments);
        CHECK_EQ(compare_moments(left, moments.parts, to_values(ty), s.K, true), "");
      });
    }
  });
}

TEST_CASE("a norm's output as a leaf, and on a second tape, has its own gradient") {
  const Conv2dShape s{2, 8, 8, 16, 16, 3, 3, 1, 1};
  for (const char* way : {"frozen", "two tapes", "again"}) {
    CAPTURE(way);
    const auto gradient = [&](Context& ctx) {
      const auto tensor = [&](const Shape& shape, std::uint32_t stream, DType type) {
        return Tensor::from(ctx, Array::from(wide(numbers(shape.numel(), stream)), shape).cast(type));
      };
      Tensor x = tensor({s.N, s.H, s.W, s.C}, 60, DType::bf16), gamma = tensor({s.C}, 61, DType::f32);
      const Tensor w = tensor({s.K, 3, 3, s.C}, 62, DType::f32), beta = tensor({s.C}, 63, DType::f32);
      ops::BatchNormState state;
      state.running_mean = Tensor::zeros(ctx, {s.C}), state.running_var = Tensor::zeros(ctx, {s.C});
      if (way[0] != 'f') x.set_requires_grad(true);
      Tape first, second;
      Tensor y;
      {
        const TapeScope scope(ctx, &first);
        y = ops::batchnorm(ctx, x, gamma, beta, state, true, Activation::relu);
        if (way[0] == 'a') first.backward(ctx, ops::sum(ctx, ops::conv2d(ctx, y, w, 1, 1)));
      }
      y.set_requires_grad(true);
      const TapeScope scope(ctx, &second);
      const Tensor d = ops::conv2d(ctx, y, w, 1, 1);
      second.backward(ctx, ops::sum(ctx, ops::mul(ctx, d, d)));
      return to_values(y.grad());
    };
    Context cpu;
    cpu.use_fast_paths = false;
    const Values want = gradient(cpu);
    on_gpus([&](Context& ctx) { CHECK_EQ(compare("dy", gradient(ctx), want, 4 * 0x1p-8), ""); });
  }
}
