// Windows that slide over the rows or columns of an image.
#pragma once

#include <cstdint>

namespace akin {

/// How many whole windows of `window` pixels lie, `stride` apart, on a side of `size` pixels with `pad` zeros before
/// the first and `pad_end` after the last (TensorFlow pads less before the first).
constexpr std::int64_t windows_on(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t pad,
                                  std::int64_t pad_end) {
  return (size + pad + pad_end - window) / stride + 1;
}

/// Whether each of a window's `taps` lies on one of the `size` pixels in at least one of `windows` windows.
constexpr bool each_tap_sees(std::int64_t size, std::int64_t taps, std::int64_t stride, std::int64_t pad,
                             std::int64_t windows) {
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    bool sees = false;
    for (std::int64_t w = 0, at = tap - pad; w < windows && !sees; ++w, at += stride) sees = at >= 0 && at < size;
    if (!sees) return false;
  }
  return true;
}

}  // namespace akin
