// What tile.cuh multiplies: an operand says where element (row, k) lies, row counting M (or N) and k the reduction.
//   Row row(int)            what depends on the row alone: kept in registers through the whole reduction
//   Col col(int)            what depends on k alone: worked out once a step
//   hold(row)               makes the compiler hold a row rather than what it would make of it
//   at(row, col, real)      address; real = false: the element counts as zero, and the address is any valid one
//   kKRuns                  neighbours in memory differ in k (else in row); this is also the layout in shared memory
//   kPacks                  runs may be read 16 bytes at a time: sizes and addresses are multiples of that
// Rows beyond the operand may be any: what comes of them is not written. A k beyond the reduction must not be real. Of
// row and column one brings an address and the other a distance in elements within 32 bits, so that at() is one
// instruction. Without kPacks elements are gathered one by one, runs along k whatever the layout in memory.
#pragma once

#include "kernels/common/gpu/divisor.cuh"
#include "kernels/common/gpu/vector.cuh"

namespace akin {
namespace {

/// a b in 64 bits, by one instruction: that b is 32 bits wide must be known where it is multiplied, not only outside
/// the loop.
__device__ __forceinline__ std::int64_t wide_product(int a, int b) {
  keep(b);
  return std::int64_t{a} * b;
}

/// A stored matrix: element (row, k) is p[row row_stride + k k_stride]. With Packs its runs have stride 1 and lie one
/// behind the other.
template <class T, bool KRuns, bool Packs>
struct Matrix {
  using Type = T;
  static constexpr bool kKRuns = KRuns || !Packs, kPacks = Packs;
  using Distance = std::conditional_t<Packs, int, std::int64_t>;
  const T* p;
  std::int64_t row_stride, k_stride;
  int rows, depth;

  using Row = std::conditional_t<kKRuns, const T*, Distance>;
  struct Col {
    std::conditional_t<kKRuns, Distance, const T*> at;
    bool real;
  };
  __device__ __forceinline__ Row row(int i) const {
    i = i < rows ? i : 0;
    if constexpr (kKRuns)
      return p + i * row_stride;
    else
      return i;
  }
  __device__ __forceinline__ Col col(int k) const {
    const bool real = k < depth;
    k = real ? k : 0;
    if constexpr (!kKRuns) {
      const T* line = p + wide_product(k, rows);
      keep(line);
      return {line, real};
    } else if constexpr (Packs) {
      return {k, real};
    } else {
      return {k * k_stride, real};
    }
  }
  __device__ __forceinline__ static void hold(Row& r) { keep(r); }
  __device__ __forceinline__ const T* at(Row r, const Col& c, bool& real) const {
    real = c.real;
    return r + c.at;
  }
};

/// The pixels that a convolution reads: element (output pixel, tap and channel) of an image [N,H,W,C], a grid of P x Q
/// output pixels, and taps in rows of S: x[n, p stride + r - pad_h, q stride + s - pad_w, c]; zero outside the image.
struct PixelGrid {
  int H, W, C, stride, pad_h, pad_w;
  int image;  ///< H W C
  int taps_h, taps_w;
  int pixels;  ///< N P Q
  int depth;   ///< taps C
  Divisor by_p, by_q, by_s, by_c;
};

/// Whether a tap (r, s) meets the image from a window whose first tap lies at (h, w): a bit for each row and each
/// column of taps, which one instruction compares.
struct TapBits {
  static constexpr std::int64_t kMost = 31;  ///< rows and columns of taps together; no window has the last bit
  std::uint32_t bits = 0;
  __device__ __forceinline__ static TapBits window(const PixelGrid& g, int h, int w) {
    return {range(-h, g.H - h, g.taps_h) | range(-w, g.W - w, g.taps_w) << g.taps_h};
  }
  __device__ __forceinline__ static TapBits tap(const PixelGrid& g, int r, int s) {
    return {1u << r | 1u << (g.taps_h + s)};
  }
  __device__ __forceinline__ static TapBits no_tap() { return {~0u}; }
  __device__ __forceinline__ static bool meet(const PixelGrid&, TapBits window, TapBits tap) {
    return (~window.bits & tap.bits) == 0;
  }
  __device__ __forceinline__ void hold() { keep(bits); }

 private:
  /// Bits first to end - 1 of those below size < 32.
  __device__ __forceinline__ static std::uint32_t range(int first, int end, int size) {
    return ~0u << min(max(first, 0), 31) & ~(~0u << min(max(end, 0), size));
  }
};

/// The same for windows of any size.
struct TapPlace {
  int h = 0, w = 0;
  __device__ __forceinline__ static TapPlace window(const PixelGrid&, int h, int w) { return {h, w}; }
  __device__ __forceinline__ static TapPlace tap(const PixelGrid&, int r, int s) { return {r, s}; }
  __device__ __forceinline__ static TapPlace no_tap() { return {kOutside, kOutside}; }
  __device__ __forceinline__ static bool meet(const PixelGrid& g, TapPlace window, TapPlace tap) {
    return static_cast<unsigned>(window.h + tap.h) < static_cast<unsigned>(g.H) &&
           static_cast<unsigned>(window.w + tap.w) < static_cast<unsigned>(g.W);
  }
  __device__ __forceinline__ void hold() { keep(h), keep(w); }
  static constexpr int kOutside = -(1 << 29);  ///< also after a tap was added
};

/// With Packs windows are at most TapBits::kMost.
template <class T, bool Packs>
struct Pixels {
  using Type = T;
  using Taps = std::conditional_t<Packs, TapBits, TapPlace>;
  static constexpr bool kKRuns = true, kPacks = Packs;
  const T* x;
  PixelGrid g;

