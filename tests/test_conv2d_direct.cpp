// The direct kernels of conv2d for few channels on a device: every count of channels, stride and pass, against plain
// loops in double. Which tiles a launch cuts depends on the sizes and on the number of multiprocessors.
#include <doctest/doctest.h>

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

/// All three passes in one place; `data_is_direct`: whether the data gradient must be, as the others must.
void check(Context& ctx, const Conv2dShape& s, Accum mode, bool data_is_direct) {
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
  on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
    const Tensor workspace = room<float>(ctx, conv2d_weight_workspace<bf16>(stream, s));
    const Tensor left = room<float>(ctx, conv2d_moments<bf16>(stream, s)), again = room<bf16>(ctx, s.y_size());
    Moments moments{left.data<float>()};
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
    if (ctx.gpu->limits().multiprocessors > 2 && ctx.device == Device::sim) return;  // these have few tiles
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
    if (ctx.gpu->limits().multiprocessors > 2 && ctx.device == Device::sim) return;
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

TEST_CASE("direct convolution: on as many multiprocessors as a card has") {
  on_gpus([](Context& ctx) {
    if (ctx.gpu->limits().multiprocessors < 100) return;
    check(ctx, {66, 16, 9, 16, 16, 3, 3, 1, 1}, Accum::overwrite, true);
    check(ctx, {140, 17, 9, 16, 16, 3, 3, 2, 1}, Accum::add, true);
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
