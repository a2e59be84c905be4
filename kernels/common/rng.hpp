// Counter-based random numbers: the same bits for the same (seed, stream, counter) on every device, in any order.
// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/bf16.hpp"

namespace akin {

/// A 128-bit counter, or four random words.
struct Philox {
  std::uint32_t word[4];
  bool operator==(const Philox&) const = default;
};

/// Four random 32-bit words for a 128-bit counter and a 64-bit key.
AKIN_HOST_DEVICE constexpr Philox philox4x32(Philox c, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c.word[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c.word[2];
    c = {{static_cast<std::uint32_t>(p1 >> 32) ^ c.word[1] ^ key0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ c.word[3] ^ key1, static_cast<std::uint32_t>(p0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

/// A stream of random numbers keyed by (seed, a, b): for example (seed, epoch, sample). Cheap to make, safe to copy.
class Rng {
 public:
  AKIN_HOST_DEVICE constexpr explicit Rng(std::uint64_t seed, std::uint32_t a = 0, std::uint64_t b = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{{0, a, static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32)}} {}

  AKIN_HOST_DEVICE constexpr std::uint32_t next_u32() {
    if (used_ == 4) {
      block_ = philox4x32(counter_, key_[0], key_[1]);
      ++counter_.word[0];
      used_ = 0;
    }
    return block_.word[used_++];
  }
  /// Uniform in [0, 1), 24 bits.
  AKIN_HOST_DEVICE constexpr float uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24f; }
  /// Rounded once, whether the compiler would fuse or not: the same bits on every device.
  AKIN_HOST_DEVICE float uniform(float low, float high) { return std::fma(high - low, uniform(), low); }
  /// Uniform in 0..n-1, n >= 1 (multiply-shift; bias below n / 2^32).
  AKIN_HOST_DEVICE constexpr std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>((std::uint64_t{next_u32()} * n) >> 32);
  }
  /// Standard normal (Box-Muller, one of the pair). On the host: libraries differ in the last bit of log and cos.
  float normal() {
    const float u = 1.0f - uniform();  // (0, 1]
    const float v = uniform();
    return std::sqrt(-2.0f * std::log(u)) * std::cos(6.28318530718f * v);
  }

 private:
  std::uint32_t key_[2];
  Philox counter_;
  Philox block_{};
  int used_ = 4;
};

}  // namespace akin
