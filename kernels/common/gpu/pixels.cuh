// One thread for W neighbouring channels of a pixel of [N, H, W, C] images, in memory order with a grid stride. Index
// is 32-bit wherever all elements can be counted so: dividing 64-bit numbers would take longer than the memory access.
#pragma once

#include "kernels/common/gpu/columns.cuh"

namespace akin {
namespace {

constexpr int kPixelBlock = 256;

template <class Index>
struct PixelAt {
  Index n;
  int h, w, c;
};

/// body(at, offset of the first element) for all pixels of N images of `rows` x `columns`, `channels` a multiple of W.
template <int W, class Index, class Body>
__device__ __forceinline__ void for_each_pixel(Index count, int rows, int columns, int channels, Body&& body) {
  const Index packs = static_cast<Index>(channels / W);
  const Index r = static_cast<Index>(rows), q = static_cast<Index>(columns);
  for (Index i = static_cast<Index>(global_thread()); i < count; i += static_cast<Index>(global_threads())) {
    const Index pixel = i / packs, c = i - pixel * packs, row = pixel / q, w = pixel - row * q, n = row / r;
    body(PixelAt<Index>{n, static_cast<int>(row - n * r), static_cast<int>(w), static_cast<int>(c) * W}, i * W);
  }
}

/// run.operator()<Index>() with the narrowest index for `elements`.
template <class Run>
void with_index(std::int64_t elements, Run&& run) {
  if (elements < (std::int64_t{1} << 31))
    run.template operator()<std::uint32_t>();
  else
    run.template operator()<std::uint64_t>();
}

}  // namespace
}  // namespace akin
