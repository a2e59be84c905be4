// bfloat16 storage: the upper half of a float. Arithmetic is done in float; conversion rounds to nearest, ties to even,
// bit for bit the same on every device.
#pragma once

#include <cstdint>
#include <type_traits>

#if !defined(__CUDA_ARCH__)
#include <bit>
#endif

#if defined(__CUDACC__)
#define AKIN_HOST_DEVICE __host__ __device__
#else
#define AKIN_HOST_DEVICE
#endif

namespace akin {

struct bf16 {
  std::uint16_t bits;
};

AKIN_HOST_DEVICE inline float bf16_to_float(bf16 x) {
  const std::uint32_t u = static_cast<std::uint32_t>(x.bits) << 16;
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  return std::bit_cast<float>(u);
#endif
}

/// NaN becomes the quiet NaN 0x7fff, as the GPU's own conversion makes it.
AKIN_HOST_DEVICE inline bf16 float_to_bf16(float x) {
#if defined(__CUDA_ARCH__)
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return {bits};
#else
  const std::uint32_t u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
#endif
}

/// The type of what keeps its digits beside activations of T: parameters, statistics, losses, all arithmetic.
template <class T>
using Full = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

/// A stored element to work with, and back: bf16 is rounded, the others stay as they are.
template <class T>
AKIN_HOST_DEVICE inline Full<T> widened(T x) {
  if constexpr (std::is_same_v<T, bf16>)
    return bf16_to_float(x);
  else
    return x;
}
template <class T>
AKIN_HOST_DEVICE inline T narrowed(Full<T> x) {
  if constexpr (std::is_same_v<T, bf16>)
    return float_to_bf16(x);
  else
    return x;
}

}  // namespace akin
