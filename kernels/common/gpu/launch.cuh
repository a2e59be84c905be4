// The launch door: the only place that starts a kernel. It checks the geometry, starts, and turns a failure into an
// Error with the kernel's name and geometry.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace akin {

#if defined(__CUDACC__)
/// Lets `kernel` ask for so much dynamic shared memory on the current card. Defined in cuda_device.cu.
cudaError_t allow_shared(const void* kernel, std::size_t bytes);
#endif

namespace {

/// Up to three sizes; converts from one.
struct Extent {
  std::int64_t x = 1, y = 1, z = 1;
  template <class Integer>
    requires std::is_integral_v<Integer>
  constexpr Extent(Integer n) : x(static_cast<std::int64_t>(n)) {}  // NOLINT: `.grid = n` reads best
  constexpr Extent(std::int64_t a, std::int64_t b, std::int64_t c = 1) : x(a), y(b), z(c) {}
  std::string str() const { return fmt::format("({}, {}, {})", x, y, z); }
};

struct LaunchShape {
  Extent grid = 1;   ///< blocks; a zero anywhere: nothing is started
  Extent block = 1;  ///< threads of a block
  std::size_t shared = 0;  ///< dynamic shared memory, bytes
};

inline void check_launch(const char* name, const LaunchShape& s, const GpuLimits& limits) {
  const auto inside = [](const Extent& e, std::int64_t x, std::int64_t yz) {
    return e.x <= x && e.y <= yz && e.z <= yz && e.x >= 0 && e.y >= 0 && e.z >= 0;
  };
  AKIN_CHECK(inside(s.grid, 0x7fffffff, 65535), "{}: a grid of {} blocks is outside (2147483647, 65535, 65535)", name,
             s.grid.str());
  AKIN_CHECK(inside(s.block, 1024, 1024) && s.block.z <= 64 && s.block.x * s.block.y * s.block.z <= 1024 &&
                 s.block.x * s.block.y * s.block.z >= 1,
             "{}: a block of {} threads; 1 to 1024 in all, at most 64 in z", name, s.block.str());
  AKIN_CHECK(s.shared <= limits.shared_per_block, "{}: {} bytes of shared memory, a block of this device has {}", name,
             s.shared, limits.shared_per_block);
}

/// Starts `kernel` on `stream`; the arguments are converted to its parameter types. Throws Error.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), const LaunchShape& s, const Stream<ThisGpu>& stream, A&&... a) {
  static_assert(sizeof...(P) == sizeof...(A), "a kernel gets as many arguments as it has parameters");
  static_assert(sizeof(std::tuple<P...>) <= 32764, "arguments of a kernel take at most 32764 bytes (CUDA 12.1)");
  check_launch(name, s, *stream.limits);
  if (s.grid.x == 0 || s.grid.y == 0 || s.grid.z == 0) return;
  if (stream.log != nullptr) stream.log->emplace_back(name);
  const auto dim = [](const Extent& e) {
    return dim3(static_cast<unsigned>(e.x), static_cast<unsigned>(e.y), static_cast<unsigned>(e.z));
  };
#if defined(__CUDACC__)
  const auto check = [&](cudaError_t error) {
    AKIN_CHECK(error == cudaSuccess, "{}: grid {}, block {}, {} bytes of shared memory: {}", name, s.grid.str(),
               s.block.str(), s.shared, cudaGetErrorString(error));
  };
  if (s.shared > 0)  // with what the kernel has of its own more than 48 KiB must be asked for
    check(allow_shared(reinterpret_cast<const void*>(kernel), s.shared));
  std::tuple<std::remove_cv_t<P>...> values{static_cast<P>(std::forward<A>(a))...};
  std::apply(
      [&](auto&... v) {
        void* pointers[] = {static_cast<void*>(&v)..., nullptr};
        check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim(s.grid), dim(s.block), pointers, s.shared,
                               static_cast<cudaStream_t>(stream.handle)));
      },
      values);
#else
  struct Call {
    void (*kernel)(P...);
    std::tuple<std::remove_cv_t<P>...> values;
  } call{kernel, {static_cast<P>(std::forward<A>(a))...}};
  sim::check_arguments(name, call.values);
  auto* queue = static_cast<sim::Queue*>(stream.handle);
  queue->submit([=, options = queue->options(), grid = dim(s.grid), block = dim(s.block), shared = s.shared]() mutable {
    sim::run_grid(
        name, grid, block, shared, options,
        [](void* p) {
          auto* c = static_cast<Call*>(p);
          std::apply(c->kernel, c->values);
        },
        &call);
  });
#endif
}

}  // namespace
}  // namespace akin
