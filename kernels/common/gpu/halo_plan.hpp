// How images are cut into tiles that fit shared memory with the pixels around them. Host code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace akin::gpu {

/// Positions are what a kernel makes results at: P x Q an image. Position (p, q) sees `taps` x `taps` pixels of its
/// image [H, W] from (p stride - pad, q stride - pad) on.
struct HaloWindow {
  std::int64_t N, H, W, P, Q, stride, pad, taps;
};

/// A tile is `images` images of th x tw positions; tw is a multiple of 8, the pixels that ldmatrix reads at once.
struct HaloPlan {
  std::int64_t images = 0, th = 0, tw = 0;
  std::int64_t rows = 0, cols = 0;  ///< of an image's pixels in a tile
  std::int64_t pitch = 0;           ///< places of a row of pixels: cols, and one more where that is odd with a stride
  std::int64_t tiles = 0;
  std::int64_t runs() const { return images * th * tw / 8; }
  std::int64_t pixels() const { return images * rows * pitch; }
};

/// Positions of eight that one tile can have.
inline constexpr std::int64_t kMostRuns = 64;

/// The cheapest tiles of at most `runs` x 8 positions, `pixels` pixels and rows of `cols` pixels, where a tile costs as
/// much whether it is full or not, and a pixel that is fetched an eighth of a position. tiles = 0: none fits.
inline HaloPlan plan_halo(const HaloWindow& w, std::int64_t runs, std::int64_t pixels, std::int64_t cols) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  HaloPlan best;
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t tw = 8; tw <= 32 && tw < w.Q + 8; tw += 8)
    for (std::int64_t th = 1; th <= std::min(w.P, runs * 8 / tw); ++th) {
      HaloPlan p{1, th, tw, (th - 1) * w.stride + w.taps, (tw - 1) * w.stride + w.taps};
      p.pitch = w.stride == 1 ? p.cols : up(p.cols, 2) * 2;
      if (p.pixels() > pixels || p.cols > cols) break;
      if (th == w.P && tw >= w.Q)
        p.images = std::max<std::int64_t>(1, std::min({w.N, runs / p.runs(), pixels / p.pixels()}));
      p.tiles = up(w.N, p.images) * up(w.P, th) * up(w.Q, tw);
      const double cost = static_cast<double>(p.tiles) * static_cast<double>(8 * runs + p.pixels() / 8);
      if (cost < least) best = p, least = cost;
    }
  return best;
}

}  // namespace akin::gpu
