#include "kernels/conv2d.hpp"

#include <algorithm>

#include "kernels/common/gpu/conv2d_direct.hpp"
#include "kernels/common/gpu/tile_plan.hpp"
#include "kernels/common/instantiate.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/gemm.hpp"

namespace akin {

namespace fast {

// kernels/conv2d_onednn.cpp
template <class T>
void conv2d_fwd(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* w, T* y);
template <class T>
void conv2d_bwd_data(OnednnCache& cache, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float* scratch);
template <class T>
void conv2d_bwd_weight(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* dy, float* dw, Accum mode);

}  // namespace fast

template <class Dev, class T>
void conv2d_fwd(const Stream<Dev>& stream, const Conv2dShape& s, const T* x, const T* w, T* y, PartMoments*) {
  if constexpr (fast::kOnednn<T>) {
    if (stream.onednn != nullptr && fast::onednn_multiplies<T>()) return fast::conv2d_fwd(*stream.onednn, s, x, w, y);
  }
  const std::int64_t P = s.P(), Q = s.Q();
  parallel_for(s.N * P, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t np = begin; np < end; ++np)
      for (std::int64_t q = 0; q < Q; ++q)
        for (std::int64_t k = 0; k < s.K; ++k) {
          const std::int64_t n = np / P, p = np % P;
          double sum = 0;
          for (std::int64_t r = 0; r < s.R; ++r)
            for (std::int64_t t = 0; t < s.S; ++t) {
              const std::int64_t h = p * s.stride + r - s.pad, v = q * s.stride + t - s.pad;
              if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
              for (std::int64_t c = 0; c < s.C; ++c)
                sum += static_cast<double>(widened(x[((n * s.H + h) * s.W + v) * s.C + c])) *
                       static_cast<double>(widened(w[((k * s.R + r) * s.S + t) * s.C + c]));
            }
          store(y[(np * Q + q) * s.K + k], static_cast<Full<T>>(sum));
        }
  });
}

template <class Dev, class T>
void conv2d_bwd_data(const Stream<Dev>& stream, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float* scratch, NormGradient<T>*) {
  if constexpr (fast::kOnednn<T>) {
    if (stream.onednn != nullptr && fast::onednn_multiplies<T>())
      return fast::conv2d_bwd_data(*stream.onednn, s, dy, w, dx, mode, scratch);
  }
  const std::int64_t P = s.P(), Q = s.Q();
  parallel_for(s.N * s.H, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t nh = begin; nh < end; ++nh)
      for (std::int64_t v = 0; v < s.W; ++v)
        for (std::int64_t c = 0; c < s.C; ++c) {
          const std::int64_t n = nh / s.H, h = nh % s.H;
          double sum = 0;
          for (std::int64_t r = 0; r < s.R; ++r)
            for (std::int64_t t = 0; t < s.S; ++t) {
              const std::int64_t ph = h + s.pad - r, qw = v + s.pad - t;  // stride * p, stride * q
              if (ph < 0 || qw < 0 || ph % s.stride != 0 || qw % s.stride != 0) continue;
              const std::int64_t p = ph / s.stride, q = qw / s.stride;
              if (p >= P || q >= Q) continue;
              for (std::int64_t k = 0; k < s.K; ++k)
                sum += static_cast<double>(widened(dy[((n * P + p) * Q + q) * s.K + k])) *
                       static_cast<double>(widened(w[((k * s.R + r) * s.S + t) * s.C + c]));
            }
          store(dx[(nh * s.W + v) * s.C + c], static_cast<Full<T>>(sum), mode);
        }
  });
}

template <class Dev, class T>
void conv2d_bwd_weight(const Stream<Dev>& stream, const Conv2dShape& s, const T* x, const T* dy, Full<T>* dw,
                       Accum mode, float*) {
  if constexpr (fast::kOnednn<T>) {
    if (stream.onednn != nullptr && fast::onednn_multiplies<T>())
      return fast::conv2d_bwd_weight(*stream.onednn, s, x, dy, dw, mode);
  }
  const std::int64_t P = s.P(), Q = s.Q();
  parallel_for(s.K * s.R, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t kr = begin; kr < end; ++kr)
      for (std::int64_t t = 0; t < s.S; ++t)
        for (std::int64_t c = 0; c < s.C; ++c) {
          const std::int64_t k = kr / s.R, r = kr % s.R;
          double sum = 0;
          for (std::int64_t n = 0; n < s.N; ++n)
            for (std::int64_t p = 0; p < P; ++p)
              for (std::int64_t q = 0; q < Q; ++q) {
                const std::int64_t h = p * s.stride + r - s.pad, v = q * s.stride + t - s.pad;
                if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
                sum += static_cast<double>(widened(dy[((n * P + p) * Q + q) * s.K + k])) *
                       static_cast<double>(widened(x[((n * s.H + h) * s.W + v) * s.C + c]));
              }
          store(dw[(kr * s.S + t) * s.C + c], static_cast<Full<T>>(sum), mode);
        }
  });
}

