#include "kernels/pool.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

constexpr std::int64_t kGrainElements = 1 << 13;

/// Units of `elements` elements each that make a thread's time worth it.
std::int64_t grain(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(elements, 1));
}

/// The part of a window that lies in the image: rows h0..h1-1, columns w0..w1-1.
struct Window {
  std::int64_t h0, h1, w0, w1;
  Window(const PoolShape& s, std::int64_t p, std::int64_t q)
      : h0(std::max<std::int64_t>(0, p * s.stride - s.pad)),
        h1(std::min(s.H, p * s.stride - s.pad + s.window)),
        w0(std::max<std::int64_t>(0, q * s.stride - s.pad)),
        w1(std::min(s.W, q * s.stride - s.pad + s.window)) {}
};

/// body(output pixel, its window, image n) for all outputs of the rows [begin, end) of N P rows.
template <class Body>
void for_outputs(const PoolShape& s, std::int64_t begin, std::int64_t end, Body&& body) {
  const std::int64_t P = s.P(), Q = s.Q();
  for (std::int64_t row = begin; row < end; ++row)
    for (std::int64_t q = 0; q < Q; ++q) body(row * Q + q, Window(s, row % P, q), row / P);
}

/// add_to(image n, where its gradient is summed) for the images [begin, end) of dx. Windows overlap: bf16 is summed in
/// float and rounded once.
template <class T, class Add>
void for_gradients(const PoolShape& s, std::int64_t begin, std::int64_t end, T* dx, Accum mode, Add&& add_to) {
  const std::int64_t size = s.H * s.W * s.C;
  std::vector<float> sums(std::is_same_v<T, bf16> ? static_cast<std::size_t>(size) : 0);
  for (std::int64_t n = begin; n < end; ++n) {
    T* image = dx + n * size;
    if constexpr (std::is_same_v<T, bf16>) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      const float* sum = sums.data();
      add_to(n, sums.data());
      for (std::int64_t i = 0; i < size; ++i) store(image[i], sum[i], mode);
    } else {
      if (mode == Accum::overwrite) std::fill_n(image, size, T(0));
      add_to(n, image);
    }
  }
}

struct Span {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// Pixels of an adaptive window, and the windows that hold a pixel, of `pixels` and `windows` along one side.
Span window_of(std::int64_t window, std::int64_t pixels, std::int64_t windows) {
  return {window * pixels / windows, ((window + 1) * pixels + windows - 1) / windows};
}
Span windows_with(std::int64_t pixel, std::int64_t pixels, std::int64_t windows) {
  return window_of(pixel, windows, pixels);
}

}  // namespace

template <class Dev, class T>
void max_pool_fwd(const Stream<Dev>&, const PoolShape& s, const T* x, T* y, std::int32_t* at) {
  parallel_for(s.N * s.P(), grain(s.Q() * s.C * s.window * s.window), [=](std::int64_t begin, std::int64_t end) {
    std::vector<std::int32_t> unused(at == nullptr ? static_cast<std::size_t>(s.C) : 0);
    std::vector<Full<T>> tops(static_cast<std::size_t>(s.C));  // as wide as places: a loop over both runs in vectors
    for_outputs(s, begin, end, [&](std::int64_t pixel, const Window& v, std::int64_t n) {
      Full<T>* top = tops.data();
      std::int32_t* where = at == nullptr ? unused.data() : at + pixel * s.C;
      const T* image = x + n * s.H * s.W * s.C;
      const std::int64_t first = v.h0 * s.W + v.w0;
      for (std::int64_t c = 0; c < s.C; ++c) top[c] = widened(image[first * s.C + c]);
      std::fill_n(where, s.C, static_cast<std::int32_t>(first));
      for (std::int64_t h = v.h0; h < v.h1; ++h)
        for (std::int64_t w = v.w0; w < v.w1; ++w) {
          const auto here = static_cast<std::int32_t>(h * s.W + w);
          const T* px = image + here * s.C;
          for (std::int64_t c = 0; c < s.C; ++c) {
            const Full<T> value = widened(px[c]);
            const bool wins = !(value <= top[c]) && top[c] == top[c];  // true for a NaN, never true against one
            top[c] = wins ? value : top[c];
            where[c] = wins ? here : where[c];
          }
        }
      for (std::int64_t c = 0; c < s.C; ++c) store(y[pixel * s.C + c], top[c]);
    });
  });
}

