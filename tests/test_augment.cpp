#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"
#include "tests/augment_case.hpp"
#include "tests/gpu_case.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("augment: clean is (x / 255 - mean) / std, whatever the channels") {
  for (const std::int64_t W : {1, 7, 10, 31, 33}) {
    const Images grey(3, 5, W, 1), rgb(3, 4, W, 3);
    const std::vector<std::int64_t> index{2, 0, 2, 1};
    // Three roundings of numbers below 5: the value, the bias, their sum.
    CHECK(worst(run(grey, index, {}, kGrey), reference(grey, index, {}, kGrey)) <= 3 * 5 * kEps);
    CHECK(worst(run(rgb, index, {}, kRgb), reference(rgb, index, {}, kRgb)) <= 3 * 5 * kEps);
    CHECK(worst(run(grey, index, {}, kRgb), reference(grey, index, {}, kRgb)) <= 3 * 5 * kEps);  // repeated
    CHECK(worst(run(rgb, index, {}, kGrey), reference(rgb, index, {}, kGrey)) <= 4 * 5 * kEps);  // averaged
  }
}

TEST_CASE("augment: whole-pixel moves and flips of either way take the clean values, bit for bit") {
  const Normalization shifted{{0.1f}, {0.5f}};
  for (const auto& [H, W, flip] : {std::tuple{28, 28, Flip::h},
                                   {7, 10, Flip::h},
                                   {31, 33, Flip::none},
                                   {31, 33, Flip::h},
                                   {31, 33, Flip::v},
                                   {31, 33, Flip::hv},
                                   {10, 7, Flip::v},
                                   {7, 10, Flip::hv},
                                   {1, 257, Flip::hv},
                                   {1, 1, Flip::hv}})
    for (const Border border : {Border::black, Border::edge, Border::mean}) {
      const Images x(40, H, W, 1);
      const AugmentOptions o{.shift = 3, .flip = flip, .border = border};
      const std::vector<float> clean = run(x, all(x), {}, shifted), y = run(x, all(x), o, shifted);
      const float fill = border == Border::black ? (0.0f - 0.1f) / 0.5f : 0.0f;
      bool equal = true;
      int flips_h = 0, flips_v = 0;
      for (std::int64_t n = 0; n < x.N; ++n) {
        const AugmentParams p = draw_augment(o, H, W, 3, 5, n);
        flips_h += p.flip_h;
        flips_v += p.flip_v;
        for (std::int64_t h = 0; h < H; ++h)
          for (std::int64_t w = 0; w < W; ++w) {
            std::int64_t r = h - std::lround(p.dy), c = w - std::lround(p.dx);
            if (p.flip_h) c = W - 1 - c;
            if (p.flip_v) r = H - 1 - r;
            const float found = y[static_cast<std::size_t>((n * H + h) * W + w)];
            const bool inside = r >= 0 && r < H && c >= 0 && c < W;
            if (!inside && border != Border::edge) {
              equal = equal && std::abs(found - fill) <= 2e-7f;
              continue;
            }
            r = std::clamp<std::int64_t>(r, 0, H - 1);
            c = std::clamp<std::int64_t>(c, 0, W - 1);
            equal = equal && found == clean[static_cast<std::size_t>((n * H + r) * W + c)];
          }
      }
      CHECK(equal);
      const auto some = [](int flips) { return flips > 5 && flips < 35; };
      CHECK(o.flips(Flip::h) == (flip == Flip::h || flip == Flip::hv));
      CHECK(o.flips(Flip::v) == (flip == Flip::v || flip == Flip::hv));
      CHECK((o.flips(Flip::h) ? some(flips_h) : flips_h == 0));
      CHECK((o.flips(Flip::v) ? some(flips_v) : flips_v == 0));
    }
}

