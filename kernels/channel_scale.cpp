#include "kernels/channel_scale.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

constexpr std::int64_t kGrainElements = 1 << 14;

std::int64_t image_grain(const ChannelScaleShape& s) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(s.pixels * s.C, 1));
}

}  // namespace

template <class Dev, class T>
void channel_scale_fwd(const Stream<Dev>&, const ChannelScaleShape& shape, const T* x, const T* s, T* y) {
  parallel_for(shape.N, image_grain(shape), [=](std::int64_t begin, std::int64_t end) {
    const std::int64_t C = shape.C;
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t m = n * shape.pixels; m < (n + 1) * shape.pixels; ++m)
        for (std::int64_t c = 0; c < C; ++c) store(y[m * C + c], widened(x[m * C + c]) * widened(s[n * C + c]));
  });
}

template <class Dev, class T>
void channel_scale_bwd(const Stream<Dev>&, const ChannelScaleShape& shape, const ChannelScaleBackward<T>& t) {
  parallel_for(shape.N, image_grain(shape), [=](std::int64_t begin, std::int64_t end) {
    const std::int64_t C = shape.C;
    std::vector<double> sums(static_cast<std::size_t>(C));
    for (std::int64_t n = begin; n < end; ++n) {
      double* sum = sums.data();
      std::fill_n(sum, C, 0.0);
      for (std::int64_t m = n * shape.pixels; m < (n + 1) * shape.pixels; ++m) {
        const T *x = t.x + m * C, *dy = t.dy + m * C, *s = t.s + n * C;
        if (t.ds != nullptr)
          for (std::int64_t c = 0; c < C; ++c)
            sum[c] += static_cast<double>(widened(dy[c])) * static_cast<double>(widened(x[c]));
        if (t.dx != nullptr)
          for (std::int64_t c = 0; c < C; ++c) store(t.dx[m * C + c], widened(dy[c]) * widened(s[c]), t.dx_mode);
      }
      if (t.ds != nullptr)
        for (std::int64_t c = 0; c < C; ++c) store(t.ds[n * C + c], static_cast<Full<T>>(sum[c]), t.ds_mode);
    }
  });
}

#define AKIN_INSTANTIATE(T)                                                                              \
  template void channel_scale_fwd(const Stream<Cpu>&, const ChannelScaleShape&, const T*, const T*, T*); \
  template void channel_scale_bwd(const Stream<Cpu>&, const ChannelScaleShape&, const ChannelScaleBackward<T>&);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
