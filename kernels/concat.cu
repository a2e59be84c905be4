// One thread for 16 bytes of neighbouring columns of a row (one element where columns or strides are no whole packs), in
// the order of the part's memory.
#include "kernels/concat.hpp"

#include "kernels/common/gpu/pixels.cuh"

namespace akin {

namespace {

template <class T, int W, class Index>
__global__ void __launch_bounds__(kPixelBlock)
    copy_columns_kernel(Index count, Index packs, std::int64_t x_stride, std::int64_t y_stride, const T* x, T* y,
                        Accum mode) {
  for (Index i = static_cast<Index>(global_thread()); i < count; i += static_cast<Index>(global_threads())) {
    const Index row = i / packs, c = (i - row * packs) * W;
    const Vec<T, W> from = load_vec<W>(x + row * x_stride + c);
    T* to = y + row * y_stride + c;
    Vec<T, W> v;
    if (mode == Accum::add) v = load_vec<W>(to);
#pragma unroll
    for (int k = 0; k < W; ++k) put(v.v[k], to_float(from, k), mode);
    store_vec<W>(to, v);
  }
}

}  // namespace

template <class Gpu, class T>
void copy_columns(const Stream<Gpu>& stream, const ColumnsCopy& s, const T* x, T* y, Accum mode) {
  const auto run = [&]<int W>() {
    const std::int64_t n = s.rows * (s.columns / W);
    with_index(n, [&]<class Index>() {
      launch("copy_columns", copy_columns_kernel<T, W, Index>,
             {.grid = blocks_for(stream, n, kPixelBlock), .block = kPixelBlock}, stream, n, s.columns / W, s.x_stride,
             s.y_stride, x, y, mode);
    });
  };
  constexpr int W = kPack<T>;
  if (s.columns % W == 0 && s.x_stride % W == 0 && s.y_stride % W == 0 && aligned16(x, y))
    run.template operator()<W>();
  else
    run.template operator()<1>();
}

using S = Stream<ThisGpu>;
template void copy_columns<ThisGpu, float>(const S&, const ColumnsCopy&, const float*, float*, Accum);
template void copy_columns<ThisGpu, bf16>(const S&, const ColumnsCopy&, const bf16*, bf16*, Accum);

}  // namespace akin
