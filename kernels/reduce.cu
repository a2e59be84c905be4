#include "kernels/reduce.hpp"

#include "kernels/common/gpu/reduce.cuh"
#include "kernels/common/gpu/vector.cuh"

namespace akin {

namespace {

constexpr int kBlock = 256;

struct Value {
  __device__ double operator()(float x) const { return x; }
};
struct Square {
  __device__ double operator()(float x) const { return static_cast<double>(x) * x; }
};

/// scratch[block] = what the threads of this block saw. Each thread adds its elements in ascending order.
template <class T, class Of>
__global__ void __launch_bounds__(kBlock) sum_parts(std::int64_t n, Of of, const T* x, double* scratch, bool packs) {
  AKIN_SHARED(double, shared, [32]);
  double s = 0;
  for_each_pack<kPack<T>>(
      n, packs,
      [&](std::int64_t i) {
        const Pack<T> p = load_pack(x + i);
#pragma unroll
        for (int k = 0; k < kPack<T>; ++k) s += of(to_float(p, k));
      },
      [&](std::int64_t i) { s += of(to_float(x[i])); });
  s = block_sum(s, shared);
  if (threadIdx.x == 0) scratch[blockIdx.x] = s;
}

template <class Y>
__global__ void __launch_bounds__(kBlock) sum_whole(int parts, double factor, const double* scratch, Y* y) {
  AKIN_SHARED(double, shared, [32]);
  double s = 0;
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += kBlock) s += scratch[i];
  s = block_sum(s, shared);
  if (threadIdx.x == 0) y[0] = static_cast<Y>(s * factor);
}

template <class T, class Y, class Of>
void run_sum(const char* name, const Stream<ThisGpu>& stream, std::int64_t n, double factor, Of of, const T* x,
             double* scratch, Y* y) {
  std::int64_t blocks = blocks_for(stream, n / kPack<T> + 1, kBlock, 4);
  if (blocks > kSumBlocks) blocks = kSumBlocks;
  launch(name, sum_parts<T, Of>, {.grid = blocks, .block = kBlock}, stream, n, of, x, scratch, aligned16(x));
  launch("sum_whole", sum_whole<Y>, {.grid = 1, .block = kBlock}, stream, blocks, factor, scratch, y);
}

constexpr int kColumns = 32, kRows = 8;

/// 32 columns a block; 8 rows of threads walk down the matrix, so that a warp reads 32 neighbours.
template <class T>
__global__ void __launch_bounds__(kColumns* kRows)
    col_sum_kernel(std::int64_t N, std::int64_t D, const T* x, float* y, Accum mode) {
  AKIN_SHARED(double, part, [kRows][kColumns]);
  const unsigned c = threadIdx.x % kColumns, r = threadIdx.x / kColumns;
  const std::int64_t d = static_cast<std::int64_t>(blockIdx.x) * kColumns + c;
  double s = 0;
  if (d < D)
    for (std::int64_t n = r; n < N; n += kRows) s += to_float(x[n * D + d]);
  part[r][c] = s;
  __syncthreads();
  if (r != 0 || d >= D) return;
  for (int k = 1; k < kRows; ++k) s += part[k][c];
  put(y[d], static_cast<float>(s), mode);
}

}  // namespace

template <class Gpu, class T, class Y>
void sum(const Stream<Gpu>& stream, std::int64_t n, double factor, const T* x, double* scratch, Y* y) {
  run_sum("sum", stream, n, factor, Value{}, x, scratch, y);
}
template <class Gpu, class T, class Y>
void sum_squares(const Stream<Gpu>& stream, std::int64_t n, double factor, const T* x, double* scratch, Y* y) {
  run_sum("sum_squares", stream, n, factor, Square{}, x, scratch, y);
}
template <class Gpu, class T>
void col_sum(const Stream<Gpu>& stream, std::int64_t N, std::int64_t D, const T* x, Full<T>* y, Accum mode) {
  launch("col_sum", col_sum_kernel<T>, {.grid = (D + kColumns - 1) / kColumns, .block = kColumns * kRows}, stream, N, D,
         x, y, mode);
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                                  \
  template void sum<ThisGpu, T, float>(const S&, std::int64_t, double, const T*, double*, float*);           \
  template void sum_squares<ThisGpu, T, float>(const S&, std::int64_t, double, const T*, double*, float*);   \
  template void sum_squares<ThisGpu, T, double>(const S&, std::int64_t, double, const T*, double*, double*); \
  template void col_sum<ThisGpu, T>(const S&, std::int64_t, std::int64_t, const T*, float*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
