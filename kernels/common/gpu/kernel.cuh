// The one header that every .cu file includes: CUDA's names, from nvcc or from the emulator, and the launch door.
// Everything in a .cuh file is in an unnamed namespace: its meaning depends on which compiler reads it.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/error.hpp"
#include "kernels/common/stream.hpp"

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include "kernels/common/gpu/ptx.cuh"
// Shared memory of a block: a variable of known size, and the bytes given at launch.
#define AKIN_SHARED(T, name, dims) __shared__ __align__(16) T name dims
#define AKIN_DYNAMIC_SHARED(T, name)                                      \
  extern __shared__ __align__(128) unsigned char akin_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(akin_dynamic_shared_)
namespace akin {
using ThisGpu = Cuda;
}
#else
#include "kernels/common/sim/arguments.hpp"
#include "kernels/common/sim/cuda.hpp"
#include "kernels/common/sim/queue.hpp"
namespace akin {
using ThisGpu = Sim;
using namespace sim::cuda;  // NOLINT: the kernels are written with CUDA's names
using SharedAddress = unsigned char*;  // ptx.cuh
namespace {
inline SharedAddress shared_address(unsigned char* p) { return p; }
}  // namespace
}  // namespace akin
#endif

#include "kernels/common/gpu/launch.cuh"

namespace akin {
namespace {

// Storage type <-> the float that arithmetic is done in.
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return bf16_to_float(x); }
/// Element k of several that were loaded at once. Two bf16 are a word, of which the upper half is a float already: that
/// takes an instruction less than to work on halves.
template <class Vector>
__device__ __forceinline__ float to_float(const Vector& several, int k) {
  if constexpr (sizeof(several.v[0]) == 2 && sizeof(several.v) >= 4) {
    std::uint32_t word;
    memcpy(&word, several.v + (k & ~1), sizeof(word));
    return __uint_as_float(k % 2 == 0 ? word << 16 : word & 0xffff0000u);
  } else {
    return to_float(several.v[k]);
  }
}
template <class T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (sizeof(T) == sizeof(bf16))
    return float_to_bf16(x);
  else
    return x;
}

/// Two numbers as bf16, the first in the lower half of a word: one instruction.
__device__ __forceinline__ std::uint32_t bf16_pair(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return float_to_bf16(low).bits | static_cast<std::uint32_t>(float_to_bf16(high).bits) << 16;
#endif
}

/// y = value, or y += value, rounded once to the storage type.
template <class T>
__device__ __forceinline__ void put(T& y, float value, Accum mode) {
  y = from_float<T>(mode == Accum::add ? to_float(y) + value : value);
}

/// Makes the compiler take x as it is here, without knowing what it was made of: otherwise addresses are taken apart and
/// worked out again in every step of a loop.
template <class T>
__device__ __forceinline__ void keep(T& x) {
#if defined(__CUDACC__)
  if constexpr (sizeof(T) == 8)
    asm volatile("" : "+l"(x));
  else
    asm volatile("" : "+r"(x));
#else
  static_cast<void>(x);
#endif
}

/// The same for a pointer that is read or written through: still known to be one of global memory.
template <class T>
__device__ __forceinline__ void keep_global(T*& p) {
#if defined(__CUDACC__)
  std::size_t address = __cvta_generic_to_global(p);
  keep(address);
  p = static_cast<T*>(__cvta_global_to_generic(address));
#else
  static_cast<void>(p);
#endif
}

/// This thread's index among all threads of a one-dimensional grid, and how many there are.
__device__ __forceinline__ std::int64_t global_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ std::int64_t global_threads() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

/// Blocks of `block` threads for `n` items, no more than a few waves: kernels loop with a grid stride.
inline std::int64_t blocks_for(const Stream<ThisGpu>& stream, std::int64_t n, int block, int per_multiprocessor = 16) {
  const std::int64_t wanted = (n + block - 1) / block;
  const std::int64_t most = static_cast<std::int64_t>(stream.limits->multiprocessors) * per_multiprocessor;
  return wanted < most ? wanted : most;
}

}  // namespace
}  // namespace akin