TEST_CASE("augment: affine, light and cutout against a double reference; mutants are rejected") {
  // Coordinates near 33 are rounded to eps/2 * 33 and a pixel changes by at most 255 a step in x and y; light adds at
  // most a factor 1.4; the result is divided by 255 * 0.22.
  const double tol = (2 * 33 * kEps * 255 + 8 * 255 * kEps) * 1.4 / (255 * 0.22);
  for (const auto& [H, W] : {std::pair{28, 28}, {7, 10}, {31, 33}, {1, 1}})
    for (const Border border : {Border::black, Border::edge, Border::mean}) {
      CAPTURE(H);
      const Images grey(20, H, W, 1), rgb(20, H, W, 3);
      AugmentOptions strong = augment_strong(H, Flip::hv);
      strong.border = border;
      CHECK(worst(run(grey, all(grey), strong, kGrey), reference(grey, all(grey), strong, kGrey)) <= tol);
      CHECK(worst(run(rgb, all(rgb), strong, kRgb), reference(rgb, all(rgb), strong, kRgb)) <= tol);
      CHECK(worst(run(rgb, all(rgb), strong, kGrey), reference(rgb, all(rgb), strong, kGrey)) <= tol);
      for (const Flip flip : {Flip::none, Flip::h, Flip::v, Flip::hv}) {
        const AugmentOptions turn{.flip = flip, .rotate = 3.0f, .border = border};
        CHECK(worst(run(grey, all(grey), turn, kGrey), reference(grey, all(grey), turn, kGrey)) <= tol);
        if (H > 1 && flip != Flip::hv)  // a flip that is left out, or one too many
          CHECK(worst(run(grey, all(grey), turn, kGrey),
                      reference(grey, all(grey), {.flip = Flip::hv, .rotate = 3.0f, .border = border}, kGrey)) >
                10 * tol);
      }
      const AugmentOptions light{.brightness = 0.5f, .contrast = 1.0f, .cutout = 5, .border = border};
      CHECK(worst(run(grey, all(grey), light, kGrey), reference(grey, all(grey), light, kGrey)) <= 2 * tol);
      if (H == 1) continue;
      AugmentOptions mutant = strong;  // the same numbers, another use of one of them
      mutant.cutout += 1;
      CHECK(worst(run(grey, all(grey), mutant, kGrey), reference(grey, all(grey), strong, kGrey)) > 10 * tol);
      mutant = strong;
      mutant.shear *= 1.01f;
      CHECK(worst(run(grey, all(grey), mutant, kGrey), reference(grey, all(grey), strong, kGrey)) > 10 * tol);
    }
}

TEST_CASE("augment: the numbers drawn are those of an independent Philox") {
  std::ifstream file(std::string(AKIN_SOURCE_DIR) + "/tests/golden/augment.txt");
  REQUIRE(file);
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0, view = 0;
  std::int64_t image = 0;
  int shift = 0, affine = 0, lines = 0;
  while (file >> seed >> epoch >> image >> view >> shift >> affine) {
    AugmentOptions o{.shift = shift, .flip = Flip::hv, .brightness = 0.2f, .contrast = 0.4f, .view = view};
    if (affine) o.rotate = 0.35f, o.shear = 0.25f, o.scale_low = 0.8f, o.scale_high = 1.2f;
    const AugmentParams p = draw_augment(o, 28, 20, seed, epoch, image);
    const double found[] = {p.dx,
                            p.dy,
                            p.flip_h ? 1.0 : 0.0,
                            p.angle,
                            p.shear,
                            p.scale,
                            p.brightness,
                            p.contrast,
                            double(p.cut_x),
                            double(p.cut_y),
                            p.flip_v ? 1.0 : 0.0};
    for (const double f : found) {
      double expected = NAN;
      file >> expected;
      CHECK(std::abs(f - expected) <= 4e-7 * std::max(1.0, std::abs(expected)));  // fused multiply-adds round once less
    }
    ++lines;
  }
  CHECK_EQ(lines, 8);
}

TEST_CASE("augment: parameters cover their range, evenly") {
  const AugmentOptions weak{.shift = 2, .flip = Flip::hv};
  const AugmentOptions strong{.shift = 3,
                              .flip = Flip::hv,
                              .rotate = 0.35f,
                              .shear = 0.25f,
                              .scale_low = 0.8f,
                              .scale_high = 1.2f,
                              .brightness = 0.2f,
                              .contrast = 0.4f,
                              .cutout = 9,
                              .view = 1};
  const int n = 20000;
  int moves[5][5] = {}, flips = 0, upside_down = 0, both = 0, same = 0, same_v = 0;
  double sum[7] = {}, low[7], high[7];
  std::fill_n(low, 7, 1e9);
  std::fill_n(high, 7, -1e9);
  for (int i = 0; i < n; ++i) {
    const AugmentParams w = draw_augment(weak, 28, 28, 11, 0, i), s = draw_augment(strong, 28, 28, 11, 0, i);
    ++moves[std::lround(w.dy) + 2][std::lround(w.dx) + 2];
    flips += w.flip_h;
    upside_down += w.flip_v;
    both += w.flip_h && w.flip_v;
    same += w.flip_h == s.flip_h;
    same_v += w.flip_v == s.flip_v;
    const double v[] = {s.dx, s.dy, s.angle, s.shear, double(s.scale) - 1, s.brightness, double(s.contrast) - 1};
    for (int k = 0; k < 7; ++k) {
      sum[k] += v[k];
      low[k] = std::min(low[k], v[k]);
      high[k] = std::max(high[k], v[k]);
    }
  }
  // Five standard deviations of a binomial count.
  const auto near = [&](int count, double p) { return std::abs(count - n * p) <= 5 * std::sqrt(n * p * (1 - p)); };
  for (const auto& row : moves)
    for (const int count : row) CHECK(near(count, 1.0 / 25));
  CHECK(near(flips, 0.5));
  CHECK(near(upside_down, 0.5));
  CHECK(near(both, 0.25));  // each way for itself
  CHECK(near(same, 0.5));   // the two views are independent
  CHECK(near(same_v, 0.5));
  const double reach[] = {double(strong.shift), double(strong.shift), strong.rotate, strong.shear, 0.2, 0.2, 0.4};
  for (int k = 0; k < 7; ++k) {
    CAPTURE(k);
    CHECK(std::abs(sum[k] / n) <= 5 * reach[k] / std::sqrt(3.0 * n));
    CHECK(low[k] >= -reach[k] * (1 + 1e-6));
    CHECK(high[k] <= reach[k] * (1 + 1e-6));
    CHECK(low[k] < -0.99 * reach[k]);
    CHECK(high[k] > 0.99 * reach[k]);
  }
}

