// The tiled product behind gemm and conv2d on a device: every tile, layout, write mode and way of cutting the
// reduction, against plain loops in double. How many multiprocessors a launch is told of decides the tile and the
// pieces, so the cases set it; where there is a card, the same cases run there.
#include <doctest/doctest.h>

#include "engine/launch_on.hpp"
#include "kernels/common/gpu/tile_plan.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/gemm.hpp"
#include "tests/moments_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

template <class T>
constexpr DType kType = std::is_same_v<T, bf16> ? DType::bf16 : DType::f32;

/// A device that says it has `multiprocessors`; memory is poisoned with NaN.
struct Card {
  Place place;
  Context ctx;
  GpuLimits limits;
  LaunchLog log;
  Card(const Place& p, int multiprocessors)
      : place(p), ctx(p.device, p.card(), {.poison = true}), limits(ctx.gpu->limits()) {
    limits.multiprocessors = multiprocessors;
    ctx.launches = &log;
  }
  ~Card() {
    ctx.allocator->flush();
    CHECK_EQ(ctx.allocator->stats().fence_breaks, 0);
  }
  template <class Body>
  void run(Body&& body) {
    on_gpu(ctx, {"test", {}}, [&](auto stream) {
      stream.limits = &limits;
      body(stream);
    });
  }
  Tensor tensor(const Values& v, DType type, std::int64_t offset = 0) {
    Values shifted(at(offset), std::numeric_limits<double>::quiet_NaN());
    shifted.insert(shifted.end(), v.begin(), v.end());
    const auto n = static_cast<std::int64_t>(v.size());
    return Tensor::from(ctx, Array::from(shifted, {n + offset}).cast(type)).view({n}, offset);
  }
};

std::vector<Place> devices() {
  const auto sim = [](sim::Policy policy) { return [=] { return open_sim(sim_options(policy, 5)); }; };
  std::vector<Place> all = {{"fifo", DType::f32, true, sim(sim::Policy::fifo), Device::sim},
                            {"lifo", DType::f32, true, sim(sim::Policy::lifo), Device::sim},
                            {"pct", DType::f32, true, sim(sim::Policy::pct), Device::sim}};
  if (cuda_usable()) all.push_back({"cuda", DType::f32, true, [] { return open_cuda(); }, Device::cuda});
  std::erase_if(all, [](const Place& p) { return !chosen(p.device); });
  return all;
}

/// Numbers in [-1, 1] that bf16 holds.
Values numbers(std::int64_t n, std::uint32_t stream) {
  Rng rng(21, stream);
  Values v;
  for (std::int64_t i = 0; i < n; ++i)
    v.push_back(static_cast<double>(bf16_to_float(float_to_bf16(rng.uniform(-1, 1)))));
  return v;
}

/// K products of numbers that bf16 holds are exact in float; their sum rounds K times by at most eps/2 of a partial
/// sum, four standard deviations and more; a bf16 result rounds once more, after the addition. A card's tensor core
/// cuts off where the emulator rounds: one bit more for each of the K/16 sums that go through it, all to the same side.
double tolerance(const Place& place, std::int64_t K, DType out) {
  const double eps{std::numeric_limits<float>::epsilon()}, terms = static_cast<double>(K);
  return 4 * eps * std::sqrt(terms + 3) + (place.device == Device::cuda ? eps * terms / 16 : 0.0) +
         (out == DType::bf16 ? 0x1p-8 : 0.0);
}

struct Case {
  GemmShape s;
  int multiprocessors = 1;
  gpu::TileSize tile{64, 64};
  bool split = false;
  std::int64_t offset = 0;  ///< elements by which the operands miss a 16-byte boundary
};

struct Result {
  Values c;
  std::string problem;
};

