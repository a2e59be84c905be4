// gram: G[i,j] = sum over depth, in double. A block makes a tile of 64 x 64 (256 threads) or, where those tiles would
// leave multiprocessors idle, of 32 x 32 (64 threads); a thread holds 4 x 4 sums in registers. 16 terms of both
// operands at a time go to shared memory as double, transposed so that a thread's four items lie side by side; the next
// 16 are loaded into registers meanwhile. One chain of fused multiply-adds an element, k ascending: the order of the
// CPU. An item is a row (its terms are neighbours in memory) or a column (its neighbours are other items); threads take
// the direction that is contiguous.
#include "kernels/gram.hpp"

#include "kernels/common/gpu/reduce.cuh"
#include "kernels/common/gpu/vector.cuh"

namespace akin {

namespace {

constexpr int kDepth = 16, kEach = 4;

/// `items` vectors of `depth` numbers: rows of a matrix, or columns of one.
template <class T>
struct Operand {
  const T* data;
  std::int64_t items, item_stride, depth_stride;
};

/// This thread's part of Tile items x kDepth terms; zero outside.
template <class T, int Tile, bool Columns>
struct Loader {
  static constexpr int kThreads = (Tile / kEach) * (Tile / kEach), kLoads = Tile * kDepth / kThreads;
  T held[kLoads];
  __device__ __forceinline__ void fetch(const Operand<T>& x, std::int64_t item0, std::int64_t depth0,
                                        std::int64_t depth) {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int i = static_cast<int>(threadIdx.x) + l * kThreads;
      const int item = Columns ? i % Tile : i / kDepth, p = Columns ? i / Tile : i % kDepth;
      const bool real = item0 + item < x.items && depth0 + p < depth;
      held[l] = real ? x.data[(item0 + item) * x.item_stride + (depth0 + p) * x.depth_stride] : T(0);
    }
  }
  __device__ __forceinline__ void put_down(double (*panel)[Tile + 2]) const {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int i = static_cast<int>(threadIdx.x) + l * kThreads;
      const int item = Columns ? i % Tile : i / kDepth, p = Columns ? i / Tile : i % kDepth;
      panel[p][item] = static_cast<double>(held[l]);
    }
  }
};

/// Upper: x = y, a square of tiles of which only those on and above the diagonal are started, numbered row by row.
template <class T, int Tile, bool Columns, bool Upper>
__global__ void __launch_bounds__((Tile / kEach) * (Tile / kEach), Tile == 64 ? 2 : 4)
    gram_kernel(Operand<T> x, Operand<T> y, std::int64_t depth, std::int64_t column_tiles, double* g) {
  AKIN_SHARED(double, a, [kDepth][Tile + 2]);
  AKIN_SHARED(double, b, [kDepth][Tile + 2]);
  std::int64_t row_tile = 0, column_tile = 0;
  if constexpr (Upper) {
    // Tiles before row t: t column_tiles - t (t - 1) / 2. Start from the root of that and correct its rounding.
    const std::int64_t index = blockIdx.x;
    const double w = static_cast<double>(column_tiles) + 0.5;
    row_tile = static_cast<std::int64_t>(w - sqrt(fmax(w * w - 2.0 * static_cast<double>(index), 0.0)));
    const auto before = [&](std::int64_t t) { return t * column_tiles - t * (t - 1) / 2; };
    while (row_tile > 0 && before(row_tile) > index) --row_tile;
    while (before(row_tile + 1) <= index) ++row_tile;
    column_tile = row_tile + index - before(row_tile);
  } else {
    row_tile = blockIdx.x / column_tiles;
    column_tile = blockIdx.x % column_tiles;
  }
  const std::int64_t i0 = row_tile * Tile, j0 = column_tile * Tile;
  const int ti = static_cast<int>(threadIdx.x) / (Tile / kEach) * kEach;
  const int tj = static_cast<int>(threadIdx.x) % (Tile / kEach) * kEach;
  double sum[kEach][kEach] = {};
  Loader<T, Tile, Columns> from_x, from_y;
  from_x.fetch(x, i0, 0, depth);
  from_y.fetch(y, j0, 0, depth);
  for (std::int64_t depth0 = 0; depth0 < depth; depth0 += kDepth) {
    __syncthreads();  // everyone is done with the last panels
    from_x.put_down(a);
    from_y.put_down(b);
    __syncthreads();
    if (depth0 + kDepth < depth) {
      from_x.fetch(x, i0, depth0 + kDepth, depth);
      from_y.fetch(y, j0, depth0 + kDepth, depth);
    }
#pragma unroll
    for (int p = 0; p < kDepth; ++p) {
      double ra[kEach], rb[kEach];
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        ra[k] = a[p][ti + k];
        rb[k] = b[p][tj + k];
      }
#pragma unroll
      for (int r = 0; r < kEach; ++r)
#pragma unroll
        for (int c = 0; c < kEach; ++c) sum[r][c] = fma(ra[r], rb[c], sum[r][c]);
    }
  }
