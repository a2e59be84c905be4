#include "kernels/augment.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/common/accum.hpp"
#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

void check_shift(std::int64_t side, std::int64_t shift) {
  AKIN_CHECK(shift == kShiftBySide || (shift >= 0 && shift < side),
             "shift {}: images of {} pixels a side may move by 0 to {} pixels ({}: an eighth of the side)", shift, side,
             side - 1, kShiftBySide);
}

namespace {

int shift_of(std::int64_t side, std::int64_t wanted, std::int64_t by_side) {
  check_shift(side, wanted);
  return static_cast<int>(wanted == kShiftBySide ? by_side : wanted);
}

}  // namespace

AugmentOptions augment_weak(std::int64_t side, Flip flip, std::int64_t shift) {
  return {.shift = shift_of(side, shift, side <= 28 ? side / 14 : side / 8), .flip = flip};
}

AugmentOptions augment_strong(std::int64_t side, Flip flip, std::int64_t shift) {
  return {.shift = shift_of(side, shift, side / 8),
          .flip = flip,
          .rotate = 0.25f,
          .shear = 0.2f,
          .scale_low = 0.85f,
          .scale_high = 1.15f,
          .brightness = 0.0f,
          .contrast = 0.3f,
          .cutout = static_cast<int>(side / 4),
          .view = 1};
}

void check_augment(const ImageView& x, const AugmentOptions& o, const Normalization& norm) {
  AKIN_CHECK(x.H >= 1 && x.W >= 1 && x.C >= 1, "augment: images of {} x {} x {} hold no pixel", x.H, x.W, x.C);
  const auto K = static_cast<std::int64_t>(norm.mean.size());
  AKIN_CHECK(K >= 1 && norm.std.size() == norm.mean.size(), "augment: {} means and {} standard deviations", K,
             norm.std.size());
  AKIN_CHECK(K == x.C || K == 1 || x.C == 1, "augment: images have {} channels, the network takes {}", x.C, K);
  for (const float s : norm.std) AKIN_CHECK(s > 0, "augment: standard deviation {} must be above 0", s);
  AKIN_CHECK(o.shift >= 0 && o.cutout >= 0, "augment: shift {} and cutout {} must not be negative", o.shift, o.cutout);
  AKIN_CHECK(o.scale_low > 0 && o.scale_low <= o.scale_high, "augment: scale from {} to {} (must rise, above 0)",
             o.scale_low, o.scale_high);
  AKIN_CHECK(
      o.rotate >= 0 && o.shear >= 0 && o.brightness >= 0 && o.contrast >= 0 && o.contrast <= 1,
      "augment: rotate {}, shear {}, brightness {} and contrast {} are the largest changes, at least 0 (contrast "
      "at most 1)",
      o.rotate, o.shear, o.brightness, o.contrast);
  AKIN_CHECK(o.view < 255, "augment: view {} must be below 255", o.view);
}