template <class In, class Out>
Result product(const Place& place, const Case& c, double alpha, bool bias, Accum mode) {
  const GemmShape& s = c.s;
  const Values a = numbers(s.M * s.K, 1), b = numbers(s.K * s.N, 2), d = numbers(s.N, 3), old = numbers(s.M * s.N, 4);
  Card card(place, c.multiprocessors);
  const Tensor ta = card.tensor(a, kType<In>, c.offset), tb = card.tensor(b, kType<In>, c.offset);
  const Tensor tc = mode == Accum::add
                        ? card.tensor(old, kType<Out>, c.offset)
                        : Tensor::empty(card.ctx, {s.M * s.N + c.offset}, kType<Out>).view({s.M * s.N}, c.offset);
  const Tensor td = card.tensor(d, DType::f32);
  card.run([&](const auto& stream) {
    const std::int64_t floats = c.split ? gemm_workspace<In>(stream, s) : 0;
    CHECK_EQ(c.split, floats > 0);
    const Tensor workspace = floats > 0 ? Tensor::empty(card.ctx, {floats}) : Tensor();
    gemm(stream, s, alpha, ta.data<In>(), tb.data<In>(), bias ? td.data<float>() : nullptr, tc.data<Out>(), mode,
         floats > 0 ? workspace.data<float>() : nullptr);
  });
  CHECK_EQ(card.log.size(), c.split ? 2 : 1);
  Values expected;
  for (std::int64_t m = 0; m < s.M; ++m)
    for (std::int64_t n = 0; n < s.N; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < s.K; ++k)
        sum +=
            a[at(s.a == Trans::yes ? k * s.M + m : m * s.K + k)] * b[at(s.b == Trans::yes ? n * s.K + k : k * s.N + n)];
      expected.push_back(alpha * sum + (bias ? d[at(n)] : 0) + (mode == Accum::add ? old[at(m * s.N + n)] : 0));
    }
  const Values found = to_values(tc);
  return {found,
          compare(fmt::format("{}x{}x{} {}{} on {}", s.M, s.N, s.K, s.a == Trans::yes, s.b == Trans::yes, place.name),
                  found, expected, tolerance(place, s.K, kType<Out>))};
}

template <class In, class Out, std::size_t Count>
void check_cases(const std::vector<Case>& cases, const gpu::TileSize (&tiles)[Count]) {
  for (const Case& c : cases) {
    const auto plan = gpu::plan_product(tiles, c.s.M, c.s.N, c.s.K, sizeof(In), c.split, c.multiprocessors);
    CAPTURE(c.s.M);
    CAPTURE(c.s.N);
    CHECK_EQ(plan.tile.m, c.tile.m);
    CHECK_EQ(plan.tile.n, c.tile.n);
    CHECK_EQ(plan.splits > 1, c.split);
    Values first;
    for (const Place& place : devices()) {
      const bool all = place.name == "pct" || place.device == Device::cuda;
      const Result r = product<In, Out>(place, c, 1.0, true, Accum::overwrite);
      CHECK_EQ(r.problem, "");
      if (place.device == Device::sim) {  // the order of summation does not depend on the schedule
        if (first.empty()) first = r.c;
        CHECK(r.c == first);
      }
      if (all) CHECK_EQ(product<In, Out>(place, c, -0.5, false, Accum::add).problem, "");
    }
  }
}

constexpr Trans kNo = Trans::no, kYes = Trans::yes;

/// Each layout with each tile of bf16; K of 8 is less than a step, 104 and 136 end within one, after more steps than
/// the ring holds.
std::vector<Case> fast_cases() {
  std::vector<Case> out;
  for (const auto& [a, b] : {std::pair{kNo, kYes}, {kNo, kNo}, {kYes, kNo}}) {
    out.push_back({{256, 248, 40, a, b}, 1, {128, 128}});
    out.push_back({{200, 64, 104, a, b}, 1, {128, 64}});
    out.push_back({{64, 40, 136, a, b}, 1, {64, 64}});
    out.push_back({{8, 8, 8, a, b}, 1, {64, 64}});
    out.push_back({{64, 72, 1032, a, b}, 16, {64, 64}, true});
  }
  return out;
}

std::vector<Case> slow_cases() {
  std::vector<Case> out;
  for (const Trans a : {kNo, kYes})
    for (const Trans b : {kNo, kYes}) {
      out.push_back({{1, 1, 1, a, b}});
      out.push_back({{7, 10, 31, a, b}});
      out.push_back({{33, 65, 257, a, b}});
      out.push_back({{64, 72, 40, a, b}, 1, {64, 64}, false, 1});
      out.push_back({{10, 7, 1030, a, b}, 16, {64, 64}, true});
    }
  return out;
}

}  // namespace

