// Copies of images, channels and columns around convolutions that a library computes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/conv2d.hpp"

namespace akin::fast {

/// Copies channels of [pixels, channels]: to[p, to_first + c] (+)= from[p, from_first + c] for `count` of them.
struct Channels {
  std::int64_t all, first;
};
template <class T>
void copy_channels(std::int64_t pixels, std::int64_t count, const T* from, Channels of_from, T* to, Channels of_to,
                   Accum mode) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const T* in = from + p * of_from.all + of_from.first;
    T* out = to + p * of_to.all + of_to.first;
    for (std::int64_t c = 0; c < count; ++c) store(out[c], widened(in[c]), mode);
  }
}

inline std::vector<float> in_float(const bf16* x, std::int64_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  std::transform(x, x + n, out.begin(), [](bf16 v) { return widened(v); });
  return out;
}

/// What each output pixel sees, beside each other: x [N,H,W,C] -> columns [N P Q, R S C], zeros where it is padding.
template <class T>
void gather_columns(const Conv2dShape& s, const T* x, T* columns) {
  const std::int64_t P = s.P(), Q = s.Q(), row = s.R * s.S * s.C;
  parallel_for(s.N * P, 1 + (1 << 14) / (Q * row), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t np = begin; np < end; ++np)
      for (std::int64_t q = 0; q < Q; ++q) {
        T* to = columns + (np * Q + q) * row;
        for (std::int64_t r = 0; r < s.R; ++r)
          for (std::int64_t c = 0; c < s.S; ++c, to += s.C) {
            const std::int64_t h = np % P * s.stride + r - s.pad, w = q * s.stride + c - s.pad;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W)
              std::fill_n(to, s.C, T{});
            else
              std::copy_n(x + ((np / P * s.H + h) * s.W + w) * s.C, s.C, to);
          }
      }
  });
}

}  // namespace akin::fast
