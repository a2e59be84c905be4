// elementwise: y[i] = f(x[i], ...) over n elements.
//   axpy      y = a x                 1 multiply (+1 add in Accum::add); reads 1 (2) writes 1
//   add       y = a + b               1 add; reads 2, writes 1
//   mul       y = a * b               1 multiply; reads 2, writes 1
//   relu_fwd  y = max(x, 0); NaN stays NaN
//   relu_bwd  dx = y > 0 ? dy : 0     (from the output, so the input need not be kept)
// In-place use (an output equal to an input) is allowed; partial overlap is not.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"

namespace akin::spec {

template <class T>
void axpy(std::int64_t n, T a, const T* x, T* y, Accum mode);
template <class T>
void add(std::int64_t n, const T* a, const T* b, T* y);
template <class T>
void mul(std::int64_t n, const T* a, const T* b, T* y, Accum mode);
template <class T>
void relu_fwd(std::int64_t n, const T* x, T* y);
template <class T>
void relu_bwd(std::int64_t n, const T* y, const T* dy, T* dx, Accum mode);

}  // namespace akin::spec