namespace {

/// The sizes of a batch, and per element of an output row the factors of the normalisation.
struct Plan {
  const ImageView& x;
  const AugmentOptions& o;
  std::int64_t K, row;            // output channels; W K
  std::vector<float> gain, bias;  // [W K]: y = v gain + bias for v in 0..255
  std::vector<float> border;      // [K], in 0..255
};

/// Row h of an image as floats in 0..255 with K channels.
void load_row(const Plan& plan, std::int64_t image, std::int64_t h, float* out) {
  const std::int64_t W = plan.x.W, C = plan.x.C, K = plan.K;
  const std::uint8_t* in = plan.x.data + (image * plan.x.H + h) * W * C;
  if (C == K)
    for (std::int64_t i = 0; i < plan.row; ++i) out[i] = in[i];
  else if (C == 1)
    for (std::int64_t i = 0; i < plan.row; ++i) out[i] = in[i / K];
  else
    for (std::int64_t w = 0; w < W; ++w) {
      int sum = 0;
      for (std::int64_t c = 0; c < C; ++c) sum += in[w * C + c];
      out[w] = static_cast<float>(sum) / static_cast<float>(C);
    }
}

void normalise_row(const Plan& plan, float* row) {
  const float *gain = plan.gain.data(), *bias = plan.bias.data();
  for (std::int64_t i = 0; i < plan.row; ++i) row[i] = row[i] * gain[i] + bias[i];
}

/// The image with one pixel of border around it, [H + 2, W + 2, K]: whatever lies farther out looks like the border, so
/// that clamping a coordinate to -1..size replaces every bounds check.
void load_bordered(const Plan& plan, std::int64_t image, float* pad) {
  const std::int64_t H = plan.x.H, K = plan.K, pitch = plan.row + 2 * K;
  for (std::int64_t h = 0; h < H; ++h) {
    float* row = pad + (h + 1) * pitch;
    load_row(plan, image, h, row + K);
    const bool edge = plan.o.border == Border::edge;
    std::copy_n(edge ? row + K : plan.border.data(), K, row);
    std::copy_n(edge ? row + plan.row : plan.border.data(), K, row + K + plan.row);
  }
  for (const std::int64_t outside : {std::int64_t{0}, H + 1}) {
    float* row = pad + outside * pitch;
    if (plan.o.border == Border::edge)
      std::copy_n(pad + (outside == 0 ? 1 : H) * pitch, pitch, row);
    else
      for (std::int64_t i = 0; i < pitch; i += K) std::copy_n(plan.border.data(), K, row + i);
  }
}

void move_whole(const Plan& plan, const AugmentParams& p, const float* pad, std::int32_t* columns, float* out) {
  const std::int64_t H = plan.x.H, W = plan.x.W, K = plan.K, pitch = plan.row + 2 * K;
  const auto dx = static_cast<std::int64_t>(p.dx), dy = static_cast<std::int64_t>(p.dy);
  for (std::int64_t w = 0; w < W; ++w) {
    const std::int64_t from = std::clamp<std::int64_t>(w - dx, -1, W);
    const std::int64_t first = ((p.flip_h ? W - 1 - from : from) + 1) * K;
    for (std::int64_t k = 0; k < K; ++k) columns[w * K + k] = static_cast<std::int32_t>(first + k);
  }
  for (std::int64_t h = 0; h < H; ++h) {
    const std::int64_t from = std::clamp<std::int64_t>(h - dy, -1, H);
    const float* row = pad + ((p.flip_v ? H - 1 - from : from) + 1) * pitch;
    for (std::int64_t i = 0; i < plan.row; ++i) out[h * plan.row + i] = row[columns[i]];
  }
}

void move_affine(const Plan& plan, const AugmentParams& p, const float* pad, float* out) {
  const std::int64_t H = plan.x.H, W = plan.x.W, K = plan.K, pitch = plan.row + 2 * K;
  // M = scale [cos -sin; sin cos] [1 shear; 0 1] [f 0; 0 g]; its inverse, from right to left.
  const double c = std::cos(double{p.angle}) / double{p.scale}, s = std::sin(double{p.angle}) / double{p.scale};
  const double f = p.flip_h ? -1 : 1, g = p.flip_v ? -1 : 1, shear = p.shear;
  const double xx = f * (c + shear * s), xy = f * (s - shear * c), yx = g * -s, yy = g * c;
  const double cx = 0.5 * static_cast<double>(W - 1), cy = 0.5 * static_cast<double>(H - 1);
  const auto right = static_cast<float>(W), bottom = static_cast<float>(H);
  for (std::int64_t h = 0; h < H; ++h) {
    const double v = static_cast<double>(h) - cy - double{p.dy};
    for (std::int64_t w = 0; w < W; ++w) {
      const double u = static_cast<double>(w) - cx - double{p.dx};
      const float x = std::clamp(static_cast<float>(cx + xx * u + xy * v), -1.0f, right);
      const float y = std::clamp(static_cast<float>(cy + yx * u + yy * v), -1.0f, bottom);
      const auto x0 = std::min(static_cast<std::int64_t>(x + 1), W);  // position in the bordered image, so >= 0
      const auto y0 = std::min(static_cast<std::int64_t>(y + 1), H);
      const float fx = x + 1 - static_cast<float>(x0), fy = y + 1 - static_cast<float>(y0);
      const float* a = pad + y0 * pitch + x0 * K;
      const float* b = a + pitch;
      for (std::int64_t k = 0; k < K; ++k) {
        const float top = a[k] + fx * (a[k + K] - a[k]), low = b[k] + fx * (b[k + K] - b[k]);
        out[h * plan.row + w * K + k] = top + fy * (low - top);
      }
    }
  }
}

void change_light(const Plan& plan, const AugmentParams& p, float* image) {
  const std::int64_t n = plan.x.H * plan.row;
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(image[i]);
  const auto mean = static_cast<float>(sum / static_cast<double>(n));
  const float base = mean + 255 * p.brightness;
  for (std::int64_t i = 0; i < n; ++i) image[i] = std::clamp(base + p.contrast * (image[i] - mean), 0.0f, 255.0f);
}

void cut_out(const Plan& plan, const AugmentParams& p, float* image) {
  const std::int64_t side = plan.o.cutout, top = p.cut_y - side / 2, left = p.cut_x - side / 2;
  const std::int64_t w0 = std::max<std::int64_t>(left, 0), w1 = std::min(left + side, plan.x.W);
  for (std::int64_t h = std::max<std::int64_t>(top, 0); h < std::min(top + side, plan.x.H); ++h)
    std::fill(image + h * plan.row + w0 * plan.K, image + h * plan.row + w1 * plan.K, 0.0f);
}

}  // namespace

