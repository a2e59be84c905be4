#include "kernels/elementwise.hpp"

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {
constexpr std::int64_t kGrain =
    1 << 14;  // elements a thread; below this, waking a second thread costs more than it saves
}

template <class Dev, class T>
void axpy(const Stream<Dev>&, std::int64_t n, double a, const Full<T>* scalar, const T* x, T* y, Accum mode) {
  using Real = Full<T>;
  const Real factor = static_cast<Real>(a) * (scalar != nullptr ? *scalar : Real(1));
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    if (mode == Accum::add)
      for (std::int64_t i = begin; i < end; ++i) store(y[i], factor * widened(x[i]), Accum::add);
    else
      for (std::int64_t i = begin; i < end; ++i) store(y[i], factor * widened(x[i]));
  });
}

template <class Dev, class T>
void add(const Stream<Dev>&, std::int64_t n, const T* a, const T* b, T* y) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) store(y[i], widened(a[i]) + widened(b[i]));
  });
}

template <class Dev, class T>
void mul(const Stream<Dev>&, std::int64_t n, const T* a, const T* b, T* y, Accum mode) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) store(y[i], widened(a[i]) * widened(b[i]), mode);
  });
}

template <class Dev, class T>
void fill(const Stream<Dev>&, std::int64_t n, double a, const Full<T>* scalar, T* y, Accum mode) {
  const auto value = static_cast<Full<T>>((scalar != nullptr ? static_cast<double>(*scalar) : 1.0) * a);
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) store(y[i], value, mode);
  });
}

template <class Dev, class From, class To>
void convert(const Stream<Dev>&, std::int64_t n, const From* x, To* y) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) store(y[i], widened(x[i]));
  });
}

#define AKIN_INSTANTIATE(T)                                                                          \
  template void axpy(const Stream<Cpu>&, std::int64_t, double, const Full<T>*, const T*, T*, Accum); \
  template void add(const Stream<Cpu>&, std::int64_t, const T*, const T*, T*);                       \
  template void mul(const Stream<Cpu>&, std::int64_t, const T*, const T*, T*, Accum);                \
  template void fill(const Stream<Cpu>&, std::int64_t, double, const Full<T>*, T*, Accum);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)
template void convert(const Stream<Cpu>&, std::int64_t, const float*, bf16*);
template void convert(const Stream<Cpu>&, std::int64_t, const bf16*, float*);

}  // namespace akin
