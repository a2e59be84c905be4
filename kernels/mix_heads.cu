// A row of each head is held by one warp in registers, or read again from the cache by a block where C > 1024
// (rows.cuh); rows are dealt out with a grid stride.
#include "kernels/mix_heads.hpp"

#include <cmath>

#include "kernels/common/gpu/rows.cuh"

namespace akin {

namespace {

template <class Row>
__global__ void __launch_bounds__(kRowBlock)
    mix(std::int64_t B, int C, float log_rest, float log_share, const float* x, const float* z, float* y) {
  for_each_row<Row>(B, [&](std::int64_t b) {
    Row first(x + b * C, C), second(z + b * C, C);
    const SoftmaxOfRow s = softmax_of(first, kLog2e), t = softmax_of(second, kLog2e);
    const float from_x = log_rest - logf(s.sum), from_z = log_share - logf(t.sum);
    first.each(second, [&](int c, const auto& v, const auto& w) {
      Vec<float, Row::kWidth> out;
#pragma unroll
      for (int k = 0; k < Row::kWidth; ++k) {
        const float p = (v.v[k] - s.top) + from_x, q = (w.v[k] - t.top) + from_z;
        out.v[k] = fmaxf(p, q) + log1pf(expf(-fabsf(p - q)));
      }
      store_vec<Row::kWidth>(y + b * C + c, out);
    });
    Row::done();
  });
}

}  // namespace

template <class Gpu, class T>
void mix_heads(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, double share, const T* x, const T* z, T* y) {
  const auto run = [&]<class Row>() {
    launch("mix_heads", mix<Row>, rows_shape<Row>(stream, B), stream, B, C, static_cast<float>(std::log1p(-share)),
           static_cast<float>(std::log(share)), x, z, y);
  };
  if (C > kWarpRow)
    run.template operator()<BlockRow>();
  else if (aligned16(x, z, y) && C % 4 == 0)
    run.template operator()<WarpRow<4>>();
  else
    run.template operator()<WarpRow<1>>();
}

template void mix_heads<ThisGpu, float>(const Stream<ThisGpu>&, std::int64_t, std::int64_t, double, const float*,
                                        const float*, float*);

}  // namespace akin
