// mix_heads: what two heads say of the same images, as one: the logarithm of their mixed probabilities, per row.
//   y[b,c] = log((1 - share) softmax(x[b])[c] + share softmax(z[b])[c])
//          = m + log(1 + exp(-|u - v|)),  u = log(1 - share) + log softmax x,  v = log share + log softmax z,
//   m = max(u, v): no probability underflows. softmax(y) is the mixture itself.
// Shapes: x, z, y [B, C], C >= 1; share in 0..1. FLOPs: about 20 B C. Bytes: reads 2 B C, writes B C.
#pragma once

#include <cstdint>

#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

constexpr Work mix_heads_work(std::int64_t B, std::int64_t C, std::size_t size) {
  return elementwise_work(B * C, 20, 3, size);
}

/// For predictions: it has no gradient. A device takes float alone. A row of x or z with a NaN is NaN. One launch.
template <class Dev, class T>
void mix_heads(const Stream<Dev>& stream, std::int64_t B, std::int64_t C, double share, const T* x, const T* z, T* y);

}  // namespace akin
