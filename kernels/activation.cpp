#include "kernels/activation.hpp"

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {
constexpr std::int64_t kGrain = 1 << 14;
}

template <class Dev, class T>
void activation_fwd(const Stream<Dev>&, Activation kind, std::int64_t n, const T* x, T* y) {
  with_activation(kind, [=]<Activation kKind>() {
    parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) store(y[i], activate(kKind, widened(x[i])));
    });
  });
}

template <class Dev, class T>
void activation_bwd(const Stream<Dev>&, Activation kind, std::int64_t n, const T* kept, const T* dy, T* dx,
                    Accum mode) {
  with_activation(kind, [=]<Activation kKind>() {
    parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Full<T> g = widened(dy[i]);  // read in any case: a load under a condition is not vectorised
        store(dx[i], activation_gradient(kKind, widened(kept[i]), g), mode);
      }
    });
  });
}

#define AKIN_INSTANTIATE(T)                                                                 \
  template void activation_fwd(const Stream<Cpu>&, Activation, std::int64_t, const T*, T*); \
  template void activation_bwd(const Stream<Cpu>&, Activation, std::int64_t, const T*, const T*, T*, Accum);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
