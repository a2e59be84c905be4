// Tiles of images in shared memory, with the pixels around them that windows see.
//
// A line of shared memory is a row of pixels, each Chunks x 16 bytes of channels. With stride 2 the even columns of a
// row come first and then the odd ones, so that what neighbouring positions see by one tap lies side by side whatever
// the stride. Chunks of a pixel are exchanged by its place in the row: eight neighbours' chunks meet no bank twice.
#pragma once

#include "kernels/common/gpu/halo_plan.hpp"
#include "kernels/common/gpu/tile_operands.cuh"

namespace akin {
namespace {

constexpr int kHaloBlock = 256;

/// A HaloPlan for the kernels, with the image sizes.
struct HaloTiles {
  int N, H, W, C;      ///< images that are read; C: channels in memory
  int seen_h, seen_w;  ///< pixels beyond count as zero: no position sees them
  int P, Q;            ///< positions
  int stride, pad;
  int images, th, tw, rows, cols;
  int across, down, tiles;
  int runs;
  int pitch;  ///< places of a row in shared memory
  Divisor by_across, by_down;
};

/// First image and position of a tile.
struct HaloCorner {
  int n, p, q;
};
__device__ __forceinline__ HaloCorner halo_corner(const HaloTiles& g, int tile) {
  int rest, x, n, y;
  g.by_across.divide(tile, rest, x);
  g.by_down.divide(rest, n, y);
  return {n * g.images, y * g.th, x * g.tw};
}

/// Image, row and column of a position in a tile, or how many there are, in one number: 9 bits each, and a tenth that
/// tells when one is too large.
class Place {
 public:
  static constexpr int kMost = 511;
  Place() = default;
  __device__ __forceinline__ Place(int image, int row, int column) : bits_(image << 20 | row << 10 | column) {}
  /// A position that is in no tile.
  __device__ __forceinline__ static Place none() { return {kMost, 0, 0}; }
  /// Of how many images, rows and columns of a tile exist.
  __device__ __forceinline__ static Place limit(int images, int rows, int columns) {
    Place p;
    p.bits_ = ((min(images, kMost) + 511) << 20) + ((min(rows, kMost) + 511) << 10) + min(columns, kMost) + 511;
    return p;
  }
  __device__ __forceinline__ Place right(int columns) const {
    Place p;
    p.bits_ = bits_ + columns;
    return p;
  }
  __device__ __forceinline__ bool below(const Place& limit) const { return (~(limit.bits_ - bits_) & kGuards) == 0; }

 private:
  static constexpr int kGuards = 1 << 29 | 1 << 19 | 1 << 9;
  int bits_;
};

/// Place in a row of pixel column j; also the places from what a position sees by its first tap to column j of the
/// taps.
template <int Stride>
__device__ __forceinline__ int halo_column(const HaloTiles& g, int j) {
  return Stride == 1 ? j : j / 2 + (j % 2) * (g.pitch / 2);
}
/// Bytes from a row's begin to a chunk of the pixel at `place`.
template <int Chunks>
__device__ __forceinline__ int halo_chunk(int place, int chunk) {
  return (place * Chunks + (chunk ^ (place * Chunks / 8 & (Chunks - 1)))) * 16;
}

/// Calls copy(to, from, real) for the rows of a tile's images that a thread has: `row`, row + step ... of each. `from`
/// and `to` begin with the first image's row; a row has `line` elements in memory and `place_line` bytes in the tile.
template <class To, class Copy>
__device__ __forceinline__ void for_halo_rows(const HaloTiles& g, const HaloCorner& t, int row, int step, int line,
                                              int place_line, const bf16* from, To to, bool inside, Copy&& copy) {
  const int first = t.p * g.stride - g.pad + row, end = t.p * g.stride - g.pad + g.rows;
  for (int image = 0; image < g.images; ++image) {
    const auto height = static_cast<unsigned>(inside && t.n + image < g.N ? g.seen_h : 0);
    const bf16* in = from;
    To out = to;
#pragma unroll 2
    for (int h = first; h < end; h += step) {
      copy(out, in, static_cast<unsigned>(h) < height);
      in += step * line;
      out += step * place_line;
    }
    from += std::int64_t{g.H} * line;
    to += g.rows * place_line;
  }
}

/// Fetches tiles; each thread one chunk of one column, and every so many rows.
template <int Chunks, int Stride>
class HaloLoader {
 public:
  /// `to`: where the pixels of the first buffer lie.
  __device__ __forceinline__ HaloLoader(const HaloTiles& g, unsigned char* to) {
    const int lanes = g.cols * Chunks, thread = static_cast<int>(threadIdx.x);
    step_ = kHaloBlock / lanes;
    row_ = thread / lanes;
    const int lane = thread - row_ * lanes;
    column_ = lane / Chunks;
    chunk_ = lane % Chunks;
    to_ = shared_address(to) + row_ * g.pitch * (Chunks * 16) +
          halo_chunk<Chunks>(halo_column<Stride>(g, column_), chunk_);
    keep(to_);
    if (row_ >= step_) row_ = g.rows;  // nothing to do
  }
  __device__ __forceinline__ void load(const HaloTiles& g, const bf16* x, const HaloCorner& t, int buffer) const {
    const int h = t.p * Stride - g.pad + row_, w = t.q * Stride - g.pad + column_, line = g.W * g.C;
    const bf16* from = x + (std::int64_t{t.n} * g.H + h) * line + w * g.C + chunk_ * 8;
    for_halo_rows(g, t, row_, step_, line, g.pitch * (Chunks * 16), from, to_ + buffer,
                  static_cast<unsigned>(w) < static_cast<unsigned>(g.seen_w),
                  [&](SharedAddress to, const bf16* in, bool real) { cp_async16(to, real ? in : x, real); });
  }

