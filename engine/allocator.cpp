#include "engine/allocator.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/common/error.hpp"

namespace akin {

namespace {
constexpr std::size_t kAlign = 64;
constexpr std::size_t kStaggerSteps = 15;            // offsets of 0 .. 14 cache lines
constexpr std::size_t kMost = std::size_t{1} << 46;  // half an address space; rounding a larger size up could wrap
}  // namespace

std::size_t Allocator::rounded(std::size_t bytes) const {
  const std::size_t lines = std::max((bytes + kAlign - 1) / kAlign, std::size_t{1});
  return (lines + (options_.poison ? 1 : 0)) * kAlign;  // the fence is at least one cache line
}

Allocator::~Allocator() { flush(); }

void* Allocator::from_system(std::size_t bytes) {
  if (options_.limit != 0 && stats_.in_use + stats_.cached + bytes > options_.limit) return nullptr;
  const std::size_t offset = (stagger_ % kStaggerSteps) * kAlign;
  void* base = std::aligned_alloc(kAlign, bytes + kStaggerSteps * kAlign);
  if (base == nullptr) return nullptr;
  ++stagger_;
  ++stats_.system_calls;
  void* block = static_cast<std::byte*>(base) + offset;
  base_[block] = base;
  return block;
}

void* Allocator::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto check = [&](bool ok) {
    AKIN_CHECK(ok, "out of memory: {} bytes asked for, {} in use, limit {}; use a smaller batch, image size or network",
               bytes, stats_.in_use,
               options_.limit == 0 ? std::string("the machine's") : std::to_string(options_.limit));
  };
  check(bytes <= kMost);
  const std::size_t size = rounded(bytes);
  void* block = nullptr;
  auto& list = free_[size];
  if (!list.empty()) {
    block = list.back();
    list.pop_back();
    stats_.cached -= size;
  } else {
    block = from_system(size);
    if (block == nullptr) {
      flush_locked();
      block = from_system(size);
    }
    check(block != nullptr);
  }
  stats_.in_use += size;
  stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.in_use);
  if (options_.poison) std::memset(block, 0xFF, size);
  return block;
}

void Allocator::release(void* block, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  if (options_.poison) {
    const auto* fence = static_cast<const unsigned char*>(block);
    if (!std::all_of(fence + bytes, fence + size, [](unsigned char c) { return c == 0xFF; })) ++stats_.fence_breaks;
  }
  free_[size].push_back(block);
  stats_.in_use -= size;
  stats_.cached += size;
}

void Allocator::flush_locked() noexcept {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) {
      const auto it = base_.find(block);
      std::free(it->second);
      base_.erase(it);
    }
    blocks.clear();
  }
  stats_.cached = 0;
}

void Allocator::flush() noexcept {
  const std::lock_guard lock(mutex_);
  flush_locked();
}

AllocatorStats Allocator::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace akin