  struct Row {
    const T* p;
    Taps window;
  };
  struct Col {
    int offset;
    Taps tap;
  };
  __device__ __forceinline__ Row row(int i) const {
    const bool real = i < g.pixels;
    int np, n, p, q;
    g.by_q.divide(real ? i : 0, np, q);
    g.by_p.divide(np, n, p);
    const int h = real ? p * g.stride - g.pad_h : g.H, w = q * g.stride - g.pad_w;
    return {x + wide_product(n, g.image) + wide_product(h * g.W + w, g.C), Taps::window(g, h, w)};
  }
  __device__ __forceinline__ Col col(int k) const {
    const bool real = k < g.depth;
    int tap, c, r, s;
    g.by_c.divide(real ? k : 0, tap, c);
    g.by_s.divide(tap, r, s);
    return {(r * g.W + s) * g.C + c, real ? Taps::tap(g, r, s) : Taps::no_tap()};
  }
  __device__ __forceinline__ static void hold(Row& r) { keep(r.p), r.window.hold(); }
  __device__ __forceinline__ static void hold(Col& c) { keep(c.offset), c.tap.hold(); }
  __device__ __forceinline__ const T* at(const Row& row, const Col& col, bool& real) const {
    real = Taps::meet(g, row.window, col.tap);
    const T* p = row.p + col.offset;
    return real ? p : x;
  }
};

/// The same with rows and reduction exchanged: rows are taps and channels, the reduction goes over output pixels.
template <class T, bool Packs>
struct PixelsAcross {
  using Type = T;
  static constexpr bool kKRuns = !Packs, kPacks = Packs;
  Pixels<T, Packs> of;

  using Row = typename Pixels<T, Packs>::Col;
  using Col = typename Pixels<T, Packs>::Row;
  __device__ __forceinline__ Row row(int i) const { return of.col(i); }
  __device__ __forceinline__ Col col(int k) const {
    Col c = of.row(k);
    keep(c.p);
    return c;
  }
  __device__ __forceinline__ static void hold(Row& r) { Pixels<T, Packs>::hold(r); }
  __device__ __forceinline__ const T* at(const Row& r, const Col& c, bool& real) const { return of.at(c, r, real); }
};

/// Weights as the data gradient reads them, taps reversed: element (c, (i, j, k)) is w[k, r0 + (R' - 1 - i) step,
/// s0 + (S' - 1 - j) step, c] of w [K,R,S,C], with R' x S' taps.
template <class T, bool Packs>
struct ReversedTaps {
  using Type = T;
  static constexpr bool kKRuns = !Packs, kPacks = Packs;
  const T* w;
  int C, S, last_r, last_s, step;  // the last tap is r0 + (R' - 1) step
  int filter;                      // R S C
  int depth;                       // R' S' K
  Divisor by_k, by_s;              // K, S'

  using Row = int;
  struct Col {
    const T* p;
    bool real;
  };
  __device__ __forceinline__ Row row(int c) const { return c < C ? c : 0; }
  __device__ __forceinline__ Col col(int i) const {
    const bool real = i < depth;
    int tap, k, r, s;
    by_k.divide(real ? i : 0, tap, k);
    by_s.divide(tap, r, s);
    const T* p = w + wide_product(k, filter) + ((last_r - r * step) * S + last_s - s * step) * C;
    keep(p);
    return {p, real};
  }
  __device__ __forceinline__ static void hold(Row& r) { keep(r); }
  __device__ __forceinline__ const T* at(Row r, const Col& c, bool& real) const {
    real = c.real;
    return c.p + r;
  }
};

/// Where the rows of a product go: one after the other.
struct ToRows {
  void* y;
  std::int64_t width;
  bool low;  ///< bf16, else float
  template <class T>
  __device__ __forceinline__ T* row(int m) const {
    return static_cast<T*>(y) + m * width;
  }
};

/// ... or to every step-th pixel of an image [N,H,W,C]: row (n, i, j) of a grid of P x Q to pixel (first_h + i step,
/// first_w + j step).
struct ToPixels {
  void* y;
  int H, W, C, first_h, first_w, step;
  bool low;
  Divisor by_p, by_q;
  template <class T>
  __device__ __forceinline__ T* row(int m) const {
    int np, n, p, q;
    by_q.divide(m, np, q);
    by_p.divide(np, n, p);
    return static_cast<T*>(y) + ((std::int64_t{n} * H + first_h + p * step) * W + first_w + q * step) * C;
  }
};

}  // namespace
}  // namespace akin
