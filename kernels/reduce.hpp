// reduce: sums in double, whatever the element type.
//   sum       y = sum_i x[i]; fixed chunks of 4096 elements, so the result does not depend on the thread count
//   sum_squares  the same for x[i]^2 (the norm of a gradient arena is its square root)
//   col_sum   y[d] = sum_n x[n,d], x [N, D]   (bias gradients)
// FLOPs: one add an element. Bytes: reads each element once.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// Of sum, sum_squares and col_sum.
constexpr Work sum_work(std::int64_t n, std::size_t size) { return elementwise_work(n, 1, 1, size); }

/// y[0] = factor * sum of x (or of x^2: may be too large for float). The order of summation depends on n and the device
/// alone. `scratch`: sum_scratch() doubles. Two launches. Y: float or double, float alone for a device's sum.
template <class Dev, class T, class Y>
void sum(const Stream<Dev>& stream, std::int64_t n, double factor, const T* x, double* scratch, Y* y);
template <class Dev, class T, class Y>
void sum_squares(const Stream<Dev>& stream, std::int64_t n, double factor, const T* x, double* scratch, Y* y);
/// The order of summation depends on N, D and the device alone. `scratch`: col_sum_scratch() doubles. A device takes
/// two launches, parts of the rows and then the parts in order, or one where few rows are one part.
template <class Dev, class T>
void col_sum(const Stream<Dev>& stream, std::int64_t N, std::int64_t D, const T* x, double* scratch, Full<T>* y,
             Accum mode);
template <class Dev>
std::int64_t col_sum_scratch(const Stream<Dev>& stream, std::int64_t N, std::int64_t D);

/// Blocks of a device's sum, at most.
constexpr std::int64_t kSumBlocks = 1024;
template <class Dev>
constexpr std::int64_t sum_scratch(const Stream<Dev>&) {
  return std::is_same_v<Dev, Cpu> ? 0 : kSumBlocks;
}

}  // namespace akin
