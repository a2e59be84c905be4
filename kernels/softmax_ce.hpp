// softmax_ce: cross-entropy of a softmax against class indices, per row.
//   y[b]    = weight[b] * (logsumexp_c x[b,c] - x[b,t[b]])
//   dx[b,c] = dy[b] * weight[b] * (softmax(x[b])[c] - [c == t[b]])
// Shapes: x, dx [B, C] logits; t [B] in 0..C-1; weight [B] or nullptr (= 1; a masked FixMatch row has 0); y, dy [B].
// FLOPs: about 4 B C forward, 5 B C backward. Bytes: forward reads B C, backward reads and writes B C (x is read again
// instead of keeping the probabilities). The row maximum is subtracted first, so that no exp overflows.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

constexpr Work softmax_ce_fwd_work(std::int64_t B, std::int64_t C, std::size_t size) {
  return elementwise_work(B * C, 4, 1, size);
}
constexpr Work softmax_ce_bwd_work(std::int64_t B, std::int64_t C, std::size_t size) {
  return elementwise_work(B * C, 5, 2, size);
}

/// A device takes float alone. The CPU throws Error when a target is outside 0..C-1, naming the row; a kernel cannot:
/// such a row has a NaN loss and a NaN gradient, whatever its weight. C >= 1. One launch each. CPU: the fast path
/// (kernels/softmax_ce_omp.cpp) has the exponentials of kernels/common/row_math.hpp, for float.
template <class Dev, class T>
void softmax_ce_fwd(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, T* y);
template <class Dev, class T>
void softmax_ce_bwd(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, const T* x, const std::int64_t* t,
                    const Full<T>* weight, const T* dy, T* dx, Accum mode);

/// FixMatch's pseudo-labels: t[b] = argmax_c x[b,c], the first of equal maxima; mask[b] = 1 where softmax(x[b])[t[b]]
/// >= threshold, else 0; counted[0] += number of such rows. A row that holds a NaN (or +inf: no probabilities either)
/// gets t = 0 and mask = 0 and is counted in counted[1]: a kernel cannot throw, so the caller must refuse counted[1] >
/// 0.
template <class Dev, class T>
void pseudo_label(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, double threshold, const T* x,
                  std::int64_t* t, T* mask, std::int32_t* counted);

/// On the host: p[b,c] = softmax(x[b] / temperature)[c]; p may be x. float: in vector loops, as above.
template <class T>
void softmax(std::int64_t B, std::int64_t C, T temperature, const T* x, T* p);

}  // namespace akin
