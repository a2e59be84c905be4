// Reductions over a warp and over a block, in a fixed order: the same inputs give the same bits.
#pragma once

#include "kernels/common/gpu/kernel.cuh"

namespace akin {
namespace {

constexpr unsigned kWholeWarp = 0xffffffffu;

/// Sum over the 32 lanes, in every lane. All lanes must call. T: float, double, int or unsigned.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) v += __shfl_xor_sync(kWholeWarp, v, offset);
  return v;
}

/// Maximum over the 32 lanes, in every lane; a NaN loses, as in fmaxf.
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) v = fmaxf(v, __shfl_xor_sync(kWholeWarp, v, offset));
  return v;
}

/// Sum over the block, in every thread; `scratch` is shared memory of 32 elements. blockDim.x is a multiple of 32. All
/// threads must call; scratch may be used again after the next __syncthreads().
template <class T>
__device__ __forceinline__ T block_sum(T v, T* scratch) {
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  v = warp_sum(v);
  if (lane == 0) scratch[warp] = v;
  __syncthreads();
  return warp_sum(lane < warps ? scratch[lane] : T(0));
}

__device__ __forceinline__ float block_max(float v, float* scratch) {
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  v = warp_max(v);
  if (lane == 0) scratch[warp] = v;
  __syncthreads();
  return warp_max(lane < warps ? scratch[lane] : scratch[0]);
}

}  // namespace
}  // namespace akin
