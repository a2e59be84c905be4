#include "bench/op_bench.hpp"
#include "kernels/elementwise.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const Activation& a : kActivations) {
    const std::int64_t n = a.M * a.C;
    const std::string at = "/" + std::to_string(n);
    add("axpy" + at, [=](benchmark::State& state) {
      Rotating<> t{n, n};
      measure(state, axpy_work(n, Accum::overwrite, sizeof(float)), [&] {
        axpy(kSpec, n, 0.5, nullptr, t[0], t[1], Accum::overwrite);
        t.next();
      });
    });
    add("axpy_add" + at, [=](benchmark::State& state) {
      Rotating<> t{n, n};
      measure(state, axpy_work(n, Accum::add, sizeof(float)), [&] {
        axpy(kSpec, n, 1e-3, nullptr, t[0], t[1], Accum::add);
        t.next();
      });
    });
    add("add" + at, [=](benchmark::State& state) {
      Rotating<> t{n, n, n};
      measure(state, binary_work(n, sizeof(float)), [&] {
        add(kSpec, n, t[0], t[1], t[2]);
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