template <class Dev, class T>
void max_pool_bwd(const Stream<Dev>&, const PoolShape& s, const std::int32_t* at, const T* dy, T* dx, Accum mode) {
  // Windows overlap, so an image belongs to one thread; comparing every pixel of the window keeps the loop over C a
  // vector loop, which a scatter is not.
  const std::int64_t P = s.P();
  parallel_for(s.N, grain(s.H * s.W * s.C), [=](std::int64_t begin, std::int64_t end) {
    for_gradients(s, begin, end, dx, mode, [&](std::int64_t n, Full<T>* sums) {
      for_outputs(s, n * P, (n + 1) * P, [&](std::int64_t pixel, const Window& v, std::int64_t) {
        const T* g = dy + pixel * s.C;
        const std::int32_t* where = at + pixel * s.C;
        for (std::int64_t h = v.h0; h < v.h1; ++h)
          for (std::int64_t w = v.w0; w < v.w1; ++w) {
            const auto here = static_cast<std::int32_t>(h * s.W + w);
            Full<T>* out = sums + here * s.C;
            for (std::int64_t c = 0; c < s.C; ++c) out[c] += where[c] == here ? widened(g[c]) : Full<T>(0);
          }
      });
    });
  });
}

template <class Dev, class T>
void avg_pool_fwd(const Stream<Dev>&, const PoolShape& s, const T* x, T* y) {
  const Full<T> factor = Full<T>(1) / static_cast<Full<T>>(s.window * s.window);
  parallel_for(s.N * s.P(), grain(s.Q() * s.C * s.window * s.window), [=](std::int64_t begin, std::int64_t end) {
    std::vector<Full<T>> sums(static_cast<std::size_t>(s.C));
    for_outputs(s, begin, end, [&](std::int64_t pixel, const Window& v, std::int64_t n) {
      Full<T>* sum = sums.data();
      std::fill_n(sum, s.C, Full<T>(0));
      for (std::int64_t h = v.h0; h < v.h1; ++h)
        for (std::int64_t w = v.w0; w < v.w1; ++w) {
          const T* px = x + ((n * s.H + h) * s.W + w) * s.C;
          for (std::int64_t c = 0; c < s.C; ++c) sum[c] += widened(px[c]);
        }
      for (std::int64_t c = 0; c < s.C; ++c) store(y[pixel * s.C + c], sum[c] * factor);
    });
  });
}

template <class Dev, class T>
void avg_pool_bwd(const Stream<Dev>&, const PoolShape& s, const T* dy, T* dx, Accum mode) {
  const Full<T> factor = Full<T>(1) / static_cast<Full<T>>(s.window * s.window);
  const std::int64_t P = s.P();
  parallel_for(s.N, grain(s.H * s.W * s.C), [=](std::int64_t begin, std::int64_t end) {
    for_gradients(s, begin, end, dx, mode, [&](std::int64_t n, Full<T>* sums) {
      for_outputs(s, n * P, (n + 1) * P, [&](std::int64_t pixel, const Window& v, std::int64_t) {
        const T* g = dy + pixel * s.C;
        for (std::int64_t h = v.h0; h < v.h1; ++h)
          for (std::int64_t w = v.w0; w < v.w1; ++w) {
            Full<T>* out = sums + (h * s.W + w) * s.C;
            for (std::int64_t c = 0; c < s.C; ++c) out[c] += factor * widened(g[c]);
          }
      });
    });
  });
}

template <class Dev, class T>
void adaptive_avg_pool_fwd(const Stream<Dev>&, const AdaptivePoolShape& s, const T* x, T* y) {
  const std::int64_t C = s.C;
  parallel_for(s.N * s.P, grain(s.H / s.P * s.W * C), [=](std::int64_t begin, std::int64_t end) {
    std::vector<double> sums(static_cast<std::size_t>(C));
    for (std::int64_t row = begin; row < end; ++row) {
      const Span rows = window_of(row % s.P, s.H, s.P);
      for (std::int64_t q = 0; q < s.Q; ++q) {
        const Span columns = window_of(q, s.W, s.Q);
        double* sum = sums.data();
        std::fill_n(sum, C, 0.0);
        for (std::int64_t h = rows.begin; h < rows.end; ++h)
          for (std::int64_t w = columns.begin; w < columns.end; ++w) {
            const T* px = x + ((row / s.P * s.H + h) * s.W + w) * C;
            for (std::int64_t c = 0; c < C; ++c) sum[c] += static_cast<double>(widened(px[c]));
          }
        const auto area = static_cast<double>(rows.size() * columns.size());
        for (std::int64_t c = 0; c < C; ++c) store(y[(row * s.Q + q) * C + c], static_cast<Full<T>>(sum[c] / area));
      }
    }
  });
}

