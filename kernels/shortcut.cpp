#include "kernels/shortcut.hpp"

#include <algorithm>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

constexpr std::int64_t kGrainElements = 1 << 14;

std::int64_t row_grain(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(elements, 1));
}

}  // namespace

template <class Dev, class T>
void shortcut_a_fwd(const Stream<Dev>&, const ShortcutShape& s, const T* x, T* y) {
  const std::int64_t P = s.P(), Q = s.Q(), left = (s.K - s.C) / 2;
  parallel_for(s.N * P, row_grain(Q * s.K), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t q = 0; q < Q; ++q) {
        const T* in = x + ((row / P * s.H + row % P * s.stride) * s.W + q * s.stride) * s.C;
        T* out = y + (row * Q + q) * s.K;
        std::fill_n(out, left, T{});
        std::copy_n(in, s.C, out + left);
        std::fill(out + left + s.C, out + s.K, T{});
      }
  });
}

template <class Dev, class T>
void shortcut_a_bwd(const Stream<Dev>&, const ShortcutShape& s, const T* dy, T* dx, Accum mode) {
  const std::int64_t P = s.P(), Q = s.Q(), left = (s.K - s.C) / 2;
  parallel_for(s.N * s.H, row_grain(s.W * s.C), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t n = row / s.H, h = row % s.H;
      T* out = dx + row * s.W * s.C;
      if (mode == Accum::overwrite) std::fill_n(out, s.W * s.C, T{});
      if (h % s.stride != 0) continue;
      for (std::int64_t q = 0; q < Q; ++q) {
        const T* g = dy + ((n * P + h / s.stride) * Q + q) * s.K + left;
        for (std::int64_t c = 0; c < s.C; ++c) store(out[q * s.stride * s.C + c], widened(g[c]), Accum::add);
      }
    }
  });
}

#define AKIN_INSTANTIATE(T)                                                             \
  template void shortcut_a_fwd(const Stream<Cpu>&, const ShortcutShape&, const T*, T*); \
  template void shortcut_a_bwd(const Stream<Cpu>&, const ShortcutShape&, const T*, T*, Accum);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
