// The order in which the CUDA threads of a block run. CUDA promises none, so a correct kernel gives the same result
// under every policy.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace akin::sim {

enum class Policy {
  fifo,  ///< the thread that waits longest: all advance in step
  lifo,  ///< the thread that became ready last: one warp runs far ahead of the others
  pct,   ///< random priorities of the warps, changed now and then (Burckhardt et al., "A randomized scheduler with
         ///< probabilistic guarantees of finding bugs", ASPLOS 2010); needs several seeds
};

/// The CUDA threads of a block that can run, as indices.
class ReadyQueue {
 public:
  /// Empties the queue for a block of `threads` threads.
  void reset(Policy policy, unsigned threads, std::uint64_t seed) {
    policy_ = policy;
    head_ = count_ = 0;
    if (const unsigned capacity = std::bit_ceil(threads); ring_.size() != capacity) ring_.assign(capacity, 0);
    if (policy != Policy::pct) return;
    random_ = (seed + 1) * 0x9e3779b97f4a7c15ull;
    warps_ = (threads + 31) / 32;
    for (unsigned i = 0; i < 32; ++i) ready_lanes_[i] = 0;
    for (unsigned i = 0; i < warps_; ++i) {
      priority_[i] = i;
      std::swap(priority_[i], priority_[draw() % (i + 1)]);
    }
  }

  void push(unsigned thread) {
    if (policy_ == Policy::pct)
      ready_lanes_[thread / 32] |= 1u << (thread % 32);
    else
      ring_[(head_ + count_++) & mask()] = thread;
  }

  /// Takes the next thread; -1 when none can run.
  int pop() {
    if (policy_ == Policy::pct) return pop_by_priority();
    if (count_ == 0) return -1;
    --count_;
    return static_cast<int>(policy_ == Policy::fifo ? ring_[head_++ & mask()] : ring_[(head_ + count_) & mask()]);
  }

 private:
  unsigned mask() const { return static_cast<unsigned>(ring_.size()) - 1; }

  std::uint64_t draw() {  // xorshift64
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_ >> 16;
  }

  int pop_by_priority() {
    const std::uint64_t r = draw();
    if (r % 61 == 0) std::swap(priority_[(r >> 8) % warps_], priority_[(r >> 20) % warps_]);
    for (unsigned i = 0; i < warps_; ++i) {
      unsigned& lanes = ready_lanes_[priority_[i]];
      if (lanes == 0) continue;
      const int lane = (r >> 40 & 1) != 0 ? 31 - std::countl_zero(lanes) : std::countr_zero(lanes);
      lanes &= ~(1u << lane);
      return static_cast<int>(priority_[i]) * 32 + lane;
    }
    return -1;
  }

  Policy policy_ = Policy::fifo;
  std::vector<unsigned> ring_{0};
  unsigned head_ = 0, count_ = 0;
  std::uint64_t random_ = 1;
  unsigned warps_ = 0;
  unsigned priority_[32] = {};     ///< warps, the most urgent first
  unsigned ready_lanes_[32] = {};  ///< of each warp, one bit a lane
};

}  // namespace akin::sim