template <class Dev, class T>
void augment(const Stream<Dev>&, const ImageView& x, bool gathered, const AugmentItem* items, std::int64_t B,
             const AugmentOptions& o, const Normalization& norm, std::uint64_t seed, T* out) {
  check_augment(x, o, norm);
  for (std::int64_t b = 0; b < B && !gathered; ++b)
    AKIN_CHECK(items[b].image >= 0 && items[b].image < x.N, "augment: item {} asks for image {} of {}", b,
               items[b].image, x.N);
  const auto K = static_cast<std::int64_t>(norm.mean.size());
  Plan plan{x, o, K, x.W * K, {}, {}, {}};
  for (std::int64_t i = 0; i < plan.row; ++i) {
    const auto k = static_cast<std::size_t>(i % K);
    plan.gain.push_back(static_cast<float>(1 / (255 * double{norm.std[k]})));
    plan.bias.push_back(static_cast<float>(-double{norm.mean[k]} / double{norm.std[k]}));
  }
  for (const float m : norm.mean) plan.border.push_back(o.border == Border::mean ? 255 * m : 0.0f);
  const bool light = o.brightness != 0 || o.contrast != 0, moves = o.shift != 0 || o.flip != Flip::none || o.affine();
  parallel_for(B, 32, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> pad(static_cast<std::size_t>((x.H + 2) * (x.W + 2) * K));
    std::vector<std::int32_t> columns(static_cast<std::size_t>(plan.row));
    std::vector<float> whole(std::is_same_v<T, float> ? 0 : static_cast<std::size_t>(x.H * plan.row));
    for (std::int64_t b = begin; b < end; ++b) {
      const AugmentItem& item = items[b];
      const std::int64_t place = gathered ? b : item.image;
      const AugmentParams p = draw_augment(o, x.H, x.W, seed, item.epoch, item.image);
      T* stored = out + b * x.H * plan.row;
      float* image = nullptr;
      if constexpr (std::is_same_v<T, float>)
        image = stored;
      else
        image = whole.data();
      if (moves) {
        load_bordered(plan, place, pad.data());
        o.affine() ? move_affine(plan, p, pad.data(), image) : move_whole(plan, p, pad.data(), columns.data(), image);
      } else {
        for (std::int64_t h = 0; h < x.H; ++h) load_row(plan, place, h, image + h * plan.row);
      }
      if (light) change_light(plan, p, image);
      for (std::int64_t h = 0; h < x.H; ++h) normalise_row(plan, image + h * plan.row);
      if (o.cutout > 0) cut_out(plan, p, image);
      if constexpr (!std::is_same_v<T, float>)
        for (std::int64_t i = 0; i < x.H * plan.row; ++i) store(stored[i], image[i]);
    }
  });
}

#define AKIN_INSTANTIATE(T)                                                                           \
  template void augment(const Stream<Cpu>&, const ImageView&, bool, const AugmentItem*, std::int64_t, \
                        const AugmentOptions&, const Normalization&, std::uint64_t, T*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
