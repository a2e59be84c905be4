// CUDA C++ for the host compiler: the same kernel text that nvcc compiles runs in the emulator. Everything is in
// akin::sim::cuda except the keywords, which must be macros. Bring the names in with `using namespace akin::sim::cuda;`
// inside a namespace: the C library has functions of its own called __expf and so on in the global one.
//
// Functions that other threads take part in have two hidden arguments, the caller's file and line, for error messages.
#pragma once

#include <math.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/cuda_math.hpp"
#include "kernels/common/sim/cuda_types.hpp"
#include "kernels/common/sim/grid.hpp"
#include "kernels/common/sim/memory.hpp"
#include "kernels/common/sim/warp.hpp"

#if !defined(__CUDACC__) && !defined(__global__)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#endif
#if !defined(__align__)
#define __align__(n) __attribute__((aligned(n)))
#endif

/// Shared memory of a block: a variable of known size, AKIN_SHARED(float, tile, [2][16][68]), and the bytes given at
/// launch, AKIN_DYNAMIC_SHARED(float, buffer), a pointer.
#define AKIN_SHARED(T, name, dims)                                               \
  using name##_type_ = T dims;                                                   \
  static constexpr char name##_key_ = 0;                                         \
  name##_type_& name = *static_cast<name##_type_*>(::akin::sim::shared_variable( \
      &name##_key_, sizeof(name##_type_), alignof(name##_type_), #name, {__FILE__, __LINE__}))
#define AKIN_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::akin::sim::dynamic_shared({__FILE__, __LINE__}))

#define AKIN_SIM_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace akin::sim::cuda {

// ---- barriers and fences

inline void __syncthreads(AKIN_SIM_HERE) { block_barrier({file, line}); }
inline void __syncwarp(unsigned mask = 0xffffffffu, AKIN_SIM_HERE) { warp_barrier(mask, {file, line}); }
inline void __threadfence() { memory_fence(); }
inline void __threadfence_block() { memory_fence(); }

// ---- shuffles and votes

template <class T>
T shuffle_from(unsigned mask, T value, unsigned source, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

/// Where the source lane is outside the segment of `width` lanes, the lane's own value comes back.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, AKIN_SIM_HERE) {
  const unsigned lane = lane_index(), w = static_cast<unsigned>(width);
  return shuffle_from(mask, value, (lane & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)), {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, AKIN_SIM_HERE) {
  const unsigned lane = lane_index(), w = static_cast<unsigned>(width);
  return shuffle_from(mask, value, (lane & (w - 1)) < delta ? lane : lane - delta, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, AKIN_SIM_HERE) {
  const unsigned lane = lane_index(), w = static_cast<unsigned>(width);
  return shuffle_from(mask, value, delta >= w - (lane & (w - 1)) ? lane : lane + delta, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, AKIN_SIM_HERE) {
  const unsigned lane = lane_index(), w = static_cast<unsigned>(width);
  const unsigned source = (lane ^ static_cast<unsigned>(lane_mask)) & 31u;
  return shuffle_from(mask, value, (source & ~(w - 1)) > (lane & ~(w - 1)) ? lane : source, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, AKIN_SIM_HERE) {
  return vote(mask, predicate != 0, {file, line}).yes;
}
inline int __any_sync(unsigned mask, int predicate, AKIN_SIM_HERE) {
  return vote(mask, predicate != 0, {file, line}).yes != 0;
}
inline int __all_sync(unsigned mask, int predicate, AKIN_SIM_HERE) {
  const Vote v = vote(mask, predicate != 0, {file, line});
  return v.yes == v.arrived;
}

// ---- atomics: relaxed, as CUDA's; each returns the old value

template <class T>
concept AtomicNumber = std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> ||
    std::is_same_v<T, unsigned long> || std::is_same_v<T, float> || std::is_same_v<T, double>;

template <class T, class F>
T atomic_update(T* p, F&& update) {
  std::atomic_ref<T> a(*p);
  T old = a.load(std::memory_order_relaxed);
  while (!a.compare_exchange_weak(old, update(old), std::memory_order_relaxed)) {
  }
  return old;
}

template <AtomicNumber T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <AtomicNumber T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_sub(v, std::memory_order_relaxed);
}
template <AtomicNumber T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).exchange(v, std::memory_order_relaxed);
}
template <AtomicNumber T>
requires std::is_integral_v<T> T atomicMax(T* p, std::type_identity_t<T> v) {
  return atomic_update(p, [v](T old) { return old < v ? v : old; });
}
template <AtomicNumber T>
requires std::is_integral_v<T> T atomicMin(T* p, std::type_identity_t<T> v) {
  return atomic_update(p, [v](T old) { return v < old ? v : old; });
}
template <AtomicNumber T>
requires std::is_integral_v<T> T atomicOr(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_or(v, std::memory_order_relaxed);
}
template <AtomicNumber T>
requires std::is_integral_v<T> T atomicAnd(T* p, std::type_identity_t<T> v) {
  return std::atomic_ref<T>(*p).fetch_and(v, std::memory_order_relaxed);
}
template <AtomicNumber T>
requires std::is_integral_v<T> T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, v, std::memory_order_relaxed);
  return expected;
}

