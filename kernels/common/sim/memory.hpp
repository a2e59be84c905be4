// Memory of the emulated device: 256-byte aligned as from cudaMalloc, filled with 0xFF (a NaN in every float type), and
// under ASan fenced to the byte.
#pragma once

#include <cstddef>

namespace akin::sim {

/// Throws Error when there is no memory (or, closed to the host, when the reserved range is full).
void* allocate(std::size_t bytes);
/// Gives back what allocate() returned; nullptr is nothing. Throws Error for any other pointer.
void release(void* p);
/// True when `p` points into a live allocation.
bool owns(const void* p);
/// Bytes asked for and not yet released.
std::size_t allocated_bytes();

/// Closed to the host: all allocations come from one range of `bytes` of address space that can be touched only while a
/// HostAccess lives, that is while a kernel or a copy runs. Host code that touches device memory then gets SIGSEGV, as
/// it would with a GPU. For tests. Throws Error while allocations live. 0 opens the memory again, the default.
void close_to_host(std::size_t bytes);

/// Lets this process touch closed memory while any such object lives; does nothing when the memory is not closed.
class HostAccess {
 public:
  HostAccess();
  ~HostAccess();
  HostAccess(const HostAccess&) = delete;
  HostAccess& operator=(const HostAccess&) = delete;
};

}  // namespace akin::sim
