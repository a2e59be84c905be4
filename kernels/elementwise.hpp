// elementwise: y[i] = f(x[i], ...) over n elements.
//   axpy      y = a x                 1 multiply (+1 add in Accum::add); reads 1 (2) writes 1
//   add       y = a + b               1 add; reads 2, writes 1
//   mul       y = a * b               1 multiply; reads 2, writes 1
//   fill      y = a                   writes 1
//   convert   y = x in another element type, rounded to nearest
// The factor `a` of axpy and fill is multiplied by `scalar`, which lies where x and y do (the gradient of a loss:
// nobody waits for a device to hand it over); nullptr = 1. bf16 is worked out in float. In-place use (an output
// equal to an input) is allowed; partial overlap is not.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

/// Of axpy, and of fill without reading x.
constexpr Work axpy_work(std::int64_t n, Accum mode, std::size_t size) {
  return mode == Accum::add ? elementwise_work(n, 2, 3, size) : elementwise_work(n, 1, 2, size);
}
constexpr Work fill_work(std::int64_t n, Accum mode, std::size_t size) {
  return mode == Accum::add ? elementwise_work(n, 1, 2, size) : elementwise_work(n, 0, 1, size);
}
/// Of add and mul.
constexpr Work binary_work(std::int64_t n, std::size_t size) { return elementwise_work(n, 1, 3, size); }
constexpr Work convert_work(std::int64_t n) { return elementwise_work(n, 0, 1, sizeof(float) + sizeof(bf16)); }

template <class Dev, class T>
void axpy(const Stream<Dev>& stream, std::int64_t n, double a, const Full<T>* scalar, const T* x, T* y, Accum mode);
template <class Dev, class T>
void add(const Stream<Dev>& stream, std::int64_t n, const T* a, const T* b, T* y);
template <class Dev, class T>
void mul(const Stream<Dev>& stream, std::int64_t n, const T* a, const T* b, T* y, Accum mode);
template <class Dev, class T>
void fill(const Stream<Dev>& stream, std::int64_t n, double a, const Full<T>* scalar, T* y, Accum mode);
/// Between float and bf16.
template <class Dev, class From, class To>
void convert(const Stream<Dev>& stream, std::int64_t n, const From* x, To* y);

}  // namespace akin
