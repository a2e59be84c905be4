// Statistics of channels by parts (kernels/common/moments.hpp): made by a warp from what its lanes hold of a product's
// results, and joined.
#pragma once

#include "kernels/common/gpu/columns.cuh"
#include "kernels/common/moments.hpp"

namespace akin {
namespace {

/// Sums of the results of a lane's channels around a value that all lanes of the warp have, and how many there are.
template <int Tiles>
class LaneMoments {
 public:
  static constexpr int kMine = 2 * Tiles;
  /// Takes the first position of the product as that value, where that is `real`.
  __device__ __forceinline__ void start(const float (&sum)[Tiles][4], bool real) {
#pragma unroll
    for (int c = 0; c < kMine; ++c) {
      const float first = __shfl_sync(~0u, sum[c / 2][c % 2], static_cast<int>(threadIdx.x) % 4);
      shift_[c] = real ? first : 0.0f;
    }
  }
  __device__ __forceinline__ void add(const Packed<bf16, kMine>& v) {
    count_ += 1;
#pragma unroll
    for (int c = 0; c < kMine; ++c) {
      const float d = v[c] - shift_[c];
      sum_[c] += d;
      square_[c] = fmaf(d, d, square_[c]);
    }
  }
  /// Joins the lanes that have the same channels; lanes 0 to 3 then write mean and squares of theirs, and the first the
  /// count unless that is nullptr: warps with other channels have it too.
  __device__ __forceinline__ void join(float* mean, float* square, float* count) {
#pragma unroll
    for (int lanes = 4; lanes < 32; lanes *= 2) {
      count_ += __shfl_xor_sync(~0u, count_, lanes);
#pragma unroll
      for (int c = 0; c < kMine; ++c) {
        sum_[c] += __shfl_xor_sync(~0u, sum_[c], lanes);
        square_[c] += __shfl_xor_sync(~0u, square_[c], lanes);
      }
    }
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (lane >= 4) return;
    if (count != nullptr && lane == 0) *count = count_;
#pragma unroll
    for (int c = 0; c < kMine; ++c) {
      const float d = count_ > 0 ? sum_[c] / count_ : 0.0f, m2 = square_[c] - d * sum_[c];
      mean[lane * kMine + c] = shift_[c] + d;
      square[lane * kMine + c] = m2 < 0 ? 0.0f : m2;  // NaN stays
    }
  }

 private:
  float shift_[kMine], sum_[kMine] = {}, square_[kMine] = {}, count_ = 0;
};

/// The statistics of a block from those of its warps, in shared memory: one thread a channel.
template <int Warps, int Channels>
__device__ __forceinline__ void write_moments(const float (&means)[Warps][Channels],
                                              const float (&squares)[Warps][Channels], const float (&counts)[Warps],
                                              float* moments) {
  const int c = static_cast<int>(threadIdx.x), parts = static_cast<int>(gridDim.x), part = static_cast<int>(blockIdx.x);
  if (c >= Channels) return;
  float mean = means[0][c], square = squares[0][c], count = counts[0];
  for (int w = 1; w < Warps; ++w) {
    if (counts[w] == 0) continue;
    const float all = count + counts[w], weight = counts[w] / all, d = means[w][c] - mean;
    square += squares[w][c] + d * d * (count * weight);
    mean = count == 0 ? means[w][c] : mean + d * weight;
    count = all;
  }
  moments[part * Channels + c] = mean;
  moments[(parts + part) * Channels + c] = square;
  if (c == 0) moments[2 * parts * Channels + part] = count;
}

/// Two sums of each of a lane's channels.
template <int Tiles>
class LaneSums {
 public:
  static constexpr int kMine = 2 * Tiles;
  __device__ __forceinline__ void add(int channel, float du, float x) {
    sum_[channel] += du;
    dot_[channel] = fmaf(du, x, dot_[channel]);
  }
  /// Over the lanes that have the same channels; lanes 0 to 3 then write those of theirs.
  __device__ __forceinline__ void join(float* sum, float* dot) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int c = 0; c < kMine; ++c) {
#pragma unroll
      for (int lanes = 4; lanes < 32; lanes *= 2) {
        sum_[c] += __shfl_xor_sync(~0u, sum_[c], lanes);
        dot_[c] += __shfl_xor_sync(~0u, dot_[c], lanes);
      }
      if (lane < 4) sum[lane * kMine + c] = sum_[c], dot[lane * kMine + c] = dot_[c];
    }
  }

 private:
  float sum_[kMine] = {}, dot_[kMine] = {};
};

/// The sums of a block from those of its warps: one thread a channel.
template <int Warps, int Channels>
__device__ __forceinline__ void write_sums(const float (&sums)[Warps][Channels], const float (&dots)[Warps][Channels],
                                           float* to) {
  const int c = static_cast<int>(threadIdx.x), parts = static_cast<int>(gridDim.x), part = static_cast<int>(blockIdx.x);
  if (c >= Channels) return;
  float sum = 0, dot = 0;
  for (int w = 0; w < Warps; ++w) sum += sums[w][c], dot += dots[w][c];
  to[part * Channels + c] = sum;
  to[(parts + part) * Channels + c] = dot;
}

