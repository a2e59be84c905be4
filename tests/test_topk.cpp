#include "kernels/topk.hpp"

#include <cmath>
#include <limits>

#include "kernels/common/rng.hpp"
#include "tests/gpu_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Few different values, so that there are ties; some NaN, infinities and both zeros.
std::vector<float> values(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v;
  const float odd[] = {NAN, kInf, -kInf, 0.0f, -0.0f};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t draw = rng.below(60);
    v.push_back(draw < 5 ? odd[draw] : static_cast<float>(rng.below(40)) * 0.25f - 5.0f);
  }
  return v;
}

/// By the definition: place j is the one that exactly j others come before. `mutant`: ties are taken from the right.
std::vector<std::int64_t> by_counting(std::int64_t B, std::int64_t C, std::int64_t k, const std::vector<float>& x,
                                      bool mutant = false) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(B * k), -1);
  for (std::int64_t b = 0; b < B; ++b)
    for (std::int64_t c = 0; c < C; ++c) {
      const float v = x[static_cast<std::size_t>(b * C + c)];
      std::int64_t before = 0;
      for (std::int64_t o = 0; o < C; ++o) {
        const float w = x[static_cast<std::size_t>(b * C + o)];
        const bool same = v == w || (std::isnan(v) && std::isnan(w));
        before += same ? (mutant ? o > c : o < c) : std::isnan(w) || w > v;
      }
      if (before < k) out[static_cast<std::size_t>(b * k + before)] = c;
    }
  return out;
}

bool takes(const std::vector<float>& x, std::int64_t C, std::int64_t k, const std::vector<std::int64_t>& index,
           const std::vector<float>& y) {
  for (std::size_t i = 0; i < index.size(); ++i) {
    const float v =
        x[i / static_cast<std::size_t>(k) * static_cast<std::size_t>(C) + static_cast<std::size_t>(index[i])];
    if (!(y[i] == v || (std::isnan(y[i]) && std::isnan(v)))) return false;
  }
  return true;
}

struct Size {
  std::int64_t B, C, k;
};
const Size kSizes[] = {{1, 1, 1},     {3, 7, 3},   {5, 10, 10},  {2, 31, 5},   {70, 33, 5},
                       {2, 257, 257}, {1, 512, 4}, {3, 700, 40}, {2, 4097, 6}, {0, 5, 2}};

}  // namespace

TEST_CASE("topk: the specification against counting; ties, NaN, infinities") {
  for (const auto& [B, C, k] : kSizes) {
    CAPTURE(C);
    const auto x = values(B * C, 1);
    std::vector<float> y(static_cast<std::size_t>(B * k), NAN);
    std::vector<std::int64_t> index(y.size(), -1);
    spec::topk<float>(B, C, k, x.data(), y.data(), index.data());
    const auto expected = by_counting(B, C, k, x);
    CHECK(index == expected);
    CHECK(takes(x, C, k, index, y));
    if (C >= 31) CHECK_FALSE(by_counting(B, C, k, x, true) == index);
  }
  float x[3] = {1, 2, 3}, y[4];
  std::int64_t index[4];
  CHECK_THROWS_WITH_AS(spec::topk<float>(1, 3, 4, x, y, index), doctest::Contains("4 of 3 columns"), Error);
}

TEST_CASE("topk: the CUDA kernel takes what the specification takes") {
  on_gpus([](Context& ctx) {
    for (const auto& [B, C, k] : kSizes) {
      CAPTURE(C);
      for (const std::int64_t first : {0, 1}) {
        const auto x = values(B * C, 2);
        const auto expected = by_counting(B, C, k, x);
        std::vector<bf16> low;
        for (const float v : x) low.push_back(float_to_bf16(v));  // quarters up to 5: exact
        const Tensor dx = on_device(ctx, x, first), dl = on_device(ctx, low, first);
        const Tensor y = room<float>(ctx, B * k, first), yl = room<bf16>(ctx, B * k, first);
        const Tensor index = room<std::int64_t>(ctx, B * k), index_low = room<std::int64_t>(ctx, B * k);
        on_gpu(ctx, [&, B = B, C = C, k = k](const auto& stream) {
          gpu::topk(stream, B, C, k, dx.data<float>(), y.data<float>(), index.data<std::int64_t>());
          gpu::topk(stream, B, C, k, dl.data<bf16>(), yl.data<bf16>(), index_low.data<std::int64_t>());
        });
        CHECK(to_host<std::int64_t>(index) == expected);
        CHECK(to_host<std::int64_t>(index_low) == expected);
        CHECK(takes(x, C, k, expected, to_host<float>(y)));
        std::vector<float> wide;
        for (const bf16 v : to_host<bf16>(yl)) wide.push_back(bf16_to_float(v));
        CHECK(takes(x, C, k, expected, wide));
      }
    }
  });
}