TEST_CASE("augment: an image does not depend on its batch, its place in it or the threads") {
  const Images x(200, 28, 28, 1);
  const std::size_t size = 28 * 28;
  const int threads = max_threads();
  for (const AugmentOptions& o : {augment_weak(28, Flip::hv), augment_strong(28, Flip::hv)}) {
    set_threads(1);
    const std::vector<float> together = run(x, all(x), o, kGrey);
    std::vector<std::int64_t> order = all(x);
    std::reverse(order.begin(), order.end());
    const std::vector<float> reversed = run(x, order, o, kGrey);
    for (std::size_t n = 0; n < 200; ++n)
      CHECK(std::equal(&together[n * size], &together[n * size] + size, &reversed[(199 - n) * size]));
    const std::vector<float> alone = run(x, {117}, o, kGrey);
    CHECK(std::equal(alone.begin(), alone.end(), &together[117 * size]));
    for (const int k : {2, 3}) {
      set_threads(k);
      CHECK(run(x, all(x), o, kGrey) == together);
    }
    set_threads(threads);
    CHECK(run(x, all(x), o, kGrey, 4) != together);
    CHECK(run(x, all(x), o, kGrey, 3, 6) != together);
    // Items of mixed epochs: what each would be in its own.
    const std::vector<AugmentItem> items{{9, 5}, {9, 6}};
    std::vector<float> mixed(2 * size, NAN);
    augment(kFast, x.view(), false, items.data(), 2, o, kGrey, 3, mixed.data());
    CHECK(std::equal(mixed.begin(), mixed.begin() + size, &together[9 * size]));
    CHECK_FALSE(std::equal(mixed.begin(), mixed.begin() + size, &mixed[size]));
    augment(kFast, {&x.bytes[9 * size], 1, 28, 28, 1}, true, items.data(), 1, o, kGrey, 3, &mixed[size]);  // gathered
    CHECK(std::equal(mixed.begin(), mixed.begin() + size, &mixed[size]));
  }
}

TEST_CASE("augment: one option leaves the others' numbers alone") {
  const AugmentOptions plain{.shift = 3}, more{.shift = 3, .flip = Flip::h, .brightness = 0.3f, .cutout = 8};
  AugmentOptions upside_down = more;
  upside_down.flip = Flip::hv;
  for (std::int64_t n = 0; n < 50; ++n) {
    const AugmentParams a = draw_augment(plain, 28, 28, 1, 2, n), b = draw_augment(more, 28, 28, 1, 2, n);
    CHECK_EQ(a.dx, b.dx);
    CHECK_EQ(a.dy, b.dy);
    CHECK_FALSE(a.flip_h);
    const AugmentParams c = draw_augment(upside_down, 28, 28, 1, 2, n);
    CHECK_EQ(b.flip_h, c.flip_h);
    CHECK_FALSE(b.flip_v);
    CHECK_EQ(b.brightness, c.brightness);
    CHECK_EQ(b.cut_x, c.cut_x);
    CHECK_EQ(b.cut_y, c.cut_y);
  }
  // Left-right alone is what it was before there was another way: the images that are not upside down are the same.
  const Images x(50, 7, 10, 1);
  const AugmentOptions one_way{.shift = 3, .flip = Flip::h}, both_ways{.shift = 3, .flip = Flip::hv};
  const std::vector<float> h = run(x, all(x), one_way, kGrey), hv = run(x, all(x), both_ways, kGrey);
  int turned = 0;
  for (std::int64_t n = 0; n < x.N; ++n) {
    const bool same = std::equal(&h[static_cast<std::size_t>(n) * 70], &h[static_cast<std::size_t>(n) * 70] + 70,
                                 &hv[static_cast<std::size_t>(n) * 70]);
    const bool v = draw_augment(both_ways, 7, 10, 3, 5, n).flip_v;
    CHECK_EQ(same, !v);
    turned += v;
  }
  CHECK(turned > 10);
}

