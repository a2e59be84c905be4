// The operations in which the lanes of a warp exchange values. Each lane leaves its arguments and waits; the last one
// to come computes for all.
#pragma once

#include <cstdint>

#include "kernels/common/sim/block.hpp"

namespace akin::sim {

/// The value that lane `source` gives; every lane of `mask` must call. A source outside the mask, or exited, is an
/// error.
std::uint64_t shuffle(unsigned mask, std::uint64_t value, unsigned source, Site site);

struct Vote {
  unsigned yes;      ///< lanes whose argument was true
  unsigned arrived;  ///< lanes that took part
};
Vote vote(unsigned mask, bool yes, Site site);

/// __syncwarp
void warp_barrier(unsigned mask, Site site);

/// Tensor cores: d = a b + c for one warp. Fragment layouts as in the PTX ISA; sums in float, k ascending, which is not
/// the order of the hardware.
void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c, Site site);
void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c, Site site);
/// In double: of each element a chain of fused multiply-adds, k ascending.
void mma_f64(double* d, const double* a, const double* b, const double* c, Site site);

/// Eight 16-bit values, read and written as a whole by instrumented code (GCC leaves an inlined memcpy unchecked).
struct __attribute__((may_alias, aligned(16))) MatrixRow {
  std::uint32_t word[4];
  static constexpr MatrixRow all_ones() { return {{~0u, ~0u, ~0u, ~0u}}; }
};

/// ldmatrix of `matrices` 8 x 8 matrices (2 or 4) of 16-bit values; `row` is the lane's own row, nullptr for lanes
/// whose row is not used.
void ldmatrix(std::uint32_t* registers, const MatrixRow& row, int matrices, bool transpose, Site site);

}  // namespace akin::sim
