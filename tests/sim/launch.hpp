// Starting a kernel in the emulator from a test.
#pragma once

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "kernels/common/sim/grid.hpp"
#include "kernels/common/sim/memory.hpp"

namespace akin::test {

/// Calls `kernel` with `arguments`, converted to its parameter types, for every thread of the grid.
template <class... P, class... A>
void sim_launch(const char* name, void (*kernel)(P...), sim::Dim3 grid, sim::Dim3 block, std::size_t shared,
                const sim::Options& options, A... arguments) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> values;
  } call{kernel, {arguments...}};
  sim::run_grid(
      name, grid, block, shared, options,
      [](void* p) {
        auto* c = static_cast<Call*>(p);
        std::apply(c->kernel, c->values);
      },
      &call);
}

/// An array in device memory that host code may look into: while one lives, device memory is open.
template <class T>
class SimArray {
 public:
  explicit SimArray(int n) : n_(n), p_(static_cast<T*>(sim::allocate(sizeof(T) * static_cast<std::size_t>(n)))) {}
  template <class F>
  SimArray(int n, F&& value) : SimArray(n) {
    for (int i = 0; i < n; ++i) p_[i] = value(i);
  }
  ~SimArray() { sim::release(p_); }
  SimArray(const SimArray&) = delete;
  SimArray& operator=(const SimArray&) = delete;
  T* get() const { return p_; }
  T& operator[](int i) const { return p_[i]; }
  int size() const { return n_; }
  T* begin() const { return p_; }
  T* end() const { return p_ + n_; }

 private:
  sim::HostAccess open_;
  int n_;
  T* p_;
};

}  // namespace akin::test
