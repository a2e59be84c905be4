// gram's columns and rows: their statistics, centring and scaling. A column's sums are those of parts of kPartRows
// rows, a thread each, added up in the parts' order by a second launch: the order depends on the number of rows alone.
#include "kernels/common/gpu/reduce.cuh"
#include "kernels/gram.hpp"

namespace akin {

namespace {

constexpr int kBlock = 256, kTileColumns = 32, kTileParts = kBlock / kTileColumns, kAhead = 8;

/// Calls body(x[i * d]) for i = 0, 1, 2 ... below n, the loads a few ahead of their use.
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

/// What is known of the columns of one matrix, in the caller's scratch (columns_scratch).
struct Statistics {
  double *first, *mean,
      *deviation;          ///< [d]: first row; mean of what lies above it; standard deviation, 1 where it is 0
  double *sums, *squares;  ///< [parts, d]: above the first row; squared, from the part's own mean
};
__device__ __forceinline__ Statistics statistics_of(double* scratch, const MatrixBatch& b, unsigned s) {
  const std::int64_t d = b.first[s + 1] - b.first[s];
  double* const own = scratch + columns_scratch_rows(b.n) * b.first[s];
  return {own, own + d, own + 2 * d, own + 3 * d, own + (3 + column_parts(b.n)) * d};
}

template <class T, bool Scale>
__global__ void __launch_bounds__(kBlock) sum_column_parts(const T* x, MatrixBatch batch, double* scratch) {
  const unsigned s = blockIdx.y;
  const std::int64_t n = batch.n, d = batch.first[s + 1] - batch.first[s];
  const auto groups = static_cast<unsigned>((column_parts(n) + kTileParts - 1) / kTileParts);
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x / groups) * kTileColumns + threadIdx.x % kTileColumns;
  const std::int64_t part = static_cast<std::int64_t>(blockIdx.x % groups) * kTileParts + threadIdx.x / kTileColumns;
  const std::int64_t begin = part * kPartRows;
  if (c >= d || begin >= n) return;
  const std::int64_t rows = n - begin < kPartRows ? n - begin : kPartRows;
  const Statistics to = statistics_of(scratch, batch, s);
  const T* const own = x + n * batch.first[s] + c;
  const double first = static_cast<double>(own[0]);
  double sum = 0, square = 0;
  down_the_column(own + begin * d, rows, d, [&](double v) { sum += v - first; });
  to.sums[part * d + c] = sum;
  if (!Scale) return;
  const double mean = sum / static_cast<double>(rows);
  down_the_column(own + begin * d, rows, d, [&](double v) {
    const double z = v - first - mean;
    square = fma(z, z, square);
  });
  to.squares[part * d + c] = square;
}

template <class T, bool Scale>
__global__ void __launch_bounds__(kBlock) join_column_parts(const T* x, MatrixBatch batch, double* scratch) {
  const unsigned s = blockIdx.y;
  const std::int64_t n = batch.n, d = batch.first[s + 1] - batch.first[s], c = global_thread();
  if (c >= d) return;
  const Statistics to = statistics_of(scratch, batch, s);
  const std::int64_t parts = column_parts(n);
  double sum = 0, square = 0;
  down_the_column(to.sums + c, parts, d, [&](double v) { sum += v; });
  const double mean = sum / static_cast<double>(n);
  if (Scale)
#pragma unroll 4
    for (std::int64_t p = 0; p < parts; ++p) {
      const auto rows = static_cast<double>(n - p * kPartRows < kPartRows ? n - p * kPartRows : kPartRows);
      const double off = to.sums[p * d + c] / rows - mean;
      square += fma(rows * off, off, to.squares[p * d + c]);
    }
  to.first[c] = static_cast<double>(x[n * batch.first[s] + c]);
  to.mean[c] = mean;
  to.deviation[c] = !Scale || square == 0 ? 1.0 : sqrt(square / static_cast<double>(n));
}

__device__ __forceinline__ double scaled(double x, const Statistics& s, std::int64_t c) {
  return (x - s.first[c] - s.mean[c]) / s.deviation[c];
}

/// Of one matrix.
template <class T>
__global__ void __launch_bounds__(kBlock) apply_columns(const T* x, MatrixBatch batch, double* scratch, double* z) {
  const Statistics s = statistics_of(scratch, batch, 0);
  const std::int64_t d = batch.first[1];
  for (std::int64_t i = global_thread(); i < batch.n * d; i += global_threads())
    z[i] = scaled(static_cast<double>(x[i]), s, i % d);
}

/// Rows of every matrix brought to mean 0 and norm 1; Scale: its columns are z-scored on the way.
template <class T, bool Scale>
__global__ void __launch_bounds__(kBlock)
    standardise_kernel(const T* x, MatrixBatch batch, double* scratch, double* z, int* flat) {
  AKIN_SHARED(double, shared, [2][32]);
  const unsigned s = blockIdx.y;
  const std::int64_t d = batch.first[s + 1] - batch.first[s];
  Statistics columns{};
  if (Scale) columns = statistics_of(scratch, batch, s);
  for (std::int64_t i = blockIdx.x; i < batch.n; i += gridDim.x) {
    const T* const in = x + batch.n * batch.first[s] + i * d;
    double* const out = z + batch.n * batch.first[s] + i * d;
    const auto value = [&](std::int64_t c) {
      const double v = static_cast<double>(in[c]);
      return Scale ? scaled(v, columns, c) : v;
    };
    // A thread keeps its z-scores where the result will be.
    const auto again = [&](std::int64_t c) { return Scale ? out[c] : static_cast<double>(in[c]); };
    const double first = value(0);
    double sum = 0, square = 0;
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) {
      const double v = value(c);
      if (Scale) out[c] = v;
      sum += v - first;
    }
    const double mean = block_sum(sum, shared[0]) / static_cast<double>(d);  // all have read in[0] when this returns
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) {
      const double v = again(c) - first - mean;
      square = fma(v, v, square);
    }
    const double norm = sqrt(block_sum(square, shared[1]));
    if (norm == 0 && threadIdx.x == 0) atomicAdd(flat + s, 1);
    for (std::int64_t c = threadIdx.x; c < d; c += kBlock) out[c] = norm == 0 ? 0.0 : (again(c) - first - mean) / norm;
    __syncthreads();  // shared is free for the next row
  }
}

