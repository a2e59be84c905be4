// reduce: sums in double, whatever the element type.
//   sum       y = sum_i x[i]; fixed chunks of 4096 elements, so the result does not depend on the thread count
//   sum_squares  the same for x[i]^2 (the norm of a gradient arena is its square root)
//   all_finite   true when no element is NaN or infinite; stops early when one is
//   col_sum   y[d] = sum_n x[n,d], x [N, D]   (bias gradients)
// FLOPs: one add an element. Bytes: reads each element once.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin::spec {

template <class T>
double sum(std::int64_t n, const T* x);
template <class T>
double sum_squares(std::int64_t n, const T* x);
template <class T>
bool all_finite(std::int64_t n, const T* x);
template <class T>
void col_sum(std::int64_t N, std::int64_t D, const T* x, T* y, Accum mode);

}  // namespace akin::spec

/// T: float or bf16; sums in double. The order of summation depends on n and the device alone.
namespace akin::gpu {

/// Doubles of scratch that sum and sum_squares ask for.
constexpr std::int64_t kSumScratch = 1024;
/// y[0] = factor * sum of x (or of x^2; Y float or double: a square may be too large for float). Two launches.
template <class Gpu, class T>
void sum(const Stream<Gpu>& stream, std::int64_t n, double factor, const T* x, double* scratch, float* y);
template <class Gpu, class T, class Y>
void sum_squares(const Stream<Gpu>& stream, std::int64_t n, double factor, const T* x, double* scratch, Y* y);
template <class Gpu, class T>
void col_sum(const Stream<Gpu>& stream, std::int64_t N, std::int64_t D, const T* x, float* y, Accum mode);

}  // namespace akin::gpu
