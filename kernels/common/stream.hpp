// The three devices that a kernel runs on, and what a call needs of its device. A stem declares each function once, as
// a template over the device; the Stream it is given chooses. <stem>.cpp defines it for Cpu: plain loops, the
// specification, or the fast path where the Stream allows one. <stem>.cu is compiled twice: by nvcc for Cuda, and by
// the host compiler for Sim, the emulator of common/sim. Each compilation instantiates its own device alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/common/bf16.hpp"

namespace akin {

namespace fast {
class OnednnCache;
}

struct Cpu {};
struct Cuda {};
struct Sim {};

/// What a launch must respect.
struct GpuLimits {
  int multiprocessors = 1;           ///< a persistent kernel starts a small multiple of this many blocks
  std::size_t shared_per_block = 0;  ///< bytes, dynamic and static together
};

/// Names of the kernels launched, in order; tests count them.
using LaunchLog = std::vector<std::string>;

/// A queue of kernels and copies on one device: done in the order they were put in. Cheap to copy; does not own.
template <class Dev>
struct Stream {
  void* handle = nullptr;  ///< Cuda: the cudaStream_t; Sim: the sim::Queue
  const GpuLimits* limits = nullptr;
  LaunchLog* log = nullptr;
};

/// The processor works at once, on the threads of common/parallel.hpp.
template <>
struct Stream<Cpu> {
  bool fast = false;                    ///< vectorised float and bf16 paths; false: plain loops everywhere
  fast::OnednnCache* onednn = nullptr;  ///< of conv2d and gemm; nullptr: plain loops there
};

/// The specification, by which every other path is tested: plain loops in float and double, and over bf16 in float.
inline constexpr Stream<Cpu> kSpec{};
/// The types that fast paths are made for; double has plain loops alone.
template <class T>
inline constexpr bool kFastType = std::is_same_v<Full<T>, float>;
/// The processor's fast paths, without oneDNN.
inline constexpr Stream<Cpu> kFast{.fast = true};

}  // namespace akin
