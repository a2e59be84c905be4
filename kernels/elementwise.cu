#include "kernels/elementwise.hpp"

#include "kernels/common/gpu/vector.cuh"

namespace akin {

namespace {

constexpr int kBlock = 256;

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
struct ReluForward {
  __device__ float operator()(float x, float) const { return x < 0 ? 0.0f : x; }  // NaN stays NaN
};
struct ReluBackward {  // inputs: the output of the forward pass, its gradient
  __device__ float operator()(float y, float dy) const { return y > 0 ? dy : 0.0f; }
};

/// y = op(a, b), or y += ...; b may be nullptr for ops of one input. Memory-bound: whole packs where all is aligned.
template <class T, class Op>
__global__ void __launch_bounds__(kBlock) map(std::int64_t n, Op op, const T* a, const T* b, T* y, Accum mode, bool packs) {
  for_each_pack<kPack<T>>(
      n, packs,
      [&](std::int64_t i) {
        const Pack<T> pa = load_pack(a + i), pb = b == nullptr ? pa : load_pack(b + i);
        Pack<T> py;
        if (mode == Accum::add) py = load_pack(y + i);
#pragma unroll
        for (int k = 0; k < kPack<T>; ++k) put(py.v[k], op(to_float(pa.v[k]), to_float(pb.v[k])), mode);
        store_pack(y + i, py);
      },
      [&](std::int64_t i) { put(y[i], op(to_float(a[i]), b == nullptr ? 0.0f : to_float(b[i])), mode); });
}

template <class T, class Op>
void run_map(const char* name, const Stream<ThisGpu>& stream, std::int64_t n, Op op, const T* a, const T* b, T* y,
             Accum mode) {
  const bool packs = aligned16(a, b, y);
  const std::int64_t threads = packs ? n / kPack<T> + kPack<T> : n;
  if (n > 0)
    launch(name, map<T, Op>, {.grid = blocks_for(stream, threads, kBlock), .block = kBlock}, stream, n, op, a, b, y,
           mode, packs);
}

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

template <class T>
__global__ void __launch_bounds__(kBlock)
    copy_columns_kernel(std::int64_t n, std::int64_t columns, std::int64_t stride, const T* x, T* y) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) y[i / columns * stride + i % columns] = x[i];
}

}  // namespace

namespace gpu {

template <class Gpu, class T>
void axpy(const Stream<Gpu>& stream, std::int64_t n, float a, const float* scalar, const T* x, T* y, Accum mode) {
  run_map<T>("axpy", stream, n, Axpy{a, scalar}, x, nullptr, y, mode);
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
void relu_fwd(const Stream<Gpu>& stream, std::int64_t n, const T* x, T* y) {
  run_map<T>("relu_fwd", stream, n, ReluForward{}, x, nullptr, y, Accum::overwrite);
}
template <class Gpu, class T>
void relu_bwd(const Stream<Gpu>& stream, std::int64_t n, const T* y, const T* dy, T* dx, Accum mode) {
  run_map("relu_bwd", stream, n, ReluBackward{}, y, dy, dx, mode);
}
template <class Gpu, class T>
void fill(const Stream<Gpu>& stream, std::int64_t n, float a, const float* scalar, T* y, Accum mode) {
  if (n > 0)
    launch("fill", fill_kernel<T>, {.grid = blocks_for(stream, n, kBlock), .block = kBlock}, stream, n, a, scalar, y, mode);
}
template <class Gpu, class From, class To>
void convert(const Stream<Gpu>& stream, std::int64_t n, const From* x, To* y) {
  if (n > 0)
    launch("convert", convert_kernel<From, To>, {.grid = blocks_for(stream, n / kPack<bf16> + 8, kBlock), .block = kBlock},
           stream, n, x, y, aligned16(x, y));
}

template <class Gpu, class T>
void copy_columns(const Stream<Gpu>& stream, std::int64_t rows, std::int64_t columns, std::int64_t stride, const T* x,
                  T* y) {
  const std::int64_t n = rows * columns;
  if (n > 0)
    launch("copy_columns", copy_columns_kernel<T>, {.grid = blocks_for(stream, n, kBlock), .block = kBlock}, stream, n,
           columns, stride, x, y);
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                             \
  template void axpy<ThisGpu, T>(const S&, std::int64_t, float, const float*, const T*, T*, Accum);    \
  template void add<ThisGpu, T>(const S&, std::int64_t, const T*, const T*, T*);                       \
  template void mul<ThisGpu, T>(const S&, std::int64_t, const T*, const T*, T*, Accum);                \
  template void relu_fwd<ThisGpu, T>(const S&, std::int64_t, const T*, T*);                            \
  template void relu_bwd<ThisGpu, T>(const S&, std::int64_t, const T*, const T*, T*, Accum);           \
  template void fill<ThisGpu, T>(const S&, std::int64_t, float, const float*, T*, Accum);              \
  template void copy_columns<ThisGpu, T>(const S&, std::int64_t, std::int64_t, std::int64_t, const T*, T*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)
template void convert<ThisGpu, float, bf16>(const S&, std::int64_t, const float*, bf16*);
template void convert<ThisGpu, bf16, float>(const S&, std::int64_t, const bf16*, float*);

}  // namespace gpu
}  // namespace akin
