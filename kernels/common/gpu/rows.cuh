// A row of C floats held by a team of threads, for softmaxes: by a warp in its registers, read once, or where C is
// above 1024 by a block of 256 threads that reads it again from the cache at each pass.
#pragma once

#include "kernels/common/gpu/columns.cuh"
#include "kernels/common/gpu/reduce.cuh"

namespace akin {
namespace {

constexpr int kRowBlock = 256;
constexpr int kWarpRow = 1024;  ///< the longest row a warp holds

/// A warp's row; lane l holds elements W (32 p + l) .. + W - 1 of pack p.
template <int W>
class WarpRow {
 public:
  static constexpr int kWidth = W, kTeams = kRowBlock / 32;  ///< rows a block holds, at most
  static constexpr bool kKeeps = true;                       ///< what f writes in each() is there in the next one
  __device__ __forceinline__ static int team() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ __forceinline__ static int teams() { return static_cast<int>(blockDim.x) / 32; }
  __device__ __forceinline__ static bool leads() { return threadIdx.x % 32 == 0; }
  __device__ __forceinline__ static float sum(float v) { return warp_sum(v); }
  __device__ __forceinline__ static float max(float v) { return warp_max(v); }
  __device__ __forceinline__ static void done() {}

  __device__ __forceinline__ WarpRow(const float* x, int C) : C_(C) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (p * 32 * W >= C) break;
      if (first(p) < C) v_[p] = load_vec<W>(x + first(p));
    }
  }
  /// f(c, values) for every W elements from c on that this thread holds.
  template <class F>
  __device__ __forceinline__ void each(F&& f) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (p * 32 * W >= C_) break;
      if (first(p) < C_) f(first(p), v_[p]);
    }
  }
  /// f(c, this row's values, those of a row of the same length).
  template <class F>
  __device__ __forceinline__ void each(WarpRow& other, F&& f) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (p * 32 * W >= C_) break;
      if (first(p) < C_) f(first(p), v_[p], other.v_[p]);
    }
  }

 private:
  static constexpr int kPacks = kWarpRow / 32 / W;
  __device__ __forceinline__ static int first(int p) { return (p * 32 + static_cast<int>(threadIdx.x) % 32) * W; }
  int C_;
  Vec<float, W> v_[kPacks];
};

/// A block's row.
class BlockRow {
 public:
  static constexpr int kWidth = 1, kTeams = 1;
  static constexpr bool kKeeps = false;
  __device__ __forceinline__ static int team() { return 0; }
  __device__ __forceinline__ static int teams() { return 1; }
  __device__ __forceinline__ static bool leads() { return threadIdx.x == 0; }
  __device__ __forceinline__ static float sum(float v) {
    AKIN_SHARED(float, scratch, [32]);
    __syncthreads();
    return block_sum(v, scratch);
  }
  __device__ __forceinline__ static float max(float v) {
    AKIN_SHARED(float, scratch, [32]);
    __syncthreads();
    return block_max(v, scratch);
  }
  /// Before the team goes on to its next row.
  __device__ __forceinline__ static void done() { __syncthreads(); }

  __device__ __forceinline__ BlockRow(const float* x, int C) : C_(C), x_(x) {}
  template <class F>
  __device__ __forceinline__ void each(F&& f) {
#pragma unroll 4
    for (int c = static_cast<int>(threadIdx.x); c < C_; c += kRowBlock) {
      Vec<float, 1> v = load_vec<1>(x_ + c);
      f(c, v);
    }
  }
  template <class F>
  __device__ __forceinline__ void each(BlockRow& other, F&& f) {
#pragma unroll 4
    for (int c = static_cast<int>(threadIdx.x); c < C_; c += kRowBlock) {
      Vec<float, 1> v = load_vec<1>(x_ + c), w = load_vec<1>(other.x_ + c);
      f(c, v, w);
    }
  }

 private:
  int C_;
  const float* x_;
};

/// body(b) for the rows of this thread's team, which are dealt out with a grid stride.
template <class Row, class Body>
__device__ __forceinline__ void for_each_row(std::int64_t B, Body&& body) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * Row::teams();
  for (std::int64_t b = static_cast<std::int64_t>(blockIdx.x) * Row::teams() + Row::team(); b < B; b += step) body(b);
}

/// For kernels that go over B rows so. A few rows are spread over all multiprocessors, down to a warp a block; a row's
/// result knows nothing of its block.
template <class Row>
LaunchShape rows_shape(const Stream<ThisGpu>& stream, std::int64_t B) {
  int teams = Row::kTeams;
  while (teams > 1 && B < std::int64_t{stream.limits->multiprocessors} * teams) teams /= 2;
  return {.grid = blocks_for(stream, B, teams), .block = kRowBlock / Row::kTeams * teams};
}

/// exp((x - top) / T), factor = log2(e) / T.
__device__ __forceinline__ float shifted_exp(float x, float top, float factor) { return exp2f((x - top) * factor); }

constexpr float kLog2e = 1.44269504088896340736f;

struct SoftmaxOfRow {
  float top, sum;  ///< the maximum; sum of exp((x - top) / T). NaN in the row: sum is NaN.
};

template <class Row>
__device__ __forceinline__ SoftmaxOfRow softmax_of(Row& row, float factor) {
  float top = -INFINITY, sum = 0;
  row.each([&](int, const auto& v) {
#pragma unroll
    for (int k = 0; k < Row::kWidth; ++k) top = fmaxf(top, v.v[k]);
  });
  top = Row::max(top);
  row.each([&](int, const auto& v) {
#pragma unroll
    for (int k = 0; k < Row::kWidth; ++k) sum += shifted_exp(v.v[k], top, factor);
  });
  return {top, Row::sum(sum)};
}

}  // namespace
}  // namespace akin
