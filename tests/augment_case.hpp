// Random images, augmentation in double by another way than the kernels', and how far two batches are apart.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/augment.hpp"
#include "kernels/common/rng.hpp"

namespace akin::test {

struct Images {
  std::int64_t N, H, W, C;
  std::vector<std::uint8_t> bytes;
  Images(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::uint64_t seed = 1)
      : N(n), H(h), W(w), C(c) {
    Rng rng(seed);
    for (std::int64_t i = 0; i < n * h * w * c; ++i) bytes.push_back(static_cast<std::uint8_t>(rng.below(256)));
  }
  ImageView view() const { return {bytes.data(), N, H, W, C}; }
  double at(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
    return bytes[static_cast<std::size_t>(((n * H + h) * W + w) * C + c)];
  }
};

inline const Normalization kGrey{{0.3f}, {0.25f}};
inline const Normalization kRgb{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};

inline std::vector<float> run(const Images& x, const std::vector<std::int64_t>& index, const AugmentOptions& o,
                              const Normalization& norm, std::uint64_t seed = 3, std::uint32_t epoch = 5) {
  std::vector<float> y(index.size() * static_cast<std::size_t>(x.H * x.W) * norm.mean.size(), NAN);
  std::vector<AugmentItem> items;
  for (const std::int64_t i : index) items.push_back({i, epoch});
  augment(kFast, x.view(), false, items.data(), std::ssize(items), o, norm, seed, y.data());
  return y;
}

inline std::vector<std::int64_t> all(const Images& x) {
  std::vector<std::int64_t> i(static_cast<std::size_t>(x.N));
  std::iota(i.begin(), i.end(), 0);
  return i;
}

/// Pixel (h, w) of channel k in 0..255 as the network's channels see it; beyond the border as `o` says.
inline double pixel(const Images& x, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t k,
                    const AugmentOptions& o, const Normalization& norm) {
  if (h < 0 || w < 0 || h >= x.H || w >= x.W) {
    if (o.border == Border::black) return 0;
    if (o.border == Border::mean) return 255 * static_cast<double>(norm.mean[static_cast<std::size_t>(k)]);
    h = std::clamp<std::int64_t>(h, 0, x.H - 1);
    w = std::clamp<std::int64_t>(w, 0, x.W - 1);
  }
  if (x.C == static_cast<std::int64_t>(norm.mean.size())) return x.at(n, h, w, k);
  if (x.C == 1) return x.at(n, h, w, 0);
  double sum = 0;
  for (std::int64_t c = 0; c < x.C; ++c) sum += x.at(n, h, w, c);
  return sum / static_cast<double>(x.C);
}

/// The contract in double: solves M p = q - c - t by Cramer's rule for every output pixel, then light and cutout.
inline std::vector<double> reference(const Images& x, const std::vector<std::int64_t>& index, const AugmentOptions& o,
                                     const Normalization& norm, std::uint64_t seed = 3, std::uint32_t epoch = 5) {
  const auto K = static_cast<std::int64_t>(norm.mean.size());
  std::vector<double> all_images;
  for (const std::int64_t n : index) {
    const AugmentParams p = draw_augment(o, x.H, x.W, seed, epoch, n);
    const double a = p.angle, s = p.scale, f = p.flip_h ? -1 : 1, g = p.flip_v ? -1 : 1, sh = p.shear;
    const double m00 = s * std::cos(a) * f, m01 = s * (std::cos(a) * sh - std::sin(a)) * g, m10 = s * std::sin(a) * f,
                 m11 = s * (std::sin(a) * sh + std::cos(a)) * g, det = m00 * m11 - m01 * m10;
    const double cx = static_cast<double>(x.W - 1) / 2, cy = static_cast<double>(x.H - 1) / 2;
    std::vector<double> v;
    for (std::int64_t h = 0; h < x.H; ++h)
      for (std::int64_t w = 0; w < x.W; ++w)
        for (std::int64_t k = 0; k < K; ++k) {
          const double u0 = static_cast<double>(w) - cx - static_cast<double>(p.dx);
          const double u1 = static_cast<double>(h) - cy - static_cast<double>(p.dy);
          const double px = cx + (m11 * u0 - m01 * u1) / det, py = cy + (m00 * u1 - m10 * u0) / det;
          const double x0 = std::floor(px), y0 = std::floor(py), fx = px - x0, fy = py - y0;
          double value = 0;
          for (const int dy : {0, 1})
            for (const int dx : {0, 1})
              value += (dx ? fx : 1 - fx) * (dy ? fy : 1 - fy) *
                       pixel(x, n, std::int64_t(y0) + dy, std::int64_t(x0) + dx, k, o, norm);
          v.push_back(value);
        }
    const double mean = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
    std::size_t i = 0;
    for (std::int64_t h = 0; h < x.H; ++h)
      for (std::int64_t w = 0; w < x.W; ++w)
        for (std::int64_t k = 0; k < K; ++k, ++i) {
          const auto c = static_cast<std::size_t>(k);
          double value =
              mean + static_cast<double>(p.contrast) * (v[i] - mean) + 255.0 * static_cast<double>(p.brightness);
          value = std::min(std::max(value, 0.0), 255.0);
          v[i] = (value / 255 - static_cast<double>(norm.mean[c])) / static_cast<double>(norm.std[c]);
          const std::int64_t r = h - (p.cut_y - o.cutout / 2), t = w - (p.cut_x - o.cutout / 2);
          if (r >= 0 && r < o.cutout && t >= 0 && t < o.cutout) v[i] = 0;
        }
    all_images.insert(all_images.end(), v.begin(), v.end());
  }
  return all_images;
}

template <class E>
double worst(const std::vector<float>& found, const std::vector<E>& expected) {
  REQUIRE_EQ(found.size(), expected.size());
  double d = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double e = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!(e <= d)) d = e;
  }
  return d;
}

inline constexpr double kEps = 1.2e-7;

}  // namespace akin::test
