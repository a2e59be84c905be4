// reduce: sums in double, whatever the element type.
//   sum       y = sum_i x[i]; fixed chunks of 4096 elements, so the result does not depend on the thread count
//   col_sum   y[d] = sum_n x[n,d], x [N, D]   (bias gradients)
// FLOPs: one add an element. Bytes: reads each element once.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"

namespace akin::spec {

template <class T>
double sum(std::int64_t n, const T* x);
template <class T>
void col_sum(std::int64_t N, std::int64_t D, const T* x, T* y, Accum mode);

}  // namespace akin::spec
