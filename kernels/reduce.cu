#include "kernels/reduce.hpp"

#include "kernels/common/gpu/columns.cuh"
#include "kernels/common/gpu/reduce.cuh"

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

constexpr int kColumnBlocks = 4, kColumnDepth = 4;  // of a multiprocessor; rows of a thread, at least

/// part[parts][C]: the sums of each part; where there is but one, at once y.
template <class T>
__global__ void __launch_bounds__(kColumnsBlock)
    sum_columns(Columns c, const T* x, double* part, float* y, Accum mode) {
  AKIN_SHARED(double, shared, [kColumnsBlock]);
  const ColumnsThread t = columns_thread<1>(c, static_cast<int>(blockIdx.x));
  double s = 0;
  for_rows<4>(
      t.first, t.end, c.rows, [&](std::int64_t m) { return x[m * c.C + t.column]; },
      [&](std::int64_t, const T& v) { s += to_float(v); });
  double& whole = shared[threadIdx.x];
  whole = s;
  join_rows(c, t.row, [&](int from) { whole += shared[from]; });
  if (t.row != 0 || t.column >= c.C) return;
  if (part == nullptr)
    put(y[t.column], static_cast<float>(whole), mode);
  else
    part[static_cast<std::int64_t>(blockIdx.x) * c.C + t.column] = whole;
}

Columns columns_of(const GpuLimits& limits, std::int64_t N, std::int64_t D) {
  return share_columns(limits, N, D, 1, kColumnBlocks, kColumnDepth);
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
template <class Gpu>
std::int64_t col_sum_scratch(const Stream<Gpu>& stream, std::int64_t N, std::int64_t D) {
  if (D == 0) return 0;
  const int parts = columns_of(*stream.limits, N, D).parts;
  return parts > 1 ? parts * D : 0;
}
template <class Gpu, class T>
void col_sum(const Stream<Gpu>& stream, std::int64_t N, std::int64_t D, const T* x, double* scratch, Full<T>* y,
             Accum mode) {
  if (D == 0) return;
  const Columns c = columns_of(*stream.limits, N, D);
  double* part = c.parts > 1 ? scratch : nullptr;
  launch("col_sum", sum_columns<T>, columns_shape(c), stream, c, x, part, y, mode);
  if (part != nullptr)
    launch("col_sum_finish", sum_parts_of_columns<double>, finish_shape(D), stream, c.parts, D, part, y, mode);
}

using S = Stream<ThisGpu>;
template std::int64_t col_sum_scratch<ThisGpu>(const S&, std::int64_t, std::int64_t);
#define AKIN_INSTANTIATE(T)                                                                                  \
  template void sum<ThisGpu, T, float>(const S&, std::int64_t, double, const T*, double*, float*);           \
  template void sum_squares<ThisGpu, T, float>(const S&, std::int64_t, double, const T*, double*, float*);   \
  template void sum_squares<ThisGpu, T, double>(const S&, std::int64_t, double, const T*, double*, double*); \
  template void col_sum<ThisGpu, T>(const S&, std::int64_t, std::int64_t, const T*, double*, float*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
