// A matrix [M, C] walked down its columns: statistics and sums of a channel. A block holds `rows` rows of `lanes`
// lanes, a lane being W neighbouring columns; thread r lanes + l takes rows begin + r, begin + r + rows ... of its
// part.
#pragma once

#include "kernels/common/gpu/vector.cuh"

namespace akin {
namespace {

constexpr int kColumnsBlock = 256;

/// W elements that are loaded and stored at once: a pack, or one element.
template <class T, int W>
struct alignas(sizeof(T) * W) Vec {
  T v[W];
};
template <int W, class T>
__device__ __forceinline__ Vec<T, W> load_vec(const T* p) {
  return *reinterpret_cast<const Vec<T, W>*>(p);
}
template <int W, class T>
__device__ __forceinline__ void store_vec(T* p, const Vec<T, W>& value) {
  *reinterpret_cast<Vec<T, W>*>(p) = value;
}

/// Sums as they are stored. Two bf16 are rounded by one instruction.
template <class T, int W>
__device__ __forceinline__ Vec<T, W> rounded(const float (&x)[W]) {
  Vec<T, W> out;
  if constexpr (sizeof(T) == 2 && W % 2 == 0) {
#pragma unroll
    for (int k = 0; k < W; k += 2) {
      const std::uint32_t word = bf16_pair(x[k], x[k + 1]);
      memcpy(out.v + k, &word, sizeof(word));
    }
  } else {
#pragma unroll
    for (int k = 0; k < W; ++k) out.v[k] = from_float<T>(x[k]);
  }
  return out;
}

/// How blocks share a matrix: grid (parts, tiles), a part being `chunk` rows and a tile `lanes` lanes.
struct Columns {
  std::int64_t M, chunk;
  int C, lanes, rows, tiles, parts;
};

/// A few blocks a multiprocessor, at least `depth` rows a thread. At most 32 lanes a tile: 512 bytes of a row.
inline Columns share_columns(const GpuLimits& limits, std::int64_t M, std::int64_t C, int W, int per_multiprocessor,
                             int depth) {
  const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t packs = C / W, tiles = up(packs, 32), lanes = up(packs, tiles), rows = kColumnsBlock / lanes;
  std::int64_t parts = std::int64_t{limits.multiprocessors} * per_multiprocessor / tiles;
  if (const std::int64_t most = up(M, rows * depth); parts > most) parts = most;
  if (parts < 1) parts = 1;
  const std::int64_t chunk = M > 0 ? up(M, parts) : 1;  // an empty matrix has one part, without rows
  return {M,
          chunk,
          static_cast<int>(C),
          static_cast<int>(lanes),
          static_cast<int>(rows),
          static_cast<int>(tiles),
          static_cast<int>(M > 0 ? up(M, chunk) : 1)};
}

/// This thread's place in the matrix.
struct ColumnsThread {
  std::int64_t first, end;  ///< rows first, first + rows ... below end
  int row, column;          ///< of the block's rows; its first column
  bool active;
};

template <int W>
__device__ __forceinline__ ColumnsThread columns_thread(const Columns& s, int part) {
  const int lane = static_cast<int>(threadIdx.x) % s.lanes, row = static_cast<int>(threadIdx.x) / s.lanes;
  const std::int64_t begin = part * s.chunk, end = begin + s.chunk < s.M ? begin + s.chunk : s.M;
  const int column = (static_cast<int>(blockIdx.y) * s.lanes + lane) * W;
  const bool active = row < s.rows && column < s.C;
  return {begin + row, active ? end : begin, row, column, active};
}

/// use(m, load(m)) for m = first, first + step ... < end, with U loads under way.
template <int U, class Load, class Use>
__device__ __forceinline__ void for_rows(std::int64_t first, std::int64_t end, int step, Load&& load, Use&& use) {
  std::int64_t m = first;
  for (; m + (U - 1) * step < end; m += U * step) {
    decltype(load(m)) v[U];
#pragma unroll
    for (int u = 0; u < U; ++u) v[u] = load(m + u * step);
#pragma unroll
    for (int u = 0; u < U; ++u) use(m + u * step, v[u]);
  }
  for (; m < end; m += step) use(m, load(m));
}

/// Joins the rows of a block two by two, in an order that depends on `rows` alone: join(from) merges thread `from`'s
/// shared values into the calling thread's. All threads must call, after each wrote its values to shared memory.
template <class Join>
__device__ __forceinline__ void join_rows(const Columns& s, int row, Join&& join) {
  int half = 1;
  while (half < s.rows) half *= 2;
  for (half /= 2; half > 0; half /= 2) {
    __syncthreads();
    if (row < half && row + half < s.rows) join(static_cast<int>(threadIdx.x) + half * s.lanes);
  }
}

/// Adds sum[W] over the rows of a block; `shared` then holds the whole in the threads for which this is true: the first
/// row's, at [k][threadIdx.x].
template <int W>
__device__ __forceinline__ bool sum_rows(const Columns& s, const ColumnsThread& t, const float (&sum)[W],
                                         float (&shared)[W][kColumnsBlock]) {
  const int me = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < W; ++k) shared[k][me] = sum[k];
  join_rows(s, t.row, [&](int from) {
#pragma unroll
    for (int k = 0; k < W; ++k) shared[k][me] += shared[k][from];
  });
  return t.row == 0 && t.column < s.C;
}

inline LaunchShape columns_shape(const Columns& s) { return {.grid = {s.parts, s.tiles}, .block = kColumnsBlock}; }

// The parts of a matrix are joined by a small kernel of 16 rows of 32 columns.
constexpr int kFinishColumns = 32, kFinishRows = 16;

inline LaunchShape finish_shape(std::int64_t C) {
  return {.grid = (C + kFinishColumns - 1) / kFinishColumns, .block = kFinishColumns * kFinishRows};
}

/// Sums over the rows of a block [kFinishRows][kFinishColumns], in the threads of row 0, in a fixed order.
__device__ __forceinline__ double sum_finish_rows(double v, double (&shared)[kFinishRows][kFinishColumns]) {
  const unsigned c = threadIdx.x % kFinishColumns, r = threadIdx.x / kFinishColumns;
  __syncthreads();
  shared[r][c] = v;
  __syncthreads();
  if (r == 0)
    for (int k = 1; k < kFinishRows; ++k) v += shared[k][c];
  return v;
}

/// y[c] = the sum of part[0..parts-1][c], in double, or += ...
template <class Part>
__global__ void __launch_bounds__(kFinishColumns* kFinishRows)
    sum_parts_of_columns(int parts, std::int64_t C, const Part* part, float* y, Accum mode) {
  AKIN_SHARED(double, shared, [kFinishRows][kFinishColumns]);
  const int r = static_cast<int>(threadIdx.x) / kFinishColumns;
  const std::int64_t c =
      static_cast<std::int64_t>(blockIdx.x) * kFinishColumns + static_cast<int>(threadIdx.x) % kFinishColumns;
  double sum = 0;
  if (c < C)
#pragma unroll 4
    for (int p = r; p < parts; p += kFinishRows) sum += part[p * C + c];
  sum = sum_finish_rows(sum, shared);
  if (r == 0 && c < C) put(y[c], static_cast<float>(sum), mode);
}

}  // namespace
}  // namespace akin