 private:
  int step_, row_, column_, chunk_;
  SharedAddress to_;
};

/// Pixels of fewer than 8 channels: single elements; a pixel's place is one chunk. Channels beyond are left as they
/// are.
template <int Stride>
class NarrowHaloLoader {
 public:
  __device__ __forceinline__ NarrowHaloLoader(const HaloTiles& g, unsigned char* to) {
    const int lanes = g.cols * g.C, thread = static_cast<int>(threadIdx.x);
    step_ = kHaloBlock / lanes;
    row_ = thread / lanes;
    lane_ = thread - row_ * lanes;
    column_ = lane_ / g.C;
    to_ = to + (row_ * g.pitch + halo_column<Stride>(g, column_)) * 16 + (lane_ - column_ * g.C) * 2;
    if (row_ >= step_) row_ = g.rows;
  }
  __device__ __forceinline__ void load(const HaloTiles& g, const bf16* x, const HaloCorner& t, int buffer) const {
    const int h = t.p * Stride - g.pad + row_, w = t.q * Stride - g.pad, line = g.W * g.C;
    const bf16* from = x + (std::int64_t{t.n} * g.H + h) * line + w * g.C + lane_;
    for_halo_rows(
        g, t, row_, step_, line, g.pitch * 16, from, to_ + buffer,
        static_cast<unsigned>(w + column_) < static_cast<unsigned>(g.seen_w),
        [](unsigned char* to, const bf16* in, bool real) { *reinterpret_cast<bf16*>(to) = real ? *in : bf16{}; });
  }

 private:
  int step_, row_, lane_, column_;
  unsigned char* to_;
};

/// Fetches tiles of images of Channels channels; 8: of up to 8.
template <int Channels, int Stride>
class ImageLoader {
 public:
  __device__ __forceinline__ ImageLoader(const HaloTiles& g, unsigned char* to) : packs_(g, to), elements_(g, to) {}
  /// Of a tile beyond the last it fetches nothing.
  __device__ __forceinline__ void load(const HaloTiles& g, const bf16* x, int tile, int buffer) const {
    if (tile >= g.tiles) return;
    const HaloCorner corner = halo_corner(g, tile);
    if constexpr (Channels == 8)
      if (g.C < 8) return elements_.load(g, x, corner, buffer);
    packs_.load(g, x, corner, buffer);
  }

 private:
  HaloLoader<Channels / 8, Stride> packs_;
  NarrowHaloLoader<Stride> elements_;  // no code where there are 16 and more
};

/// Where a run of eight positions of a tile is.
struct alignas(16) HaloRun {
  Place place;  ///< of its first position
  int result;   ///< elements from the tile's first result to that of its first position, or unused
  int pixel;    ///< bytes to the pixel that its first position's first tap sees
};
/// Run of that number; those beyond the tile see its first pixels and are at no place. Of each position's results
/// [result_rows, result_columns, channels] every `step`-th row and column.
template <int Chunks, int Stride>
__device__ __forceinline__ HaloRun halo_run(const HaloTiles& g, int run, int result_rows, int result_columns, int step,
                                            int channels) {
  if (run >= g.runs) return {Place::none(), 0, 0};
  const int across = g.tw / 8, column = run % across * 8, row = run / across % g.th, image = run / across / g.th;
  return {Place(image, row, column), ((image * result_rows + row * step) * result_columns + column * step) * channels,
          ((image * g.rows + row * Stride) * g.pitch + column) * Chunks * 16};
}
inline HaloTiles halo_tiles(const gpu::HaloWindow& w, const gpu::HaloPlan& p, std::int64_t C) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t across = up(w.Q, p.tw), down = up(w.P, p.th);
  HaloTiles t{};
  const auto set = [](int& to, std::int64_t n) { to = static_cast<int>(n); };
  set(t.N, w.N), set(t.H, w.H), set(t.W, w.W), set(t.C, C), set(t.P, w.P), set(t.Q, w.Q);
  set(t.seen_h, std::min(w.H, (w.P - 1) * w.stride - w.pad + w.taps));
  set(t.seen_w, std::min(w.W, (w.Q - 1) * w.stride - w.pad + w.taps));
  set(t.stride, w.stride), set(t.pad, w.pad);
  set(t.images, p.images), set(t.th, p.th), set(t.tw, p.tw), set(t.rows, p.rows), set(t.cols, p.cols);
  set(t.across, across), set(t.down, down), set(t.tiles, p.tiles), set(t.runs, p.runs()), set(t.pitch, p.pitch);
  t.by_across = Divisor(across), t.by_down = Divisor(down);
  return t;
}

}  // namespace
}  // namespace akin
