// What a call of a kernel costs by its contract, whatever the path that does it. Every contract (kernels/<stem>.hpp)
// has functions that say so; benchmarks and profiles divide by them.
#pragma once

#include <cstdint>

namespace akin {

/// Floating-point operations (a multiply-add counts two), and bytes that must move between memory and processor.
struct Work {
  double flops = 0, bytes = 0;
  constexpr Work& operator+=(const Work& more) {
    flops += more.flops;
    bytes += more.bytes;
    return *this;
  }
};

/// Of `elements` elements: `flops` operations each, and `moved` reads and writes of `size` bytes.
constexpr Work elementwise_work(std::int64_t elements, double flops, double moved, std::size_t size) {
  const auto n = static_cast<double>(elements);
  return {flops * n, moved * static_cast<double>(size) * n};
}

/// A call as the engine launches it: what it is called in profiles, and what it costs. Neither can be left out.
struct KernelCall {
  constexpr KernelCall(const char* called, const Work& costs) : name(called), work(costs) {}
  const char* name;
  Work work;
};

}  // namespace akin