TEST_CASE("augment: presets") {
  CHECK_EQ(augment_weak(28, Flip::none).shift, 2);
  CHECK_EQ(augment_weak(32, Flip::h).shift, 4);
  CHECK_EQ(augment_weak(64, Flip::none).shift, 8);
  CHECK_FALSE(augment_weak(28, Flip::none).affine());
  CHECK(augment_strong(28, Flip::none).affine());
  CHECK_EQ(augment_strong(28, Flip::none).shift, 3);
  CHECK_NE(augment_strong(28, Flip::none).view, augment_weak(28, Flip::none).view);
  for (const Flip flip : {Flip::none, Flip::h, Flip::v, Flip::hv}) {
    CHECK_EQ(augment_weak(28, flip).flip, flip);
    CHECK_EQ(augment_strong(28, flip).flip, flip);
  }
  for (const std::int64_t shift : {0, 1, 27}) {
    CHECK_EQ(augment_weak(28, Flip::none, shift).shift, shift);
    CHECK_EQ(augment_strong(28, Flip::none, shift).shift, shift);
  }
  for (const std::int64_t shift : {-2, 28, 1 << 20})
    CHECK_THROWS_WITH_AS(augment_weak(28, Flip::none, shift),
                         doctest::Contains("images of 28 pixels a side may move by 0 to 27"), Error);
}

TEST_CASE("augment: bad input is named") {
  const Images x(3, 4, 4, 3);
  CHECK_THROWS_WITH_AS(run(x, {0, 3}, {}, kRgb), doctest::Contains("item 1 asks for image 3 of 3"), Error);
  CHECK_THROWS_WITH_AS(run(x, {-1}, {}, kRgb), doctest::Contains("image -1"), Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {}, {{0.5f, 0.5f}, {1, 1}}), doctest::Contains("3 channels, the network takes 2"),
                       Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {}, {{0.5f}, {0}}), doctest::Contains("standard deviation 0"), Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {.shift = -1}, kRgb), doctest::Contains("shift -1"), Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {.scale_low = 0}, kRgb), doctest::Contains("scale from 0"), Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {.rotate = NAN}, kRgb), doctest::Contains("rotate nan"), Error);
  CHECK_THROWS_WITH_AS(run(x, {0}, {.view = 255}, kRgb), doctest::Contains("view 255"), Error);
}

TEST_CASE("augment: the weak view is a move of whole pixels, whatever the side: a copy, nothing to compute") {
  for (const std::int64_t side : {8, 12, 28, 32, 64, 224})
    for (const Flip flip : {Flip::none, Flip::h, Flip::v, Flip::hv}) {
      const AugmentOptions o = augment_weak(side, flip);
      CAPTURE(side);
      CHECK_FALSE(o.affine());
      CHECK_EQ(o.flip, flip);
      for (const double light : {o.brightness, o.contrast}) CHECK_EQ(light, 0);
      CHECK_EQ(o.cutout, 0);
      CHECK(augment_strong(side, flip).affine());
    }
  // So every value of it is one of the clean image's, or the black beyond its border.
  const Images x(6, 28, 28, 1);
  const std::vector<float> clean = run(x, all(x), {}, kGrey);
  for (std::uint32_t epoch = 0; epoch < 8; ++epoch) {
    const std::vector<float> moved = run(x, all(x), augment_weak(28, Flip::hv), kGrey, 1, epoch);
    for (std::size_t n = 0; n < 6; ++n) {
      const std::set<float> known(clean.begin() + static_cast<std::ptrdiff_t>(784 * n),
                                  clean.begin() + static_cast<std::ptrdiff_t>(784 * (n + 1)));
      int others = 0;
      for (std::size_t i = 784 * n; i < 784 * (n + 1); ++i)
        others += !known.contains(moved[i]) && std::abs(moved[i] - (0.0f - 0.3f) / 0.25f) > 2e-7f;
      CHECK_EQ(others, 0);
    }
  }
}