template <class Dev, class T>
void adaptive_avg_pool_bwd(const Stream<Dev>&, const AdaptivePoolShape& s, const T* dy, T* dx, Accum mode) {
  const std::int64_t C = s.C;
  parallel_for(s.N * s.H, grain(s.W * C), [=](std::int64_t begin, std::int64_t end) {
    std::vector<Full<T>> sums(static_cast<std::size_t>(C));
    for (std::int64_t row = begin; row < end; ++row) {
      const Span rows = windows_with(row % s.H, s.H, s.P);
      for (std::int64_t w = 0; w < s.W; ++w) {
        const Span columns = windows_with(w, s.W, s.Q);
        Full<T>* sum = sums.data();
        std::fill_n(sum, C, Full<T>(0));
        for (std::int64_t p = rows.begin; p < rows.end; ++p)
          for (std::int64_t q = columns.begin; q < columns.end; ++q) {
            const Full<T> factor =
                Full<T>(1) / static_cast<Full<T>>(window_of(p, s.H, s.P).size() * window_of(q, s.W, s.Q).size());
            const T* g = dy + ((row / s.H * s.P + p) * s.Q + q) * C;
            for (std::int64_t c = 0; c < C; ++c) sum[c] += factor * widened(g[c]);
          }
        for (std::int64_t c = 0; c < C; ++c) store(dx[(row * s.W + w) * C + c], sum[c], mode);
      }
    }
  });
}

template <class Dev, class T>
void global_avg_pool_fwd(const Stream<Dev>&, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* x, T* y) {
  parallel_for(N, grain(pixels * C), [=](std::int64_t begin, std::int64_t end) {
    std::vector<double> sum(static_cast<std::size_t>(C));
    for (std::int64_t n = begin; n < end; ++n) {
      std::fill(sum.begin(), sum.end(), 0.0);
      double* s = sum.data();
      for (std::int64_t i = 0; i < pixels; ++i)
        for (std::int64_t c = 0; c < C; ++c) s[c] += static_cast<double>(widened(x[(n * pixels + i) * C + c]));
      for (std::int64_t c = 0; c < C; ++c)
        store(y[n * C + c], static_cast<Full<T>>(s[c] / static_cast<double>(pixels)));
    }
  });
}

template <class Dev, class T>
void global_avg_pool_bwd(const Stream<Dev>&, std::int64_t N, std::int64_t pixels, std::int64_t C, const T* dy, T* dx,
                         Accum mode) {
  const Full<T> factor = Full<T>(1) / static_cast<Full<T>>(pixels);
  parallel_for(N, grain(pixels * C), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t i = 0; i < pixels; ++i)
        for (std::int64_t c = 0; c < C; ++c) store(dx[(n * pixels + i) * C + c], factor * widened(dy[n * C + c]), mode);
  });
}

#define AKIN_INSTANTIATE(T)                                                                                      \
  template void max_pool_fwd(const Stream<Cpu>&, const PoolShape&, const T*, T*, std::int32_t*);                 \
  template void max_pool_bwd(const Stream<Cpu>&, const PoolShape&, const std::int32_t*, const T*, T*, Accum);    \
  template void avg_pool_fwd(const Stream<Cpu>&, const PoolShape&, const T*, T*);                                \
  template void avg_pool_bwd(const Stream<Cpu>&, const PoolShape&, const T*, T*, Accum);                         \
  template void adaptive_avg_pool_fwd(const Stream<Cpu>&, const AdaptivePoolShape&, const T*, T*);               \
  template void adaptive_avg_pool_bwd(const Stream<Cpu>&, const AdaptivePoolShape&, const T*, T*, Accum);        \
  template void global_avg_pool_fwd(const Stream<Cpu>&, std::int64_t, std::int64_t, std::int64_t, const T*, T*); \
  template void global_avg_pool_bwd(const Stream<Cpu>&, std::int64_t, std::int64_t, std::int64_t, const T*, T*, Accum);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
