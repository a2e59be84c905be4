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
constexpr std::size_t kArenaBytes = sizeof(SyncObjects) + kSharedPerBlock + 256 * kRedZone;

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

void* reserve(Multiprocessor& sm, std::size_t bytes, std::size_t alignment, const char* name, Site site) {
  const std::size_t offset = round_up(sm.arena_used, alignment);
  sm.shared_bytes = round_up(sm.shared_bytes, alignment) + bytes;
  if (sm.shared_bytes > kSharedPerBlock || offset + bytes + kRedZone > round_up(kArenaBytes, 4096))
    fail_thread(site, fmt::format("{}: {} bytes of shared memory in all, a block has {}", name, sm.shared_bytes,
                                  kSharedPerBlock));
  sm.arena_used = offset + bytes + kRedZone;
  char* p = sm.arena + offset;
  unpoison(p, bytes);
  std::memset(p, 0xff, bytes);
  return p;
}

}  // namespace

Multiprocessor::~Multiprocessor() {
  unpoison(arena, arena != nullptr ? round_up(kArenaBytes, 4096) : 0);
  std::free(arena);
}

void reset_shared(Multiprocessor& sm) {
  const std::size_t bytes = round_up(kArenaBytes, 4096);
  if (kTsan) {  // new memory has no history: another block's accesses to the same bytes are no race
    std::free(sm.arena);
    sm.arena = nullptr;
  }
  if (sm.arena == nullptr) {
    sm.arena = static_cast<char*>(std::aligned_alloc(4096, bytes));
    if (sm.arena == nullptr) throw std::bad_alloc();
  }
  sm.sync = reinterpret_cast<SyncObjects*>(sm.arena);
  sm.arena_used = sizeof(SyncObjects) + kRedZone;
  poison(sm.arena + sizeof(SyncObjects), bytes - sizeof(SyncObjects));
  sm.shared_bytes = sm.static_bytes = 0;
  sm.dynamic = nullptr;
  sm.variables.clear();
}

void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name, Site site) {
  Multiprocessor& sm = *current;
  for (const SharedVariable& v : sm.variables)
    if (v.key == key) return v.address;
  const Quiet quiet;
  sm.static_bytes += bytes;
  if (sm.static_bytes > kStaticSharedPerBlock)
    fail_thread(site,
                fmt::format("{}: {} bytes of static shared memory in all, nvcc allows {}; use dynamic shared memory",
                            name, sm.static_bytes, kStaticSharedPerBlock));
  void* p = reserve(sm, bytes, std::max<std::size_t>(alignment, 16), name, site);
  sm.variables.push_back({key, p});
  return p;
}

void* dynamic_shared(Site site) {
  Multiprocessor& sm = *current;
  if (sm.dynamic != nullptr) return sm.dynamic;
  const Quiet quiet;
  if (sm.dynamic_bytes == 0) fail_thread(site, "dynamic shared memory is used, but the launch gave none");
  sm.dynamic = reserve(sm, sm.dynamic_bytes, kSharedAlignment, "dynamic shared memory", site);
  return sm.dynamic;
}

}  // namespace akin::sim