TEST_CASE("gemm on a device: bf16 to float and to bf16") {
  check_cases<bf16, float>(fast_cases(), gpu::kTilesGemm);
  check_cases<bf16, float>(slow_cases(), gpu::kTilesSlow);
  check_cases<bf16, bf16>({{{200, 64, 104, kNo, kNo}, 1, {128, 64}},
                           {{64, 40, 136, kNo, kYes}, 1, {64, 64}},
                           {{64, 72, 1032, kNo, kNo}, 16, {64, 64}, true}},
                          gpu::kTilesGemm);
  check_cases<bf16, bf16>({{{33, 65, 257, kNo, kYes}}, {{10, 7, 1030, kYes, kYes}, 16, {64, 64}, true}},
                          gpu::kTilesSlow);
}

TEST_CASE("gemm on a device: float") {
  std::vector<Case> fast = fast_cases();
  for (Case& c : fast)
    if (c.tile.n == 64 && c.tile.m == 128) c.tile = {64, 64};  // float has no tile of 128 x 64
  check_cases<float, float>(fast, gpu::kTilesFloat);
  check_cases<float, float>(slow_cases(), gpu::kTilesSlow);
}

TEST_CASE("gemm on a device: an empty reduction gives the bias, no rows give no launch") {
  Card card(devices()[0], 4);
  const Tensor bias = card.tensor({1, 2, 3}, DType::f32), c = Tensor::empty(card.ctx, {6});
  card.run([&](const auto& stream) {
    const float* none = nullptr;
    gemm(stream, {2, 3, 0}, 1.0, none, none, bias.data<float>(), c.data<float>(), Accum::overwrite, nullptr);
    gemm(stream, {0, 3, 5}, 1.0, none, none, bias.data<float>(), c.data<float>(), Accum::overwrite, nullptr);
  });
  CHECK(to_values(c) == Values{1, 2, 3, 1, 2, 3});
  CHECK_EQ(card.log.size(), 1);
}

TEST_CASE("gemm on a device: a NaN reaches its row alone, and a missing term is noticed") {
  for (const std::int64_t K : {40, 37}) {  // with packs, and without
    const GemmShape s{70, 24, K, kNo, kYes};
    Card card(devices()[2], 1);
    Values a(at(s.M * K), 1.0);
    a[at(5 * K + 36)] = NAN;
    const Tensor ta = card.tensor(a, DType::bf16), tb = card.tensor(Values(at(s.N * K), 1.0), DType::bf16);
    const Tensor c = Tensor::empty(card.ctx, {s.M * s.N});
    card.run([&](const auto& stream) {
      gemm(stream, s, 1.0, ta.data<bf16>(), tb.data<bf16>(), nullptr, c.data<float>(), Accum::overwrite, nullptr);
    });
    const Values v = to_values(c);
    for (std::int64_t m = 0; m < s.M; ++m)
      for (std::int64_t n = 0; n < s.N; ++n) {
        if (m == 5)
          CHECK(std::isnan(v[at(m * s.N + n)]));
        else
          CHECK_EQ(v[at(m * s.N + n)], static_cast<double>(K));
      }
  }
  // A reduction that is one term short must fall outside the tolerance.
  Case c{{33, 65, 257, kNo, kNo}};
  const Place place = devices()[0];
  const Result r = product<float, float>(place, c, 1.0, false, Accum::overwrite);
  Values wrong = r.c;
  wrong[40] -= numbers(33 * 257, 1)[256] * numbers(257 * 65, 2)[at(256 * 65 + 40)];
  CHECK_NE(compare("planted", wrong, r.c, tolerance(place, 257, DType::f32)), "");
}

