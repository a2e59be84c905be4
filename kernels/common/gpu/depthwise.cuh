// What the two files of depthwise share on a device.
#pragma once

#include "kernels/common/gpu/patches.cuh"
#include "kernels/depthwise.hpp"

namespace akin {
namespace {

struct Sizes {
  int H, W, C, R, S, stride, pad, P, Q;
};

inline Sizes sizes_of(const DepthwiseShape& s) {
  return {as_int(s.H),      as_int(s.W),   as_int(s.C),   as_int(s.R),  as_int(s.S),
          as_int(s.stride), as_int(s.pad), as_int(s.P()), as_int(s.Q())};
}

/// run.operator()<window, stride>() and true where the patch kernels serve the shape.
template <class Run>
bool with_window(const DepthwiseShape& s, bool packs, Run&& run) {
  constexpr std::int64_t kMost = std::int64_t{1} << 30;  // patches are counted in int
  if (!packs || s.R != s.S || s.N * s.H * s.W >= kMost || s.N * s.P() * s.Q() >= kMost) return false;
  if (s.R == 3 && s.stride == 1) return run.template operator()<3, 1>(), true;
  if (s.R == 3 && s.stride == 2) return run.template operator()<3, 2>(), true;
  if (s.R == 5 && s.stride == 1) return run.template operator()<5, 1>(), true;
  if (s.R == 5 && s.stride == 2) return run.template operator()<5, 2>(), true;
  return false;
}

inline Images forward_images(const DepthwiseShape& s) { return {s.N, s.C, s.H, s.W, s.P(), s.Q(), s.pad}; }

template <class T>
bool packed(const DepthwiseShape& s, const T* a, const T* b) {
  return s.C % kPack<T> == 0 && aligned16(a, b);
}

}  // namespace
}  // namespace akin