namespace {

/// The batch made on the device, from the whole set or (`gathered`) from its rows. T: float or bf16.
template <class T>
std::vector<float> on_device_run(Context& ctx, const Images& x, const std::vector<std::int64_t>& index, bool gathered,
                                 const AugmentOptions& o, const Normalization& norm, std::int64_t first = 0) {
  const std::int64_t size = x.H * x.W * x.C;
  std::vector<AugmentItem> items;
  std::vector<std::uint8_t> rows;
  for (const std::int64_t i : index) {
    items.push_back({i, 5});
    if (gathered) rows.insert(rows.end(), x.bytes.begin() + i * size, x.bytes.begin() + (i + 1) * size);
  }
  const Tensor bytes = on_device(ctx, gathered ? rows : x.bytes), list = bytes_on_device(ctx, items);
  const auto B = static_cast<std::int64_t>(index.size());
  const Tensor y = room<T>(ctx, B * x.H * x.W * static_cast<std::int64_t>(norm.mean.size()), first);
  on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
    const ImageView view{bytes.data<std::uint8_t>(), gathered ? B : x.N, x.H, x.W, x.C};
    augment(stream, view, gathered, as<AugmentItem>(list), B, o, norm, 3, y.data<T>());
  });
  return to_host<float>(Tensor::from(ctx, y.to_array().cast(DType::f32)));
}

}  // namespace

TEST_CASE("augment: the CUDA kernel shows what the specification shows") {
  const std::vector<std::int64_t> index{2, 0, 2, 1, 5};
  on_gpus([&](Context& ctx) {
    for (const auto& [H, W] : {std::pair{28, 28}, {7, 10}, {31, 33}, {1, 1}, {3, 257}})
      for (const Border border : {Border::black, Border::edge, Border::mean}) {
        if (H > 20 && border == Border::edge) continue;
        CAPTURE(H);
        const Images grey(6, H, W, 1), rgb(6, H, W, 3);
        const std::pair<const Images&, const Normalization&> channels[] = {
            {grey, kGrey}, {rgb, kRgb}, {grey, kRgb}, {rgb, kGrey}};
        for (const auto& [x, norm] : channels) {
          // Whole-pixel moves: the same pixels, each scaled and shifted with one or two roundings of numbers below 5.
          for (const AugmentOptions& o : {AugmentOptions{},
                                          {.shift = 3, .flip = Flip::h, .cutout = 5, .border = border},
                                          {.shift = 3, .flip = Flip::v, .cutout = 5, .border = border},
                                          {.shift = 3, .flip = Flip::hv, .cutout = 5, .border = border}}) {
            const std::vector<float> expected = run(x, index, o, norm);
            CHECK(worst(on_device_run<float>(ctx, x, index, false, o, norm), expected) <= 3 * 5 * kEps);
            CHECK(worst(on_device_run<bf16>(ctx, x, index, true, o, norm, 1), expected) <= 5 * 0x1p-8);
          }
          // As above: coordinates are rounded to eps/2 of the side.
          const double side = std::max(H, W);
          const double tol = (2 * side * kEps * 255 + 8 * 255 * kEps) * 1.4 / (255 * 0.22);
          AugmentOptions strong = augment_strong(H, Flip::hv);
          strong.border = border;
          const std::vector<float> expected = run(x, index, strong, norm);
          CHECK(worst(on_device_run<float>(ctx, x, index, true, strong, norm, 1), expected) <= tol);
          CHECK(worst(on_device_run<bf16>(ctx, x, index, false, strong, norm), expected) <= tol + 5 * 0x1p-8);
          if (H < 7) continue;
          strong.shear *= 1.01f;
          CHECK_FALSE(worst(on_device_run<float>(ctx, x, index, true, strong, norm), expected) <= 10 * tol);
        }
        const AugmentOptions light{.brightness = 0.5f, .contrast = 1.0f, .border = border};
        const double tol = 16 * 255 * kEps * 2 / (255 * 0.22);
        CHECK(worst(on_device_run<float>(ctx, rgb, index, false, light, kRgb), run(rgb, index, light, kRgb)) <= tol);
      }
    // A place that is not there: NaN, and the other images as ever.
    const Images x(3, 4, 4, 1);
    const std::vector<float> y = on_device_run<float>(ctx, x, {-1, 1, 3}, false, {}, kGrey);
    for (const std::size_t i : {0, 15, 32, 47}) CHECK(std::isnan(y[i]));
    CHECK(worst({y.begin() + 16, y.begin() + 32}, run(x, {1}, {}, kGrey)) <= 3 * 5 * kEps);
    CHECK_THROWS_AS(on_device_run<float>(ctx, x, {0}, false, {.shift = -1}, kGrey), Error);
  });
}
