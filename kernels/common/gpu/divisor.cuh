// Division by a number that the host knows.
#pragma once

#include "kernels/common/gpu/kernel.cuh"

namespace akin {
namespace {

/// n / d for 0 <= n < 2^31 by a multiplication (Granlund and Montgomery, "Division by invariant integers using
/// multiplication", PLDI 1994).
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(std::int64_t d) : d_(d < 1 ? 1 : static_cast<std::uint32_t>(d)) {  // 0: nothing is divided
    while ((std::uint64_t{1} << shift_) < d_) ++shift_;
    magic_ = static_cast<std::uint32_t>((((std::uint64_t{1} << shift_) - d_) << 32) / d_ + 1);
  }
  /// n = quotient d + remainder
  __device__ __forceinline__ void divide(int n, int& quotient, int& remainder) const {
    const auto u = static_cast<std::uint32_t>(n);
    quotient = static_cast<int>((__umulhi(u, magic_) + u) >> shift_);
    remainder = n - quotient * static_cast<int>(d_);
  }

 private:
  std::uint32_t d_ = 1, magic_ = 1, shift_ = 0;
};

}  // namespace
}  // namespace akin
