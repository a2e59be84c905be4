#include "kernels/depthwise.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace fast {

// kernels/depthwise_omp.cpp
template <class T>
void depthwise_fwd(const DepthwiseShape& s, const T* x, const float* w, T* y);
template <class T>
void depthwise_bwd_data(const DepthwiseShape& s, const T* dy, const float* w, T* dx, Accum mode);
template <class T>
void depthwise_bwd_weight(const DepthwiseShape& s, const T* x, const T* dy, float* dw, Accum mode);

}  // namespace fast

namespace {

constexpr std::int64_t kGrainElements = 1 << 13;

std::int64_t row_grain(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(elements, 1));
}

/// [R,S,C] from [C,R,S], so that loops over channels run along memory.
template <class T>
std::vector<T> by_tap(const DepthwiseShape& s, const T* w) {
  const std::int64_t taps = s.R * s.S;
  std::vector<T> out(static_cast<std::size_t>(s.w_size()));
  for (std::int64_t c = 0; c < s.C; ++c)
    for (std::int64_t t = 0; t < taps; ++t) out[static_cast<std::size_t>(t * s.C + c)] = w[c * taps + t];
  return out;
}

}  // namespace

template <class Dev, class T>
void depthwise_fwd(const Stream<Dev>& stream, const DepthwiseShape& s, const T* x, const Full<T>* w, T* y,
                   PartMoments*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::depthwise_fwd(s, x, w, y);
  }
  const std::int64_t P = s.P(), Q = s.Q(), C = s.C;
  const std::vector<Full<T>> taps = by_tap(s, w);
  parallel_for(s.N * P, row_grain(Q * C * s.R * s.S), [&](std::int64_t begin, std::int64_t end) {
    std::vector<Full<T>> sums(static_cast<std::size_t>(C));
    for (std::int64_t np = begin; np < end; ++np)
      for (std::int64_t q = 0; q < Q; ++q) {
        Full<T>* sum = sums.data();
        std::fill_n(sum, C, Full<T>(0));
        for (std::int64_t r = 0; r < s.R; ++r)
          for (std::int64_t t = 0; t < s.S; ++t) {
            const std::int64_t h = np % P * s.stride + r - s.pad, v = q * s.stride + t - s.pad;
            if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
            const T* in = x + ((np / P * s.H + h) * s.W + v) * C;
            const Full<T>* tap = taps.data() + (r * s.S + t) * C;
            for (std::int64_t c = 0; c < C; ++c) sum[c] += widened(in[c]) * tap[c];
          }
        for (std::int64_t c = 0; c < C; ++c) store(y[(np * Q + q) * C + c], sum[c]);
      }
  });
}

template <class Dev, class T>
void depthwise_bwd_data(const Stream<Dev>& stream, const DepthwiseShape& s, const T* dy, const Full<T>* w, T* dx,
                        Accum mode) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::depthwise_bwd_data(s, dy, w, dx, mode);
  }
  const std::int64_t P = s.P(), Q = s.Q(), C = s.C;
  const std::vector<Full<T>> taps = by_tap(s, w);
  parallel_for(s.N * s.H, row_grain(s.W * C * s.R * s.S), [&](std::int64_t begin, std::int64_t end) {
    std::vector<Full<T>> sums(static_cast<std::size_t>(C));
    for (std::int64_t nh = begin; nh < end; ++nh)
      for (std::int64_t v = 0; v < s.W; ++v) {
        Full<T>* sum = sums.data();
        std::fill_n(sum, C, Full<T>(0));
        for (std::int64_t r = 0; r < s.R; ++r)
          for (std::int64_t t = 0; t < s.S; ++t) {
            const std::int64_t ph = nh % s.H + s.pad - r, qw = v + s.pad - t;  // stride * p, stride * q
            if (ph < 0 || qw < 0 || ph % s.stride != 0 || qw % s.stride != 0) continue;
            const std::int64_t p = ph / s.stride, q = qw / s.stride;
            if (p >= P || q >= Q) continue;
            const T* g = dy + ((nh / s.H * P + p) * Q + q) * C;
            const Full<T>* tap = taps.data() + (r * s.S + t) * C;
            for (std::int64_t c = 0; c < C; ++c) sum[c] += widened(g[c]) * tap[c];
          }
        for (std::int64_t c = 0; c < C; ++c) store(dx[(nh * s.W + v) * C + c], sum[c], mode);
      }
  });
}

template <class Dev, class T>
void depthwise_bwd_weight(const Stream<Dev>& stream, const DepthwiseShape& s, const T* x, const T* dy, Full<T>* dw,
                          Accum mode, float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::depthwise_bwd_weight(s, x, dy, dw, mode);
  }
  const std::int64_t P = s.P(), Q = s.Q(), C = s.C;
  parallel_for(s.R * s.S, row_grain(s.y_size()), [=](std::int64_t begin, std::int64_t end) {
    std::vector<double> sums(static_cast<std::size_t>(C));
    for (std::int64_t tap = begin; tap < end; ++tap) {
      double* sum = sums.data();
      std::fill_n(sum, C, 0.0);
      for (std::int64_t np = 0; np < s.N * P; ++np)
        for (std::int64_t q = 0; q < Q; ++q) {
          const std::int64_t h = np % P * s.stride + tap / s.S - s.pad, v = q * s.stride + tap % s.S - s.pad;
          if (h < 0 || h >= s.H || v < 0 || v >= s.W) continue;
          const T *in = x + ((np / P * s.H + h) * s.W + v) * C, *g = dy + (np * Q + q) * C;
          for (std::int64_t c = 0; c < C; ++c)
            sum[c] += static_cast<double>(widened(g[c])) * static_cast<double>(widened(in[c]));
        }
      for (std::int64_t c = 0; c < C; ++c) store(dw[c * s.R * s.S + tap], static_cast<Full<T>>(sum[c]), mode);
    }
  });
}

template <class Dev>
std::int64_t depthwise_moments(const Stream<Dev>&, const DepthwiseShape&) {
  return 0;
}

template <class Dev>
std::int64_t depthwise_workspace(const Stream<Dev>&, const DepthwiseShape&) {
  return 0;
}

template std::int64_t depthwise_moments(const Stream<Cpu>&, const DepthwiseShape&);
template std::int64_t depthwise_workspace(const Stream<Cpu>&, const DepthwiseShape&);
#define AKIN_INSTANTIATE(T)                                                                                           \
  template void depthwise_fwd(const Stream<Cpu>&, const DepthwiseShape&, const T*, const Full<T>*, T*, PartMoments*); \
  template void depthwise_bwd_data(const Stream<Cpu>&, const DepthwiseShape&, const T*, const Full<T>*, T*, Accum);   \
  template void depthwise_bwd_weight(const Stream<Cpu>&, const DepthwiseShape&, const T*, const T*, Full<T>*, Accum,  \
                                     float*);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
