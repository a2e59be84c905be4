// What CUDA C++ has no word for, as inline PTX. The emulator's definitions of the same functions are in
// common/sim/cuda.hpp. Fragment layouts: PTX ISA, "Matrix fragments for mma.m16n8k16 / m16n8k8".
#pragma once

namespace akin {
namespace {

/// d = a b + c for a 16 x 16 and 16 x 8 tile of bf16, float sums, one warp.
__device__ __forceinline__ void mma_m16n8k16_bf16(float d[4], const std::uint32_t a[4], const std::uint32_t b[2],
                                                  const float c[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};\n"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/// The same for 16 x 8 and 8 x 8 tiles of float, whose lower 13 mantissa bits are ignored (tf32).
__device__ __forceinline__ void mma_m16n8k8_tf32(float d[4], const std::uint32_t a[4], const std::uint32_t b[2],
                                                 const float c[4]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};\n"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

/// The same of double, with sums in double. PTX does not say in which order an instruction adds its products; models
/// that were compared with cards bit by bit (MMA-Sim, arXiv 2511.10909) have one chain of fused multiply-adds, k
/// ascending, and so has the emulator: test_gram asks a card. Before sm_90 it is four instructions of 8 x 8 x 4.
__device__ __forceinline__ void mma_m16n8k8_f64(double d[4], const double a[4], const double b[2], const double c[4]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%10,%11,%12,%13};\n"
      : "=d"(d[0]), "=d"(d[1]), "=d"(d[2]), "=d"(d[3])
      : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(b[0]), "d"(b[1]), "d"(c[0]), "d"(c[1]), "d"(c[2]), "d"(c[3]));
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    double low[2];
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%4,%5};\n"
                 : "=d"(low[0]), "=d"(low[1])
                 : "d"(a[half]), "d"(b[0]), "d"(c[2 * half]), "d"(c[2 * half + 1]));
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%4,%5};\n"
                 : "=d"(d[2 * half]), "=d"(d[2 * half + 1])
                 : "d"(a[half + 2]), "d"(b[1]), "d"(low[0]), "d"(low[1]));
  }
#endif
}

/// Where something lies in shared memory, as ldmatrix and cp.async take it.
using SharedAddress = unsigned;
__device__ __forceinline__ SharedAddress shared_address(const void* p) {
  return static_cast<SharedAddress>(__cvta_generic_to_shared(p));
}

/// 8 x 8 matrices of 16-bit values from shared memory, one register each; lane 8 i + r gives row r of matrix i.
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t r[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t r[2], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(row)
               : "memory");
}
/// Each matrix transposed on its way into the registers.
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t r[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t r[2], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1},[%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(row)
               : "memory");
}

/// Starts a copy of 16 (4) bytes from global to shared memory; zeros instead when `real` is false (`from` must still be
/// a valid address).
__device__ __forceinline__ void cp_async16(SharedAddress to, const void* from, bool real) {
  asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;\n" ::"r"(to), "l"(from), "r"(real ? 16 : 0) : "memory");
}
__device__ __forceinline__ void cp_async4(SharedAddress to, const void* from, bool real) {
  asm volatile("cp.async.ca.shared.global [%0],[%1],4,%2;\n" ::"r"(to), "l"(from), "r"(real ? 4 : 0) : "memory");
}
/// Closes this thread's group of copies; cp_async_wait<N> returns when at most N groups are still under way.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

}  // namespace
}  // namespace akin
