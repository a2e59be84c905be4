#include "kernels/elementwise.hpp"

#include "kernels/common/gpu/map.cuh"

namespace akin {

namespace {

constexpr int kBlock = kMapBlock;

// One element of each op; x[0], x[1] are the inputs.
struct Axpy {
  float a;
  const float* scalar;
  __device__ float operator()(float x, float) const { return a * (scalar == nullptr ? 1.0f : *scalar) * x; }
};
struct Add {
  __device__ float operator()(float x, float y) const { return x + y; }
};
struct Mul {
  __device__ float operator()(float x, float y) const { return x * y; }
};

template <class T>
__global__ void __launch_bounds__(kBlock) fill_kernel(std::int64_t n, float a, const float* scalar, T* y, Accum mode) {
  const float value = scalar == nullptr ? a : a * *scalar;
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) put(y[i], value, mode);
}

template <class From, class To>
__global__ void __launch_bounds__(kBlock) convert_kernel(std::int64_t n, const From* x, To* y, bool packs) {
  constexpr int W = kPack<bf16>;  // 8 elements: one pack of bf16, two of float
  for_each_pack<W>(
      n, packs,
      [&](std::int64_t i) {
        alignas(16) From in[W];
        alignas(16) To out[W];
#pragma unroll
        for (int k = 0; k < W; k += kPack<From>) store_pack(in + k, load_pack(x + i + k));
#pragma unroll
        for (int k = 0; k < W; ++k) out[k] = from_float<To>(to_float(in[k]));
#pragma unroll
        for (int k = 0; k < W; k += kPack<To>) store_pack(y + i + k, load_pack(out + k));
      },
      [&](std::int64_t i) { y[i] = from_float<To>(to_float(x[i])); });
}

}  // namespace

template <class Gpu, class T>
void axpy(const Stream<Gpu>& stream, std::int64_t n, double a, const Full<T>* scalar, const T* x, T* y, Accum mode) {
  run_map<T>("axpy", stream, n, Axpy{static_cast<float>(a), scalar}, x, nullptr, y, mode);
}
template <class Gpu, class T>
void add(const Stream<Gpu>& stream, std::int64_t n, const T* a, const T* b, T* y) {
  run_map("add", stream, n, Add{}, a, b, y, Accum::overwrite);
}
template <class Gpu, class T>
void mul(const Stream<Gpu>& stream, std::int64_t n, const T* a, const T* b, T* y, Accum mode) {
  run_map("mul", stream, n, Mul{}, a, b, y, mode);
}
template <class Gpu, class T>
void fill(const Stream<Gpu>& stream, std::int64_t n, double a, const Full<T>* scalar, T* y, Accum mode) {
  if (n > 0)
    launch("fill", fill_kernel<T>, {.grid = blocks_for(stream, n, kBlock), .block = kBlock}, stream, n, a, scalar, y, mode);
}
template <class Gpu, class From, class To>
void convert(const Stream<Gpu>& stream, std::int64_t n, const From* x, To* y) {
  if (n > 0)
    launch("convert", convert_kernel<From, To>, {.grid = blocks_for(stream, n / kPack<bf16> + 8, kBlock), .block = kBlock},
           stream, n, x, y, aligned16(x, y));
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                          \
  template void axpy<ThisGpu, T>(const S&, std::int64_t, double, const float*, const T*, T*, Accum); \
  template void add<ThisGpu, T>(const S&, std::int64_t, const T*, const T*, T*);                     \
  template void mul<ThisGpu, T>(const S&, std::int64_t, const T*, const T*, T*, Accum);              \
  template void fill<ThisGpu, T>(const S&, std::int64_t, double, const float*, T*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)
template void convert<ThisGpu, float, bf16>(const S&, std::int64_t, const float*, bf16*);
template void convert<ThisGpu, bf16, float>(const S&, std::int64_t, const bf16*, float*);

}  // namespace akin