#pragma unroll
  for (int r = 0; r < kEach; ++r)
#pragma unroll
    for (int c = 0; c < kEach; ++c) {
      const std::int64_t i = i0 + ti + r, j = j0 + tj + c;
      if (i >= x.items || j >= y.items) continue;
      g[i * y.items + j] = sum[r][c];
      if (Upper && row_tile != column_tile) g[j * y.items + i] = sum[r][c];
    }
}

template <class T, int Tile, bool Columns, bool Upper>
void run_tiles(const Stream<ThisGpu>& stream, Operand<T> x, Operand<T> y, std::int64_t depth, double* g) {
  const std::int64_t rows = (x.items + Tile - 1) / Tile, columns = (y.items + Tile - 1) / Tile;
  launch("gram", gram_kernel<T, Tile, Columns, Upper>,
         {.grid = Upper ? rows * (rows + 1) / 2 : rows * columns, .block = (Tile / kEach) * (Tile / kEach)}, stream, x,
         y, depth, columns, g);
}

template <class T, bool Columns, bool Upper>
void run_gram(const Stream<ThisGpu>& stream, Operand<T> x, Operand<T> y, std::int64_t depth, double* g) {
  if (x.items == 0 || y.items == 0) return;
  const std::int64_t large = ((x.items + 63) / 64) * ((y.items + 63) / 64) / (Upper ? 2 : 1);
  if (large >= 2 * stream.limits->multiprocessors)
    run_tiles<T, 64, Columns, Upper>(stream, x, y, depth, g);
  else
    run_tiles<T, 32, Columns, Upper>(stream, x, y, depth, g);
}

constexpr int kColumnBlock = 32, kAhead = 8;

/// Calls body(x[i * d]) for i = 0, 1, 2 ..., the loads a few ahead of their use.
template <class T, class Body>
__device__ __forceinline__ void down_the_column(const T* x, std::int64_t n, std::int64_t d, Body&& body) {
  std::int64_t i = 0;
  for (; i + kAhead <= n; i += kAhead) {
    T ahead[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) ahead[k] = x[(i + k) * d];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) body(static_cast<double>(ahead[k]));
  }
  for (; i < n; ++i) body(static_cast<double>(x[i * d]));
}

/// scratch = first row, mean of what lies above it, and standard deviation (1 for a constant column) of each column.
template <class T, bool Scale>
__global__ void __launch_bounds__(kColumnBlock)
    column_statistics(const T* x, std::int64_t n, std::int64_t d, double* s) {
  const std::int64_t c = global_thread();
  if (c >= d) return;
  const double first = static_cast<double>(x[c]);
  double mean = 0, square = 0;
  down_the_column(x + c, n, d, [&](double v) { mean += v - first; });
  mean /= static_cast<double>(n);
  if (Scale)
    down_the_column(x + c, n, d, [&](double v) {
      const double z = v - first - mean;
      square = fma(z, z, square);
    });
  s[c] = first;
  s[d + c] = mean;
  s[2 * d + c] = !Scale || square == 0 ? 1.0 : sqrt(square / static_cast<double>(n));
}

constexpr int kBlock = 256;

template <class T>
__global__ void __launch_bounds__(kBlock)
    apply_columns(const T* x, std::int64_t n, std::int64_t d, const double* s, double* z) {
  for (std::int64_t i = global_thread(); i < n * d; i += global_threads()) {
    const std::int64_t c = i % d;
    z[i] = (static_cast<double>(x[i]) - s[c] - s[d + c]) / s[2 * d + c];
  }
}

template <class T, bool Scale>
void run_columns(const Stream<ThisGpu>& stream, const T* x, std::int64_t n, std::int64_t d, double* scratch,
                 double* z) {
  if (n == 0 || d == 0) return;
  launch("column_statistics", column_statistics<T, Scale>,
         {.grid = (d + kColumnBlock - 1) / kColumnBlock, .block = kColumnBlock}, stream, x, n, d, scratch);
  launch("apply_columns", apply_columns<T>, {.grid = blocks_for(stream, n * d, kBlock), .block = kBlock}, stream, x, n,
         d, scratch, z);
}

__global__ void __launch_bounds__(kBlock)
    standardise_kernel(const double* x, std::int64_t n, std::int64_t d, double* z, int* flat) {
  AKIN_SHARED(double, scratch, [2][32]);
  for (std::int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    const double* in = x + i * d;
    double* out = z + i * d;
    const double first = in[0];
    double sum = 0, square = 0;
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) sum += in[c] - first;
    const double mean = block_sum(sum, scratch[0]) / static_cast<double>(d);  // all have read in[0] when this returns
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) {
      const double v = in[c] - first - mean;
      square = fma(v, v, square);
    }
    const double norm = sqrt(block_sum(square, scratch[1]));
    if (norm == 0 && threadIdx.x == 0) atomicAdd(flat, 1);
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) out[c] = norm == 0 ? 0.0 : (in[c] - first - mean) / norm;
    __syncthreads();  // scratch is free for the next row
  }
}

