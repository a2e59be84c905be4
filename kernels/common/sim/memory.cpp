#include "kernels/common/sim/memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/sanitizers.hpp"

namespace akin::sim {

namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kMostBytes = std::size_t{1} << 39;  // ASan's own allocator would end the program
constexpr std::size_t kPage = 65536;                      // a multiple of every processor's page

constexpr std::uintptr_t kSmallestPage = 4096;
// Programs, their libraries, heaps and stacks on 64-bit Linux. The heap of ASan lies below, where a pair of ints of
// ordinary size can point.
constexpr std::uintptr_t kLowestOfPrograms = kAsan ? 0x640000000000 : 0x550000000000, kEndOfPrograms = 0x800000000000;

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

/// Bytes that an allocation takes: at least one unit stays free behind it, so that neighbours never touch.
constexpr std::size_t taken(std::size_t bytes) { return round_up(bytes + 1, kAlignment); }

using Blocks = std::map<std::uintptr_t, std::size_t>;  ///< address -> bytes asked for

/// Whether one of `blocks` holds `p`, or ends at it where `end_counts`.
bool holds(const Blocks& blocks, const void* p, bool end_counts) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto after = blocks.upper_bound(address);
  if (after == blocks.begin()) return false;
  const auto& [start, bytes] = *std::prev(after);
  return address - start < bytes + (end_counts ? 1 : 0);
}

struct Registry {
  std::mutex mutex;
  Blocks blocks, pinned;
  std::size_t bytes = 0;
  char* range = nullptr;  ///< closed to the host
  std::size_t range_bytes = 0;
  std::size_t range_used = 0;  ///< highest byte ever given out, in pages
  int open = 0;                ///< living HostAccess objects
};

Registry& registry() {
  static Registry* r = new Registry;  // never destroyed: other static objects may own device memory
  return *r;
}

void protect(Registry& r, int protection) {
  if (r.range_used != 0) mprotect(r.range, r.range_used, protection);
}

/// The first gap of the range that is large enough.
char* place_in_range(Registry& r, std::size_t bytes) {
  std::uintptr_t at = reinterpret_cast<std::uintptr_t>(r.range);
  for (const auto& [address, size] : r.blocks) {
    if (address - at >= bytes) break;
    at = address + taken(size);
  }
  const std::size_t end = at + bytes - reinterpret_cast<std::uintptr_t>(r.range);
  if (end > r.range_bytes) return nullptr;
  if (end > r.range_used) {
    r.range_used = round_up(end, kPage);
    if (r.open != 0) protect(r, PROT_READ | PROT_WRITE);
  }
  return reinterpret_cast<char*>(at);
}

}  // namespace

HostAccess::HostAccess() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (r.open++ == 0) protect(r, PROT_READ | PROT_WRITE);
}

HostAccess::~HostAccess() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (--r.open == 0) protect(r, PROT_NONE);
}

void close_to_host(std::size_t bytes) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (!r.blocks.empty() || r.open != 0)
    throw Error(
        fmt::format("sim: device memory cannot be closed or opened while {} allocations live", r.blocks.size()));
  if (r.range != nullptr) {
    unpoison(r.range, r.range_used);
    munmap(r.range, r.range_bytes);
  }
  r.range = nullptr;
  r.range_bytes = r.range_used = 0;
  if (bytes == 0) return;
  const std::size_t rounded = round_up(bytes, kPage);
  void* p = mmap(nullptr, rounded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    throw Error(fmt::format("sim: cannot reserve {} bytes for device memory: {}", rounded, std::strerror(errno)));
  r.range = static_cast<char*>(p);
  r.range_bytes = rounded;
}

void* allocate(std::size_t bytes) {
  Registry& r = registry();
  const HostAccess access;  // to fill it
  const std::lock_guard lock(r.mutex);
  const std::size_t room = taken(bytes);
  char* p = nullptr;
  if (bytes <= kMostBytes)
    p = r.range != nullptr ? place_in_range(r, room) : static_cast<char*>(std::aligned_alloc(kAlignment, room));
  if (p == nullptr) throw Error(fmt::format("sim: no memory for {} bytes; {} bytes are in use", bytes, r.bytes));
  unpoison(p, bytes);
  std::memset(p, 0xff, bytes);
  poison(p + bytes, room - bytes);
  r.blocks.emplace(reinterpret_cast<std::uintptr_t>(p), bytes);
  r.bytes += bytes;
  return p;
}

void release(void* p) {
  if (p == nullptr) return;
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto block = r.blocks.find(reinterpret_cast<std::uintptr_t>(p));
  if (block == r.blocks.end()) throw Error(fmt::format("sim: release of {}, which is no device allocation", p));
  const std::size_t bytes = block->second;
  r.blocks.erase(block);
  r.bytes -= bytes;
  if (r.range != nullptr) {
    poison(p, taken(bytes));
  } else {
    unpoison(p, taken(bytes));
    std::free(p);
  }
}

bool owns(const void* p) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return holds(r.blocks, p, false);
}

bool may_point_to(const void* p) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return holds(r.blocks, p, true);
}

bool is_host_memory(std::uintptr_t address) {
  Registry& r = registry();
  {
    const std::lock_guard lock(r.mutex);
    const auto range = reinterpret_cast<std::uintptr_t>(r.range);
    if (r.range == nullptr || address - range < r.range_bytes) return false;
  }
  // The kernel knows what is mapped. Pairs of small numbers look like addresses too low for a program.
  return address >= kLowestOfPrograms && address < kEndOfPrograms &&
         msync(reinterpret_cast<void*>(address & ~(kSmallestPage - 1)), 1, MS_ASYNC) == 0;
}

void* allocate_pinned(std::size_t bytes) {
  void* p = bytes <= kMostBytes ? std::aligned_alloc(kAlignment, taken(bytes)) : nullptr;
  if (p == nullptr) throw Error(fmt::format("sim: no host memory for {} bytes", bytes));
  std::memset(p, 0xff, bytes);
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  r.pinned.emplace(reinterpret_cast<std::uintptr_t>(p), bytes);
  return p;
}

void release_pinned(void* p) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (r.pinned.erase(reinterpret_cast<std::uintptr_t>(p)) != 0) std::free(p);
}

bool pinned(const void* p) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return holds(r.pinned, p, false);
}

std::size_t allocated_bytes() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return r.bytes;
}

}  // namespace akin::sim
