// What the tests of convolutions share: the reference goes over inputs, where the kernels go over outputs.
#pragma once

#include "tests/op_case.hpp"

namespace akin::test {

inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// f(pixel of the input, pixel of the output, tap) for every input pixel and the outputs that see it; numbered in
/// memory order. Shape: Conv2dShape or DepthwiseShape.
template <class Shape, class F>
void scatter_pixels(const Shape& s, F&& f) {
  const std::int64_t P = s.P(), Q = s.Q();
  for (std::int64_t n = 0; n < s.N; ++n)
    for (std::int64_t h = 0; h < s.H; ++h)
      for (std::int64_t v = 0; v < s.W; ++v)
        for (std::int64_t p = 0; p < P; ++p)
          for (std::int64_t q = 0; q < Q; ++q) {
            const std::int64_t r = h + s.pad - p * s.stride, t = v + s.pad - q * s.stride;
            if (r < 0 || r >= s.R || t < 0 || t >= s.S) continue;
            f((n * s.H + h) * s.W + v, (n * P + p) * Q + q, r * s.S + t);
          }
}

/// Makes the last output a sum of terms of one sign, large enough for a bug of 0.1 % to show. in: {image, weights}.
template <class Shape>
void one_signed_end(const Shape& s, std::int64_t weights_of_an_output, std::vector<Values>& in) {
  for (std::int64_t i = 0; i < weights_of_an_output; ++i) in[1][in[1].size() - 1 - at(i)] = 0.7;
  const std::int64_t image = s.H * s.W * s.C;
  for (std::int64_t i = 0; i < image; ++i) {
    double& v = in[0][at((s.N - 1) * image + i)];
    v = std::abs(v) + 0.1;
  }
}

}  // namespace akin::test
