// elementwise: y[i] = f(x[i], ...) over n elements.
//   axpy      y = a x                 1 multiply (+1 add in Accum::add); reads 1 (2) writes 1
//   add       y = a + b               1 add; reads 2, writes 1
//   mul       y = a * b               1 multiply; reads 2, writes 1
//   fill      y = a                    writes 1                                      (device only)
//   convert   y = x in another element type, rounded to nearest                     (device only)
// On a device the factor `a` may be multiplied by a scalar that lies there (the gradient of a loss), so that nobody
// waits for it.
// In-place use (an output equal to an input) is allowed; partial overlap is not.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin::spec {

template <class T>
void axpy(std::int64_t n, T a, const T* x, T* y, Accum mode);
template <class T>
void add(std::int64_t n, const T* a, const T* b, T* y);
template <class T>
void mul(std::int64_t n, const T* a, const T* b, T* y, Accum mode);

}  // namespace akin::spec

/// T: float or bf16; arithmetic in float. `scalar` (on the device) may be nullptr = 1.
namespace akin::gpu {

template <class Gpu, class T>
void axpy(const Stream<Gpu>& stream, std::int64_t n, float a, const float* scalar, const T* x, T* y, Accum mode);
template <class Gpu, class T>
void add(const Stream<Gpu>& stream, std::int64_t n, const T* a, const T* b, T* y);
template <class Gpu, class T>
void mul(const Stream<Gpu>& stream, std::int64_t n, const T* a, const T* b, T* y, Accum mode);
template <class Gpu, class T>
void fill(const Stream<Gpu>& stream, std::int64_t n, float a, const float* scalar, T* y, Accum mode);
template <class Gpu, class From, class To>
void convert(const Stream<Gpu>& stream, std::int64_t n, const From* x, To* y);

}  // namespace akin::gpu
