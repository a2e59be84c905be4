// Operands of benchmarks in more memory than the caches hold.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "kernels/common/rng.hpp"
#include "kernels/common/roof.hpp"

namespace akin::bench {

/// Copies of a set of arrays, each copy in its own memory; next() moves on to the next copy, so that no call finds its
/// operands in the cache. Filled with random numbers in [-1, 1): zeros and denormals would change the speed.
template <class T = float>
class Rotating {
 public:
  /// `sizes` in elements. All copies together hold twice the last-level cache; `warm` keeps a single copy instead.
  explicit Rotating(std::initializer_list<std::int64_t> sizes, bool warm = false) {
    std::int64_t offset = 0;
    for (const std::int64_t size : sizes) {
      offset_.push_back(offset);
      offset += (size + kAlign - 1) / kAlign * kAlign + kAlign * static_cast<std::int64_t>(2 * offset_.size() + 1);
    }
    stride_ = offset;
    const std::int64_t bytes = stride_ * static_cast<std::int64_t>(sizeof(T));
    copies_ = warm ? 1 : std::clamp<std::int64_t>(2 * last_level_cache() / bytes + 1, 2, 1 << 16);
    memory_.resize(static_cast<std::size_t>(stride_ * copies_ + kAlign));
    base_ = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64 / sizeof(T);
    std::vector<T> noise(1 << 16);
    Rng rng(1);
    for (T& v : noise) v = static_cast<T>(rng.uniform(-1, 1));
    const auto block = static_cast<std::int64_t>(noise.size());
    for (std::int64_t i = 0; i < stride_ * copies_; i += block)
      std::memcpy(base_ + i, noise.data(),
                  sizeof(T) * static_cast<std::size_t>(std::min(block, stride_ * copies_ - i)));
  }
  T* operator[](std::size_t array) { return base_ + current_ * stride_ + offset_[array]; }
  void next() { current_ = (current_ + 1) % copies_; }

 private:
  static constexpr std::int64_t kAlign = 64 / sizeof(T);
  std::vector<std::int64_t> offset_;
  std::int64_t stride_ = 0, copies_ = 1, current_ = 0;
  std::vector<T> memory_;
  T* base_ = nullptr;
};

}  // namespace akin::bench
