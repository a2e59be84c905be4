// A block's shared memory: an arena with red zones between the variables.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/common/sim/multiprocessor.hpp"
#include "kernels/common/sim/sanitizers.hpp"

namespace akin::sim {

namespace {

constexpr std::size_t kRedZone = 128;
// Room for the variables, and for the red zones and padding of up to 128 of them.
constexpr std::size_t kArenaBytes = 292 * 1024;
static_assert(kArenaBytes > kSharedPerBlock + sizeof(SyncObjects) + 2 * 128 * kRedZone && kArenaBytes % 4096 == 0);

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

/// Memory until the end of the block; nullptr when the arena is full. For the race checker every piece is new: memory
/// that Quiet hides has no history, so another block's accesses to the same bytes are no race.
/// Aligned as asked for and no better: an odd multiple of `alignment`.
char* take(Multiprocessor& sm, std::size_t bytes, std::size_t alignment) {
  if constexpr (kTsan) {
    const Quiet quiet;
    auto* p = static_cast<char*>(std::aligned_alloc(2 * alignment, round_up(bytes + alignment, 2 * alignment)));
    if (p == nullptr) return nullptr;
    sm.pieces.push_back(p);
    return p + alignment;
  }
  const std::size_t offset = round_up(sm.arena_used, 2 * alignment) + alignment;
  if (offset + bytes + kRedZone > kArenaBytes) return nullptr;
  sm.arena_used = offset + bytes + kRedZone;
  unpoison(sm.arena + offset, bytes);
  return sm.arena + offset;
}

void* reserve(Multiprocessor& sm, std::size_t bytes, std::size_t alignment, const char* name, Site site) {
  sm.shared_bytes = round_up(sm.shared_bytes, alignment) + bytes;
  char* p = sm.shared_bytes <= kSharedPerBlock ? take(sm, bytes, alignment) : nullptr;
  if (p == nullptr)
    fail_thread(site, fmt::format("{}: {} bytes of shared memory in all, a block has {}", name, sm.shared_bytes,
                                  kSharedPerBlock));
  const Quiet quiet;
  std::memset(p, 0xff, bytes);
  return p;
}

}  // namespace

Multiprocessor::~Multiprocessor() {
  if (arena != nullptr) unpoison(arena, kArenaBytes);
  std::free(arena);
  for (void* p : pieces) std::free(p);
}

void reset_shared(Multiprocessor& sm) {
  for (void* p : sm.pieces) std::free(p);
  sm.pieces.clear();
  if (!kTsan && sm.arena == nullptr) {
    sm.arena = static_cast<char*>(std::aligned_alloc(4096, kArenaBytes));
    if (sm.arena == nullptr) throw std::bad_alloc();
  }
  if (!kTsan) poison(sm.arena, kArenaBytes);
  sm.arena_used = kRedZone;
  sm.shared_bytes = sm.static_bytes = 0;
  sm.dynamic = nullptr;
  sm.variables.clear();
  sm.sync = reinterpret_cast<SyncObjects*>(take(sm, sizeof(SyncObjects), alignof(std::max_align_t)));
  if (sm.sync == nullptr) throw std::bad_alloc();
}

void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name, Site site) {
  Multiprocessor& sm = *current;
  for (const SharedVariable& v : sm.variables)
    if (v.key == key) return v.address;
  sm.static_bytes += bytes;
  if (sm.static_bytes > kStaticSharedPerBlock)
    fail_thread(site,
                fmt::format("{}: {} bytes of static shared memory in all, nvcc allows {}; use dynamic shared memory",
                            name, sm.static_bytes, kStaticSharedPerBlock));
  void* p = reserve(sm, bytes, std::max<std::size_t>(alignment, 16), name, site);
  const Quiet quiet;
  sm.variables.push_back({key, p, bytes});
  return p;
}

bool in_shared(const void* p, std::size_t bytes) {
  const Multiprocessor& sm = *current;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto inside = [&](const void* from, std::size_t size) {
    const auto start = reinterpret_cast<std::uintptr_t>(from);
    return address - start < size && size - (address - start) >= bytes;
  };
  if (inside(sm.dynamic, sm.dynamic != nullptr ? sm.dynamic_bytes : 0)) return true;
  return std::any_of(sm.variables.begin(), sm.variables.end(),
                     [&](const SharedVariable& v) { return inside(v.address, v.bytes); });
}

void* dynamic_shared(Site site) {
  Multiprocessor& sm = *current;
  if (sm.dynamic != nullptr) return sm.dynamic;
  if (sm.dynamic_bytes == 0) fail_thread(site, "dynamic shared memory is used, but the launch gave none");
  sm.dynamic = reserve(sm, sm.dynamic_bytes, kSharedAlignment, "dynamic shared memory", site);
  return sm.dynamic;
}

}  // namespace akin::sim
