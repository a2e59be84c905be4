// Running a kernel: blocks are handed to OS threads, each of which plays one multiprocessor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/sim/block.hpp"
#include "kernels/common/sim/cuda_types.hpp"
#include "kernels/common/sim/schedule.hpp"

namespace akin::sim {

using Dim3 = cuda::dim3;

struct Options {
  int os_threads = 1;  ///< blocks run at the same time; waking a second OS thread costs tens of microseconds
  Policy policy = Policy::fifo;
  std::uint64_t seed = 1;  ///< of Policy::pct
};

/// Calls body(arguments) once for every CUDA thread and returns when all are done. Throws Error where the geometry is
/// outside a card's limits (1024 threads a block, 64 in z; 65535 blocks in y and z; 227 KiB of shared memory), or when
/// a thread broke a rule; the emulator is usable afterwards. Several OS threads may call it at once; a kernel may not.
void run_grid(const char* kernel_name, Dim3 grid, Dim3 block, std::size_t shared_bytes, const Options& options,
              void (*body)(void*), void* arguments);

}  // namespace akin::sim