/// What the threads of a block hold of columns.cuh's walk, joined: a thread has sums of W columns around `shift` over
/// `count` rows.
template <int W>
struct ColumnMoments {
  float shift[W], sum[W] = {}, square[W] = {}, count = 0;
  struct Shared {
    float count[kColumnsBlock], mean[W][kColumnsBlock], square[W][kColumnsBlock];
  };
  __device__ __forceinline__ void add(int k, float value) {
    const float d = value - shift[k];
    sum[k] += d;
    square[k] = fmaf(d, d, square[k]);
  }
  /// Writes the block's part to parts [2][s.parts][s.C], and where there are `counts` its number of rows. All threads
  /// must call.
  __device__ __forceinline__ void write(const Columns& s, int row, int column, Shared& shared, float* part,
                                        float* counts) {
    const int me = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int k = 0; k < W; ++k) {
      const float d = count > 0 ? sum[k] / count : 0.0f, m2 = square[k] - d * sum[k];
      shared.mean[k][me] = shift[k] + d;
      shared.square[k][me] = m2 < 0 ? 0.0f : m2;  // NaN stays
    }
    shared.count[me] = count;
    join_rows(s, row, [&](int from) {
      const float more = shared.count[from], all = count + more;
      if (more == 0) return;
      const float weight = more / all;
#pragma unroll
      for (int k = 0; k < W; ++k) {
        const float d = shared.mean[k][from] - shared.mean[k][me];
        shared.mean[k][me] += d * weight;
        shared.square[k][me] += shared.square[k][from] + d * d * (count * weight);
      }
      shared.count[me] = count = all;
    });
    if (row != 0 || column >= s.C) return;
    float* out = part + static_cast<std::int64_t>(blockIdx.x) * s.C + column;
#pragma unroll
    for (int k = 0; k < W; ++k) {
      out[k] = shared.mean[k][me];
      out[static_cast<std::int64_t>(s.parts) * s.C + k] = shared.square[k][me];
    }
    if (counts != nullptr && column == 0) counts[blockIdx.x] = count;
  }
};

/// Statistics of the parts of a matrix [M, C]: means and squares [parts][C], rows of each part. Without `count` parts
/// have `chunk` rows, the last one what is left.
struct Parts {
  std::int64_t M, chunk;
  int C, parts;
  const float *mean, *square, *count;
  __device__ __forceinline__ double rows(int p) const {
    if (count != nullptr) return count[p];
    const std::int64_t left = M - p * chunk;
    return static_cast<double>(left < chunk ? left : chunk);
  }
};
inline Parts parts_of(const Columns& s, const float* part) {
  return {s.M, s.chunk, s.C, s.parts, part, part + std::int64_t{s.parts} * s.C, nullptr};
}
inline Parts parts_of(std::int64_t M, std::int64_t C, const PartMoments& m) {
  return {M, 0, static_cast<int>(C), static_cast<int>(m.parts), m.data, m.data + m.parts * C, m.data + 2 * m.parts * C};
}

struct Joined {
  double rows, mean, square;
};
/// Parts first, ... end - 1 of column c as one, in double, in the threads of row 0 of a block.
__device__ __forceinline__ Joined join_parts(const Parts& s, int first, int end, int c,
                                             double (&shared)[kFinishRows][kFinishColumns]) {
  double shift = 0, rows = 0, sum = 0, square = 0;  // of the means, around that of the first part; squares about it
  if (c < s.C) {
    shift = s.mean[std::int64_t{first} * s.C + c];
#pragma unroll 4
    for (int p = first + static_cast<int>(threadIdx.x) / kFinishColumns; p < end; p += kFinishRows) {
      const std::int64_t at = std::int64_t{p} * s.C + c;
      const double n = s.rows(p), d = s.mean[at] - shift;
      rows += n;
      sum += n * d;
      square += s.square[at] + n * d * d;
    }
  }
  rows = sum_finish_rows(rows, shared);
  sum = sum_finish_rows(sum, shared);
  square = sum_finish_rows(square, shared);
  const double d = rows > 0 ? sum / rows : 0.0, m2 = square - d * sum;
  return {rows, shift + d, m2 < 0 ? 0.0 : m2};  // NaN stays
}

/// Many parts to gridDim.y.
__global__ void __launch_bounds__(kFinishColumns* kFinishRows) join_moments(Parts s, float* moments) {
  AKIN_SHARED(double, shared, [kFinishRows][kFinishColumns]);
  const int c = static_cast<int>(blockIdx.x) * kFinishColumns + static_cast<int>(threadIdx.x) % kFinishColumns;
  const int to = static_cast<int>(blockIdx.y), parts = static_cast<int>(gridDim.y);
  const int each = (s.parts + parts - 1) / parts, first = to * each;
  const Joined all = join_parts(s, first, min(first + each, s.parts), c, shared);
  if (static_cast<int>(threadIdx.x) >= kFinishColumns || c >= s.C) return;
  moments[std::int64_t{to} * s.C + c] = static_cast<float>(all.mean);
  moments[(std::int64_t{parts} + to) * s.C + c] = static_cast<float>(all.square);
  if (c == 0) moments[std::int64_t{2} * parts * s.C + to] = static_cast<float>(all.rows);
}

/// Parts that a kernel takes as they are; more are joined to so many or fewer, none of them empty.
constexpr std::int64_t kMostParts = 640, kJoinedParts = 64;

inline void join_to(const Stream<ThisGpu>& stream, const Parts& all, const PartMoments& fewer) {
  launch("join_moments", join_moments,
         {.grid = {(all.C + kFinishColumns - 1) / kFinishColumns, fewer.parts}, .block = kFinishColumns * kFinishRows},
         stream, all, fewer.data);
}

/// The same parts, or fewer in their place: one launch where there are many. `scratch`: floats of kJoinedParts.
inline Parts few_parts(const Stream<ThisGpu>& stream, const Parts& all, float* scratch) {
  if (all.parts <= kMostParts) return all;
  const std::int64_t each = (all.parts + kJoinedParts - 1) / kJoinedParts;
  const PartMoments joined{scratch, (all.parts + each - 1) / each};
  join_to(stream, all, joined);
  return parts_of(all.M, all.C, joined);
}

}  // namespace
}  // namespace akin
