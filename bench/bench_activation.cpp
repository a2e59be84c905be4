#include "bench/op_bench.hpp"
#include "kernels/activation.hpp"

using namespace akin;

namespace {

const bool registered = [] {
  for (const bench::Activation& a : bench::kActivations)
    for (const Activation kind :
         {Activation::relu, Activation::relu6, Activation::hardswish, Activation::hardsigmoid}) {
      const std::int64_t n = a.M * a.C;
      const std::string at = "/" + std::to_string(n);
      bench::add(std::string(name_of(kind)) + "_fwd" + at, [=](benchmark::State& state) {
        bench::Rotating<> t{n, n};
        bench::measure(state, activation_fwd_work(kind, n, sizeof(float)), [&] {
          activation_fwd(kSpec, kind, n, t[0], t[1]);
          t.next();
        });
      });
      bench::add(std::string(name_of(kind)) + "_bwd" + at, [=](benchmark::State& state) {
        bench::Rotating<> t{n, n, n};
        bench::measure(state, activation_bwd_work(kind, n, sizeof(float)), [&] {
          activation_bwd(kSpec, kind, n, t[0], t[1], t[2], Accum::overwrite);
          t.next();
        });
      });
    }
  return true;
}();

}  // namespace
