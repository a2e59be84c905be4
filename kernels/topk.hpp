// topk: the k largest values of each row and their places, largest first.
//   y[b,j], index[b,j]   x [B,C] -> y [B,k], index [B,k], 0 <= k <= C
// Of equal values the one of lower index comes first; -0 equals +0. NaN counts as larger than every number, as in
// torch.topk, so that a broken row shows; of several the lower index first.
// Overwrites both outputs. Comparisons: C + k (C / threads + log threads). Bytes: reads x once, 12 B k written.
#pragma once

#include <cstdint>

#include "kernels/common/bf16.hpp"
#include "kernels/common/gpu/stream.hpp"

namespace akin::spec {

/// Throws Error unless 0 <= k <= C.
template <class T>
void topk(std::int64_t B, std::int64_t C, std::int64_t k, const T* x, T* y, std::int64_t* index);

}  // namespace akin::spec

/// T: float or bf16; C below 2^31. One launch, a block a row. Meant for k of tens at most.
namespace akin::gpu {

template <class Gpu, class T>
void topk(const Stream<Gpu>& stream, std::int64_t B, std::int64_t C, std::int64_t k, const T* x, T* y,
          std::int64_t* index);

}  // namespace akin::gpu
