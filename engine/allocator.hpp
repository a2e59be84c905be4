// A caching allocator: a training step asks for the same sizes every time, so a freed block is kept for the next ask.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/common/gpu/device.hpp"

namespace akin {

struct AllocatorStats {
  std::size_t in_use = 0;        ///< bytes handed out now
  std::size_t peak_in_use = 0;   ///< highest value of in_use
  std::size_t cached = 0;        ///< bytes kept for reuse
  std::size_t system_calls = 0;  ///< how often the system was asked
  std::size_t fence_breaks = 0;  ///< blocks that came back with bytes written behind their end (poison only)
};

struct AllocatorOptions {
  std::size_t limit = 0;  ///< bytes in use and cached at most; 0 = no limit
  /// Fill every block with 0xFF (a NaN in every float type) and fence its end: tests find reads of unwritten memory
  /// and writes past the end.
  bool poison = false;
  /// Blocks are nullptr: tensors have shapes and no elements, to look at a network before memory is spent on it.
  bool shapes_only = false;
};

/// Thread-safe. Host blocks are 64-byte aligned, at staggered offsets: arrays of one power-of-two size would otherwise
/// start in the same cache sets and evict each other. Device blocks are 256-byte aligned, and belong to one stream: a
/// released block may be handed out while kernels still use it, because the stream keeps their order.
class Allocator {
 public:
  /// `gpu` and `stream`: device memory. `gpu` alone: host memory that the device copies without staging. Neither: host
  /// memory.
  explicit Allocator(AllocatorOptions options = {}, std::shared_ptr<GpuDevice> gpu = nullptr,
                     std::shared_ptr<GpuStream> stream = nullptr)
      : options_(options), gpu_(std::move(gpu)), stream_(std::move(stream)) {}
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// A block of at least `bytes` bytes. When the system or the limit refuses, the cache is returned and the ask
  /// repeated; then Error with the sizes. While the stream captures a graph, only the cache is there.
  void* allocate(std::size_t bytes);
  /// Takes back a block; `bytes` as asked for.
  void release(void* block, std::size_t bytes) noexcept;
  /// Returns all cached blocks to the system.
  void flush() noexcept;
  AllocatorStats stats() const;
  /// The stream of device memory; nullptr for host memory.
  GpuStream* stream() const { return stream_.get(); }

 private:
  std::size_t rounded(std::size_t bytes) const;
  void* from_system(std::size_t bytes);
  void flush_locked() noexcept;

  bool fence_intact(const std::byte* block, std::size_t bytes, std::size_t size) const noexcept;

  AllocatorOptions options_;
  std::shared_ptr<GpuDevice> gpu_;
  std::shared_ptr<GpuStream> stream_;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;  // by rounded size
  std::map<void*, void*> base_;                     // block -> what the system returned
  std::size_t stagger_ = 0;
  AllocatorStats stats_;
};

}  // namespace akin
