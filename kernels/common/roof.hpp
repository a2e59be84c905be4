// What this machine can do: bandwidth of a scaled copy and peak rate of fused multiply-adds, with as many threads as
// the kernels use. Benchmarks and profiles divide by them: the roofline of Williams, Waterman, Patterson, CACM 2009.
#pragma once

#include <cstdint>

namespace akin {

/// Bytes of the largest cache that a core sees; 32 MiB where the system does not say.
std::int64_t last_level_cache();

struct Roof {
  double bytes_per_s = 0;  ///< read and written bytes of y = a x, arrays of the last-level cache's size
  double flops_per_s = 0;  ///< f32, a fused multiply-add counts two
};

/// Measured once, in about half a second.
const Roof& roof();

}  // namespace akin