__global__ void __launch_bounds__(kBlock)
    row_squares_kernel(const double* x, std::int64_t n, std::int64_t d, double* y) {
  AKIN_SHARED(double, scratch, [32]);
  for (std::int64_t i = blockIdx.x; i < n; i += gridDim.x) {
    double square = 0;
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) square = fma(x[i * d + c], x[i * d + c], square);
    square = block_sum(square, scratch);
    if (threadIdx.x == 0) y[i] = square;
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kBlock) dot_parts(std::int64_t n, const double* a, const double* b, double* parts) {
  AKIN_SHARED(double, scratch, [32]);
  double sum = 0;
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) sum = fma(a[i], b[i], sum);
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlock) dot_whole(int parts, const double* part, double* y) {
  AKIN_SHARED(double, scratch, [32]);
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += kBlock) sum += part[i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) y[0] = sum;
}

}  // namespace

template <class T, class Gpu>
void gram_xyt(const Stream<Gpu>& stream, std::int64_t n, std::int64_t m, std::int64_t k, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xyt", n, m, k, x.size(), y.size(), g.size());
  run_gram<T, false, false>(stream, {x.data(), n, k, 1}, {y.data(), m, k, 1}, k, g.data());
}
template <class T, class Gpu>
void gram_xxt(const Stream<Gpu>& stream, std::int64_t n, std::int64_t k, std::span<const T> x, std::span<double> g) {
  check_gram("gram_xxt", n, n, k, x.size(), x.size(), g.size());
  run_gram<T, false, true>(stream, {x.data(), n, k, 1}, {x.data(), n, k, 1}, k, g.data());
}
template <class T, class Gpu>
void gram_xty(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, std::int64_t e, std::span<const T> x,
              std::span<const T> y, std::span<double> g) {
  check_gram("gram_xty", d, e, n, x.size(), y.size(), g.size());
  run_gram<T, true, false>(stream, {x.data(), d, 1, d}, {y.data(), e, 1, e}, n, g.data());
}
template <class T, class Gpu>
void centre_columns(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double* scratch) {
  check_columns("centre_columns", n, d, x.size(), z.size());
  run_columns<T, false>(stream, x.data(), n, d, scratch, z.data());
}
template <class T, class Gpu>
void zscore_columns(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, std::span<const T> x,
                    std::span<double> z, double* scratch) {
  check_columns("zscore_columns", n, d, x.size(), z.size());
  run_columns<T, true>(stream, x.data(), n, d, scratch, z.data());
}
template <class Gpu>
void standardise_rows(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, std::span<const double> x,
                      std::span<double> z, std::int32_t* flat) {
  check_columns("standardise_rows", n, d, x.size(), z.size());
  if (n > 0 && d > 0)
    launch("standardise_rows", standardise_kernel, {.grid = blocks_for(stream, n, 1), .block = kBlock}, stream,
           x.data(), n, d, z.data(), flat);
}
template <class Gpu>
void row_squares(const Stream<Gpu>& stream, std::int64_t n, std::int64_t d, const double* x, double* y) {
  launch("row_squares", row_squares_kernel, {.grid = blocks_for(stream, n, 1), .block = kBlock}, stream, x, n, d, y);
}
template <class Gpu>
void dot(const Stream<Gpu>& stream, std::int64_t n, const double* a, const double* b, double* scratch, double* y) {
  std::int64_t blocks = blocks_for(stream, n + 1, kBlock, 4);
  if (blocks > kDotScratch) blocks = kDotScratch;
  launch("dot", dot_parts, {.grid = blocks, .block = kBlock}, stream, n, a, b, scratch);
  launch("dot_whole", dot_whole, {.grid = 1, .block = kBlock}, stream, blocks, scratch, y);
}

using S = Stream<ThisGpu>;
using N = std::int64_t;
#define AKIN_INSTANTIATE(T)                                                                                \
  template void gram_xyt<T>(const S&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>); \
  template void gram_xxt<T>(const S&, N, N, std::span<const T>, std::span<double>);                        \
  template void gram_xty<T>(const S&, N, N, N, std::span<const T>, std::span<const T>, std::span<double>); \
  template void centre_columns<T>(const S&, N, N, std::span<const T>, std::span<double>, double*);         \
  template void zscore_columns<T>(const S&, N, N, std::span<const T>, std::span<double>, double*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(double)
template void standardise_rows(const S&, N, N, std::span<const double>, std::span<double>, std::int32_t*);
template void row_squares<ThisGpu>(const S&, N, N, const double*, double*);
template void dot<ThisGpu>(const S&, N, const double*, const double*, double*, double*);

}  // namespace akin
