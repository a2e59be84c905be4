// The two devices that run our CUDA kernels, and where a kernel is queued. Every <stem>.cu is compiled twice: by nvcc for
// Cuda, and by the host compiler for Sim, the emulator of common/sim. A stem declares its device functions once, as
// templates over the device, in namespace akin::gpu; overloads are chosen by the Stream they are given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace akin {

struct Cuda {};
struct Sim {};

/// What a launch must respect.
struct GpuLimits {
  int multiprocessors = 1;            ///< a persistent kernel starts a small multiple of this many blocks
  std::size_t shared_per_block = 0;  ///< bytes, dynamic and static together
};

/// Names of the kernels launched, in order; tests count them.
using LaunchLog = std::vector<std::string>;

/// A queue of kernels and copies on one device: done in the order they were put in. Cheap to copy; does not own.
template <class Gpu>
struct Stream {
  void* handle = nullptr;  ///< Cuda: the cudaStream_t; Sim: the sim::Queue
  const GpuLimits* limits = nullptr;
  LaunchLog* log = nullptr;
};

}  // namespace akin
