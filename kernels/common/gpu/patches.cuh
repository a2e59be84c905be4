// Sliding windows over images [N, H, W, C]: a thread makes a patch of neighbouring outputs, because they see the same
// inputs.
#pragma once

#include <algorithm>

#include "kernels/common/gpu/columns.cuh"
#include "kernels/common/gpu/divisor.cuh"

namespace akin {
namespace {

/// Along one side of an image: output l of a patch and tap t meet in the patch's input(l, t), or nowhere (-1).
template <int kTaps, int kStride>
struct ForwardSide {
  static constexpr int K = kTaps;
  AKIN_HOST_DEVICE static constexpr int inputs(int outputs) { return (outputs - 1) * kStride + K; }
  AKIN_HOST_DEVICE static constexpr int input(int l, int t) { return l * kStride + t; }
  AKIN_HOST_DEVICE static int first_input(int first, int pad) { return first * kStride - pad; }
  static int begin(int) { return 0; }
};

/// Outputs are pixels of dx, inputs of dy. A patch starts where stride divides its place + pad, so that every tap finds
/// its input in the same place of every patch. With stride 1 that is the forward pass with its taps reversed.
template <int kTaps, int kStride>
struct DataSide {
  static constexpr int K = kTaps, kBack = (K - 1) / kStride;
  AKIN_HOST_DEVICE static constexpr int inputs(int outputs) { return (outputs - 1) / kStride + kBack + 1; }
  AKIN_HOST_DEVICE static constexpr int input(int l, int t) {
    return (l - t + K * kStride) % kStride == 0 ? kBack + (l - t + K * kStride) / kStride - K : -1;
  }
  AKIN_HOST_DEVICE static int first_input(int first, int pad) { return (first + pad) / kStride - kBack; }
  static int begin(int pad) { return -(pad % kStride); }
};

/// kRows x kColumns outputs and the inputs that they see.
template <class OfSide, int kOutRows, int kOutColumns>
struct Patch {
  using Side = OfSide;
  static constexpr int kRows = kOutRows, kColumns = kOutColumns, kInRows = Side::inputs(kRows),
                       kInColumns = Side::inputs(kColumns);
};

struct Patches {
  int out_h, out_w, in_h, in_w, C, pad, begin;
  int seen_h, seen_w;                ///< inputs beyond count as zero: no output sees them
  std::int64_t in_pitch, out_pitch;  ///< of a row, in elements
  Divisor by_columns, by_rows;       ///< patches side by side, and one below the other in an image
  std::int64_t count;
};

inline int as_int(std::int64_t v) { return static_cast<int>(v); }

/// Of images h x w and what is made of them.
struct Images {
  std::int64_t N, C, in_h, in_w, out_h, out_w, pad;
};

template <class Patch>
Patches patches_of(const Images& s) {
  using Side = typename Patch::Side;
  const int pad = as_int(s.pad), begin = Side::begin(pad);
  const auto seen = [&](std::int64_t in, std::int64_t out) {
    const std::int64_t end = Side::first_input(as_int(out) - 1, pad) + Side::K;
    return as_int(std::clamp<std::int64_t>(end, 0, in));
  };
  const std::int64_t columns = (s.out_w - begin + Patch::kColumns - 1) / Patch::kColumns,
                     rows = (s.out_h - begin + Patch::kRows - 1) / Patch::kRows;
  return {
      as_int(s.out_h), as_int(s.out_w),       as_int(s.in_h),        as_int(s.in_w), as_int(s.C),   pad,
      begin,           seen(s.in_h, s.out_h), seen(s.in_w, s.out_w), s.in_w * s.C,   s.out_w * s.C, Divisor(columns),
      Divisor(rows),   s.N * rows * columns};
}

struct PatchAt {
  int n, h, w;  ///< image, first output
};

template <class Patch>
__device__ __forceinline__ PatchAt patch_at(const Patches& s, std::int64_t index) {
  int line, column, n, row;
  s.by_columns.divide(static_cast<int>(index), line, column);
  s.by_rows.divide(line, n, row);
  return {n, s.begin + row * Patch::kRows, s.begin + column * Patch::kColumns};
}

/// Bit j: whether pixel first + j is one of 0 .. end - 1.
template <int kCount>
__device__ __forceinline__ unsigned bits_inside(int first, int end) {
  unsigned bits = 0;
#pragma unroll
  for (int j = 0; j < kCount; ++j) bits |= static_cast<unsigned>(first + j) < static_cast<unsigned>(end) ? 1u << j : 0u;
  keep(bits);
  return bits;
}

/// Pixels of a row, `step` elements apart, from p on: those of `inside`, zeros elsewhere.
template <int W, int kCount, class T>
__device__ __forceinline__ void load_row(Packed<T, W> (&v)[kCount], const T* p, int step, unsigned inside) {
#pragma unroll
  for (int j = 0; j < kCount; ++j, p += step) {
    v[j] = {};
    if (inside >> j & 1) v[j] = *reinterpret_cast<const Packed<T, W>*>(p);
  }
}

/// Calls use(y, pixels) for the rows y of inputs that a patch sees and the image has; pixels outside are zeros.
template <int W, class Patch, class T, class Use>
__device__ __forceinline__ void for_input_rows(const Patches& s, const PatchAt& at, const T* in, int C, int channel,
                                               Use&& use) {
  using Side = typename Patch::Side;
  const int in_h = Side::first_input(at.h, s.pad), in_w = Side::first_input(at.w, s.pad);
  const unsigned in_columns = bits_inside<Patch::kInColumns>(in_w, s.seen_w);
  const T* p = in + std::int64_t{(at.n * s.in_h + in_h) * s.in_w + in_w} * C + channel;
#pragma unroll
  for (int y = 0; y < Patch::kInRows; ++y, p += s.in_pitch) {
    if (static_cast<unsigned>(in_h + y) >= static_cast<unsigned>(s.seen_h)) continue;
    Packed<T, W> v[Patch::kInColumns];
    keep_global(p);
    load_row<W>(v, p, C, in_columns);
    use(y, v);
  }
}

}  // namespace
}  // namespace akin