// ---- tensor cores and asynchronous copies; common/gpu/ptx.cuh has the same functions for nvcc

/// d = a b + c for a 16 x 16 (row-major) and a 16 x 8 (column-major) tile of bf16 with float sums; one warp.
inline void mma_m16n8k16_bf16(float d[4], const std::uint32_t a[4], const std::uint32_t b[2], const float c[4],
                              AKIN_SIM_HERE) {
  mma_bf16(d, a, b, c, {file, line});
}
/// The same for 16 x 8 and 8 x 8 tiles of float whose lower 13 bits are ignored (tf32).
inline void mma_m16n8k8_tf32(float d[4], const std::uint32_t a[4], const std::uint32_t b[2], const float c[4],
                             AKIN_SIM_HERE) {
  mma_tf32(d, a, b, c, {file, line});
}
/// The same of double, where all sums are chains of fused multiply-adds, k ascending.
inline void mma_m16n8k8_f64(double d[4], const double a[4], const double b[2], const double c[4], AKIN_SIM_HERE) {
  mma_f64(d, a, b, c, {file, line});
}

inline void load_matrices(std::uint32_t* r, const void* row, int matrices, bool transpose, Site site) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
    fail_thread(site, "ldmatrix: the address of a row is not a multiple of 16");
  MatrixRow copy{};
  if (lane_index() < 8u * static_cast<unsigned>(matrices)) {
    if (!in_shared(row, sizeof(MatrixRow)))
      fail_thread(site, "ldmatrix: the address of a row is not in the block's shared memory");
    copy = *static_cast<const MatrixRow*>(row);
  }
  ldmatrix(r, copy, matrices, transpose, site);
}
/// 8 x 8 matrices of 16-bit values from shared memory, one register each; lane 8 i + r gives row r of matrix i.
inline void ldmatrix_x4(std::uint32_t r[4], const void* row, AKIN_SIM_HERE) {
  load_matrices(r, row, 4, false, {file, line});
}
inline void ldmatrix_x2(std::uint32_t r[2], const void* row, AKIN_SIM_HERE) {
  load_matrices(r, row, 2, false, {file, line});
}
/// Each matrix transposed on its way into the registers.
inline void ldmatrix_x4_trans(std::uint32_t r[4], const void* row, AKIN_SIM_HERE) {
  load_matrices(r, row, 4, true, {file, line});
}
inline void ldmatrix_x2_trans(std::uint32_t r[2], const void* row, AKIN_SIM_HERE) {
  load_matrices(r, row, 2, true, {file, line});
}

struct __attribute__((may_alias)) AliasedWord {
  std::uint32_t word;
  static constexpr AliasedWord all_ones() { return {~0u}; }
};

/// The target is NaN until the thread waits for the copy, so that a missing or weak wait shows.
template <class Unit>
void start_copy(void* to, const void* from, bool real, Site site) {
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % sizeof(Unit) != 0)
    fail_thread(site, "cp.async: an address is not a multiple of the size");
  if (!in_shared(to, sizeof(Unit))) fail_thread(site, "cp.async: the target is not in the block's shared memory");
  if (in_shared(from, 1)) fail_thread(site, "cp.async: the source is in shared memory, not in global memory");
  *static_cast<Unit*>(to) = Unit::all_ones();
  async_copy_add({to, from, sizeof(Unit), real});
}
template <class Unit>
void finish_copy(const AsyncCopy& copy) {
  *static_cast<Unit*>(copy.to) = copy.real ? *static_cast<const Unit*>(copy.from) : Unit{};
}

/// Starts a copy of 16 (4) bytes from global to shared memory; zeros instead when `real` is false.
inline void cp_async16(void* to, const void* from, bool real, AKIN_SIM_HERE) {
  start_copy<MatrixRow>(to, from, real, {file, line});
}
inline void cp_async4(void* to, const void* from, bool real, AKIN_SIM_HERE) {
  start_copy<AliasedWord>(to, from, real, {file, line});
}
/// Closes this thread's group of copies; cp_async_wait<N> returns when at most N groups are still under way.
inline void cp_async_commit() { async_copy_commit(); }
template <int N>
void cp_async_wait() {
  std::size_t copies = 0;
  while (const AsyncCopy* copy = async_copy_take(N, copies))
    for (std::size_t i = 0; i < copies; ++i)
      copy[i].bytes == 16 ? finish_copy<MatrixRow>(copy[i]) : finish_copy<AliasedWord>(copy[i]);
}

}  // namespace akin::sim::cuda