template <class T, class Dev>
std::int64_t conv2d_data_scratch(const Stream<Dev>& stream, const Conv2dShape& s, Accum mode) {
  if constexpr (std::is_same_v<Dev, Cpu> && fast::kOnednn<T>)
    return stream.onednn != nullptr && fast::onednn_multiplies<T>() && mode == Accum::add
               ? (s.x_size() * std::int64_t{sizeof(T)} + 3) / 4
               : 0;
  else
    return 0;
}

template <class T, class Dev>
std::int64_t conv2d_moments(const Stream<Dev>& stream, const Conv2dShape& s) {
  if constexpr (std::is_same_v<Dev, Cpu>) {
    return 0;
  } else {
    const std::int64_t pixels = s.N * s.P() * s.Q(), tiles = (pixels + gpu::kLeastTileRows - 1) / gpu::kLeastTileRows;
    // Whether the operands are aligned, on which the kernel depends, is not known here.
    return PartMoments::floats(std::max(tiles, most_direct_blocks(*stream.limits)), s.K);
  }
}

template <class T, class Dev>
std::int64_t conv2d_norm_sums(const Stream<Dev>& stream, const Conv2dShape& s) {
  if constexpr (std::is_same_v<Dev, Cpu> || !std::is_same_v<T, bf16>)
    return 0;
  else
    return is_direct(s) && s.stride == 1 ? NormGradient<T>::floats(most_direct_blocks(*stream.limits), s.C) : 0;
}

template <class T, class Dev>
std::int64_t conv2d_weight_workspace(const Stream<Dev>& stream, const Conv2dShape& s) {
  if constexpr (std::is_same_v<Dev, Cpu>) {
    return 0;
  } else {
    const std::int64_t pixels = s.N * s.P() * s.Q(), filter = s.R * s.S * s.C;
    if (s.is_gemm()) return gemm_workspace<T>(stream, {s.K, s.C, pixels, Trans::yes, Trans::no});
    const auto need = [&](const auto& tiles) {
      return gpu::plan_product(tiles, s.K, filter, pixels, sizeof(T), true, stream.limits->multiprocessors)
          .workspace(s.K, filter);
    };
    if constexpr (!std::is_same_v<T, bf16>)
      return std::max(need(gpu::kTilesSlow), need(gpu::kTilesFloat));
    else  // which of them is right depends on the alignment
      return std::max({need(gpu::kTilesSlow), need(gpu::kTilesWeight), conv2d_direct_workspace(s, *stream.limits)});
  }
}

#define AKIN_INSTANTIATE(T)                                                                                    \
  template void conv2d_fwd(const Stream<Cpu>&, const Conv2dShape&, const T*, const T*, T*, PartMoments*);      \
  template void conv2d_bwd_data(const Stream<Cpu>&, const Conv2dShape&, const T*, const T*, T*, Accum, float*, \
                                NormGradient<T>*);                                                             \
  template void conv2d_bwd_weight(const Stream<Cpu>&, const Conv2dShape&, const T*, const T*, Full<T>*, Accum, float*);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)
#undef AKIN_INSTANTIATE
#define AKIN_INSTANTIATE(T, Dev)                                                               \
  template std::int64_t conv2d_data_scratch<T>(const Stream<Dev>&, const Conv2dShape&, Accum); \
  template std::int64_t conv2d_norm_sums<T>(const Stream<Dev>&, const Conv2dShape&);           \
  template std::int64_t conv2d_moments<T>(const Stream<Dev>&, const Conv2dShape&);             \
  template std::int64_t conv2d_weight_workspace<T>(const Stream<Dev>&, const Conv2dShape&);
AKIN_FOR_EACH_DEVICE(AKIN_INSTANTIATE)

}  // namespace akin
