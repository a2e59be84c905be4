// What a CUDA thread asks of its block: the barrier, shared memory, and an end with an error message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/common/error.hpp"

namespace akin::sim {

/// A kernel broke a rule of CUDA. The message names the kernel, its geometry, block, thread and source line, and what
/// every other thread of the block does.
class Error : public akin::Error {
 public:
  using akin::Error::Error;
};

/// A place in the kernel's text.
struct Site {
  const char* file;
  int line;
};

inline constexpr std::size_t kSharedPerBlock = 227 * 1024;       ///< static and dynamic together, bytes
inline constexpr std::size_t kStaticSharedPerBlock = 48 * 1024;  ///< nvcc refuses more
inline constexpr std::size_t kSharedAlignment = 128;

/// __syncthreads.
void block_barrier(Site site);

/// __threadfence, and the weaker ones. For the race checker every fence of a grid orders with every other.
void memory_fence();

/// The block's variable `key`: the same address for all its threads, filled with 0xFF (a NaN in every float type) when
/// first asked for.
void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment, const char* name, Site site);

/// The dynamic shared memory given at launch, aligned to kSharedAlignment and to no more.
void* dynamic_shared(Site site);

/// Whether `bytes` bytes from `p` on are in one variable of the block, or in its dynamic shared memory.
bool in_shared(const void* p, std::size_t bytes);

/// Lane of the calling thread in its warp, 0 to 31.
unsigned lane_index();

/// Ends the block; run_grid throws Error with the message. Nothing of the caller's stack is destroyed: it must hold no
/// memory of its own (`what` itself is taken care of).
[[noreturn]] void fail_thread(Site site, std::string what);

/// cp.async writes when the thread waits, the last moment CUDA allows. The copy itself is done in cuda.hpp, in code
/// that the sanitizers see as the kernel's.
struct AsyncCopy {
  void* to;
  const void* from;
  std::uint16_t bytes;  ///< 4 or 16
  bool real;            ///< false: write zeros
};
void async_copy_add(const AsyncCopy& copy);
void async_copy_commit();
/// The oldest group of copies while more than `groups` are under way, else nullptr. Valid until the next call.
const AsyncCopy* async_copy_take(std::size_t groups, std::size_t& copies);

}  // namespace akin::sim