template <class T, bool Scale>
void run_statistics(const Stream<ThisGpu>& stream, const MatrixBatch& batch, const T* x, double* scratch) {
  std::int64_t widest = 0;
  for (int s = 0; s < batch.count; ++s)
    if (const std::int64_t d = batch.first[s + 1] - batch.first[s]; d > widest) widest = d;
  const std::int64_t tiles = (widest + kTileColumns - 1) / kTileColumns,
                     groups = (column_parts(batch.n) + kTileParts - 1) / kTileParts;
  launch("column_parts", sum_column_parts<T, Scale>, {.grid = {tiles * groups, batch.count}, .block = kBlock}, stream,
         x, batch, scratch);
  launch("column_statistics", join_column_parts<T, Scale>,
         {.grid = {(widest + kBlock - 1) / kBlock, batch.count}, .block = kBlock}, stream, x, batch, scratch);
}

template <class T, bool Scale>
void run_columns(const Stream<ThisGpu>& stream, const T* x, std::int64_t n, std::int64_t d, double* scratch,
                 double* z) {
  if (n == 0 || d == 0) return;
  const MatrixBatch batch{n, 1, {0, d}};
  run_statistics<T, Scale>(stream, batch, x, scratch);
  launch("apply_columns", apply_columns<T>, {.grid = blocks_for(stream, n * d, kBlock), .block = kBlock}, stream, x,
         batch, scratch, z);
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
    launch("standardise_rows", standardise_kernel<double, false>, {.grid = blocks_for(stream, n, 1), .block = kBlock},
           stream, x.data(), MatrixBatch{n, 1, {0, d}}, nullptr, z.data(), flat);
}
template <class T, class Gpu>
void standardise_batch(const Stream<Gpu>& stream, const MatrixBatch& batch, std::span<const T> x, std::span<double> z,
                       double* scratch, std::int32_t* flat) {
  check_batch("standardise_batch", batch, x.size(), z.size());
  run_statistics<T, true>(stream, batch, x.data(), scratch);
  launch("standardise_rows", standardise_kernel<T, true>,
         {.grid = {blocks_for(stream, batch.n, 1), batch.count}, .block = kBlock}, stream, x.data(), batch, scratch,
         z.data(), flat);
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
#define AKIN_INSTANTIATE(T)                                                                                        \
  template void centre_columns<T>(const S&, N, N, std::span<const T>, std::span<double>, double*);                 \
  template void zscore_columns<T>(const S&, N, N, std::span<const T>, std::span<double>, double*);                 \
  template void standardise_batch<T>(const S&, const MatrixBatch&, std::span<const T>, std::span<double>, double*, \
                                     std::int32_t*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(double)
template void standardise_rows(const S&, N, N, std::span<const double>, std::span<double>, std::int32_t*);
template void row_squares<ThisGpu>(const S&, N, N, const double*, double*);
template void dot<ThisGpu>(const S&, N, const double*, const double*, double*, double*);

}  // namespace akin