TEST_CASE("tile plan: pieces cover the reduction, none is empty, and the workspace suffices") {
  for (const std::int64_t M : {1, 64, 200, 4096})
    for (const std::int64_t N : {1, 64, 576, 2304})
      for (const std::int64_t K : {0, 1, 31, 1000, 1000000})
        for (const int multiprocessors : {1, 2, 108, 132})
          for (const bool low : {true, false}) {
            const std::size_t bytes = low ? 2 : 4;
            const auto check = [&](const auto& tiles) {
              const auto p = gpu::plan_product(tiles, M, N, K, bytes, true, multiprocessors);
              CHECK_GE(p.splits, 1);
              CHECK_GE(p.splits * p.k_tiles_per_split, p.k_tiles);
              CHECK((p.splits == 1 || (p.splits - 1) * p.k_tiles_per_split < p.k_tiles));
              const GpuLimits limits{.multiprocessors = multiprocessors};
              const Stream<Sim> stream{.limits = &limits};
              CHECK_LE(p.workspace(M, N),
                       low ? gemm_workspace<bf16>(stream, {M, N, K}) : gemm_workspace<float>(stream, {M, N, K}));
            };
            check(gpu::kTilesSlow);
            if (low)
              check(gpu::kTilesGemm);
            else
              check(gpu::kTilesFloat);
          }
  // The weight gradient of a 3 x 3 layer of 64 channels over 56 x 56 pixels has few tiles: pieces fill the card.
  const auto p = gpu::plan_product(gpu::kTilesWeight, 64, 576, 256 * 56 * 56, 2, true, 132);
  CHECK_GE(p.splits * ((64 + p.tile.m - 1) / p.tile.m) * ((576 + p.tile.n - 1) / p.tile.n), 100);
}

namespace {

/// y, dx and dw of a convolution on a device against the specification in double.
template <class T>
std::string convolution(const Place& place, const Conv2dShape& s, int multiprocessors, Accum mode, bool split) {
  const Values x = numbers(s.x_size(), 1), w = numbers(s.w_size(), 2), dy = numbers(s.y_size(), 3);
  const Values old_x = numbers(s.x_size(), 4), old_w = numbers(s.w_size(), 5);
  Values y(at(s.y_size())), dx = old_x, dw = old_w;
  conv2d_fwd(kSpec, s, x.data(), w.data(), y.data());
  conv2d_bwd_data(kSpec, s, dy.data(), w.data(), dx.data(), mode, nullptr);
  conv2d_bwd_weight(kSpec, s, x.data(), dy.data(), dw.data(), mode, nullptr);

  Card card(place, multiprocessors);
  const Tensor tx = card.tensor(x, kType<T>), tw = card.tensor(w, kType<T>), tdy = card.tensor(dy, kType<T>);
  const bool add = mode == Accum::add;
  const Tensor ty = Tensor::empty(card.ctx, {s.y_size()}, kType<T>);
  const Tensor tdx = add ? card.tensor(old_x, kType<T>) : Tensor::empty(card.ctx, {s.x_size()}, kType<T>);
  const Tensor tdw = add ? card.tensor(old_w, DType::f32) : Tensor::empty(card.ctx, {s.w_size()});
  card.run([&](const auto& stream) {
    const std::int64_t floats = conv2d_weight_workspace<T>(stream, s);
    CHECK_EQ(split, floats > 0);
    const Tensor workspace = floats > 0 ? Tensor::empty(card.ctx, {floats}) : Tensor();
    const Tensor left = Tensor::empty(card.ctx, {conv2d_moments<T>(stream, s)});
    PartMoments moments{left.data<float>()};
    conv2d_fwd(stream, s, tx.data<T>(), tw.data<T>(), ty.data<T>(), &moments);
    CHECK_EQ(compare_moments(left, moments.parts, to_values(ty), s.K), "");
    conv2d_bwd_weight(stream, s, tx.data<T>(), tdy.data<T>(), tdw.data<float>(), mode,
                      floats > 0 ? workspace.data<float>() : nullptr);
    CHECK_EQ(card.log.size(), split ? 3 : 2);
    CHECK_EQ(conv2d_data_scratch<T>(stream, s, mode), 0);
    conv2d_bwd_data(stream, s, tdy.data<T>(), tw.data<T>(), tdx.data<T>(), mode, nullptr);
  });
  CHECK_LE(card.log.size(), at((split ? 3 : 2) + s.stride * s.stride));
  const std::string what = fmt::format("{}x{}x{}x{} * {}x{}x{} /{} pad {} on {}: ", s.N, s.H, s.W, s.C, s.K, s.R, s.S,
                                       s.stride, s.pad, place.name);
  std::string p = compare(what + "y", to_values(ty), y, tolerance(place, s.R * s.S * s.C, kType<T>));
  if (p.empty()) p = compare(what + "dx", to_values(tdx), dx, tolerance(place, s.R * s.S * s.K, kType<T>));
  if (p.empty()) p = compare(what + "dw", to_values(tdw), dw, tolerance(place, s.N * s.P() * s.Q(), DType::f32));
  return p;
}

}  // namespace

