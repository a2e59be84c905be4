#include "kernels/elementwise.hpp"

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::spec {

namespace {
constexpr std::int64_t kGrain =
    1 << 14;  // elements a thread; below this, waking a second thread costs more than it saves
}

template <class T>
void axpy(std::int64_t n, T a, const T* x, T* y, Accum mode) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    if (mode == Accum::add)
      for (std::int64_t i = begin; i < end; ++i) y[i] += a * x[i];
    else
      for (std::int64_t i = begin; i < end; ++i) y[i] = a * x[i];
  });
}

template <class T>
void add(std::int64_t n, const T* a, const T* b, T* y) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = a[i] + b[i];
  });
}

template <class T>
void mul(std::int64_t n, const T* a, const T* b, T* y, Accum mode) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) store(y[i], a[i] * b[i], mode);
  });
}

#define AKIN_INSTANTIATE(T)                                    \
  template void axpy<T>(std::int64_t, T, const T*, T*, Accum); \
  template void add<T>(std::int64_t, const T*, const T*, T*);  \
  template void mul<T>(std::int64_t, const T*, const T*, T*, Accum);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace akin::spec
