// Memory of the emulated device: 256-byte aligned as from cudaMalloc, filled with 0xFF (a NaN in every float type), and
// under ASan fenced to the byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace akin::sim {

/// Throws Error when there is no memory (or, closed to the host, when the reserved range is full).
void* allocate(std::size_t bytes);
/// Gives back what allocate() returned; nullptr is nothing. Throws Error for any other pointer.
void release(void* p);
/// True when `p` points into a live allocation.
bool owns(const void* p);
/// The same, or to its end: what a kernel may be given.
bool may_point_to(const void* p);
/// True when the number is the address of something in this process that is not device memory. Known while that memory
/// is closed to the host; false else.
bool is_host_memory(std::uintptr_t address);
/// Bytes asked for and not yet released.
std::size_t allocated_bytes();

/// Host memory that a device copies without a stage, filled with 0xFF. Throws Error.
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* p);
bool pinned(const void* p);

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