TEST_CASE("conv2d on a device: every tile, with and without packs, strides beyond 2") {
  struct Shape {
    Conv2dShape s;
    int multiprocessors;
    bool split;
    gpu::TileSize forward{}, weight{};  ///< of bf16 with packs; {}: another path
  };
  const std::vector<Shape> shapes{
      {{2, 12, 11, 32, 128, 3, 3, 1, 1}, 1, false, {128, 128}, {128, 128}},
      {{2, 12, 10, 24, 64, 3, 3, 1, 1}, 1, false, {128, 64}, {64, 64}},
      {{3, 20, 11, 24, 32, 3, 3, 2, 1}, 1, false, {128, 32}, {32, 128}},
      {{1, 7, 9, 8, 40, 3, 3, 1, 1}, 1, false, {64, 64}, {64, 64}},
      {{4, 16, 16, 24, 16, 3, 3, 1, 1}, 12, true, {}, {}},  // the reduction over pixels in pieces
      {{4, 15, 16, 3, 16, 5, 5, 2, 2}, 12, true, {}, {}},   // a first layer: single elements of x, packs of dy
      {{1, 9, 10, 8, 10, 3, 3, 1, 1}, 1, false, {}, {}},    // packs of x, single elements of dy
      {{1, 11, 10, 8, 8, 2, 5, 3, 1}, 1, false, {}, {}},    // nine classes of pixels, some of which no tap reaches
      {{1, 9, 9, 8, 16, 1, 1, 2, 0}, 1, false, {}, {}},     // three classes out of four are zero
      {{2, 5, 6, 16, 24, 1, 1, 1, 0}, 1, false, {}, {}},    // a plain product
      {{1, 4, 5, 8, 8, 3, 3, 1, 4}, 1, false, {}, {}},      // more padding than taps
      {{1, 3, 3, 8, 8, 1, 1, 4, 0}, 1, false, {}, {}},      // a stride beyond the image
      {{1, 5, 40, 8, 8, 2, 29, 1, 1}, 1, false, {}, {}},    // as many rows and columns of taps as a word has bits for
      {{1, 5, 40, 8, 8, 3, 29, 1, 1}, 1, false, {}, {}},    // and one more
  };
  for (const Shape& shape : shapes) {
    const Conv2dShape& s = shape.s;
    const std::int64_t pixels = s.N * s.P() * s.Q(), filter = s.R * s.S * s.C;
    if (shape.forward.m == 0) continue;
    const auto f = gpu::plan_product(gpu::kTilesPixels, pixels, s.K, filter, 2, false, shape.multiprocessors).tile;
    const auto w = gpu::plan_product(gpu::kTilesWeight, s.K, filter, pixels, 2, true, shape.multiprocessors).tile;
    CHECK((f.m == shape.forward.m && f.n == shape.forward.n));
    CHECK((w.m == shape.weight.m && w.n == shape.weight.n));
  }
  for (const Shape& shape : shapes)
    for (const Place& place : devices()) {
      const bool all = place.name == "pct" || place.device == Device::cuda;
      for (const Accum mode : {Accum::overwrite, Accum::add}) {
        if (mode == Accum::overwrite && !all) continue;
        CHECK_EQ(convolution<bf16>(place, shape.s, shape.multiprocessors, mode, shape.split), "");
        if (all) CHECK_EQ(convolution<float>(place, shape.s, shape.multiprocessors, mode, shape.split), "");
      }
    }
}
