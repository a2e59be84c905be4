// Running a kernel: blocks are handed to OS threads, each of which plays one multiprocessor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/cuda_types.hpp"
#include "kernels/common/sim/schedule.hpp"

namespace akin::sim {

using Dim3 = cuda::dim3;

/// When the work of a stream is done. CUDA promises its order, and what events say; a correct host gives the same
/// results in every mode.
enum class Async {
  latest,  ///< when somebody waits for it
  random,  ///< one stream runs ahead of the others, chosen by the seed, now and then another; needs several seeds
  none,    ///< as it is queued, for a debugger: hides what the others find
};

struct Options {
  int os_threads = 1;  ///< blocks run at the same time; waking a second OS thread costs tens of microseconds
  Policy policy = Policy::fifo;
  std::uint64_t seed = 1;  ///< of Policy::pct and Async::random
  Async async = Async::latest;
  int multiprocessors = 2;  ///< that the device says it has: hosts plan their grids by it
};

/// Calls body(arguments) once for every CUDA thread and returns when all are done. Throws Error where the geometry is
/// outside a card's limits (1024 threads a block, 64 in z; 65535 blocks in y and z; 227 KiB of shared memory), or when
/// a thread broke a rule; the emulator is usable afterwards. Several OS threads may call it at once; a kernel may not.
void run_grid(const char* kernel_name, Dim3 grid, Dim3 block, std::size_t shared_bytes, const Options& options,
              void (*body)(void*), void* arguments);

}  // namespace akin::sim
