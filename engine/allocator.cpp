#include "engine/allocator.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/common/error.hpp"

namespace akin {

namespace {
constexpr std::size_t kAlign = 64;
constexpr std::size_t kDeviceAlign = 256;
constexpr std::size_t kStaggerSteps = 15;            // offsets of 0 .. 14 cache lines
constexpr std::size_t kMost = std::size_t{1} << 46;  // half an address space; rounding a larger size up could wrap
}  // namespace

std::size_t Allocator::rounded(std::size_t bytes) const {
  const std::size_t align = gpu_ == nullptr ? kAlign : kDeviceAlign;
  const std::size_t lines = std::max((bytes + align - 1) / align, std::size_t{1});
  return (lines + (options_.poison ? 1 : 0)) * align;  // the fence is at least one cache line
}

Allocator::~Allocator() { flush(); }

void* Allocator::from_system(std::size_t bytes) {
  if (options_.limit != 0 && stats_.in_use + stats_.cached + bytes > options_.limit) return nullptr;
  if (gpu_ != nullptr) {
    void* block = stream_ != nullptr ? gpu_->allocate(bytes) : gpu_->allocate_pinned(bytes);
    if (block == nullptr) return nullptr;
    ++stats_.system_calls;
    base_[block] = block;
    return block;
  }
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
  if (options_.shapes_only) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto check = [&](bool ok) {
    if (ok) return;
    std::string limit = options_.limit == 0 ? "the machine's" : std::to_string(options_.limit);
    if (stream_ != nullptr && options_.limit == 0) limit = fmt::format("the card's {}", gpu_->memory().total);
    fail("out of memory{}: {} bytes asked for, {} in use, limit {}; use a smaller batch, image size or network",
         stream_ == nullptr ? "" : " on the device", bytes, stats_.in_use, limit);
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
    // Asking the card, or giving back to it, would break the capture and hide the reason.
    AKIN_CHECK(
        stream_ == nullptr || !stream_->capturing(),
        "out of memory on the device: {} bytes asked for while a graph is captured, {} in use, {} kept for other "
        "sizes; run the work twice before it is captured, or use a smaller batch, image size or network",
        bytes, stats_.in_use, stats_.cached);
    block = from_system(size);
    if (block == nullptr) {
      flush_locked();
      block = from_system(size);
    }
    check(block != nullptr);
  }
  stats_.in_use += size;
  stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.in_use);
  if (options_.poison) {
    if (stream_ != nullptr)
      stream_->fill(block, 0xFF, size);
    else
      std::memset(block, 0xFF, size);
  }
  return block;
}

bool Allocator::fence_intact(const std::byte* block, std::size_t bytes, std::size_t size) const noexcept {
  std::vector<std::byte> fence(size - bytes);
  if (stream_ == nullptr) {
    std::memcpy(fence.data(), block + bytes, fence.size());
  } else {
    try {
      stream_->copy(fence.data(), block + bytes, fence.size());
      stream_->synchronize();
    } catch (const Error&) {
      return false;  // a broken device is not the place for an exception here; the next call will report it
    }
  }
  return std::all_of(fence.begin(), fence.end(), [](std::byte b) { return b == std::byte{0xFF}; });
}

void Allocator::release(void* block, std::size_t bytes) noexcept {
  if (block == nullptr) return;
  const std::size_t size = rounded(bytes);
  const std::lock_guard lock(mutex_);
  if (options_.poison && !fence_intact(static_cast<const std::byte*>(block), bytes, size)) ++stats_.fence_breaks;
  free_[size].push_back(block);
  stats_.in_use -= size;
  stats_.cached += size;
}

void Allocator::flush_locked() noexcept {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) {
      const auto it = base_.find(block);
      if (stream_ != nullptr)
        gpu_->release(it->second);
      else if (gpu_ != nullptr)
        gpu_->release_pinned(it->second);
      else
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
