#include "bench/op_bench.hpp"
#include "kernels/optim.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

// ResNet-8 w8, ResNet-8 w16, ResNet-20 w16, ResNet-18: parameters in round numbers.
const bool registered = [] {
  for (const std::int64_t n : {20'000, 77'000, 272'000, 11'200'000}) {
    const auto size = static_cast<double>(n);
    const std::string at = "/" + std::to_string(n);
    const OptimRange decay{0, n - n / 50, 5e-4};  // the rest: batch norm and biases
    add("sgd" + at, [=](benchmark::State& state) {
      Rotating<> t({n, n, n});
      const SgdStep step{.lr = 1e-6};
      measure(state, sgd_work(n, true), [&] {
        sgd_step(n, step, {&decay, 1}, t[0], t[1], t[2]);
        t.next();
      });
    });
    add("adamw" + at, [=](benchmark::State& state) {
      Rotating<> t({n, n, n, n});
      const AdamWStep step{.lr = 1e-6, .t = 100};
      measure(state, adamw_work(n), [&] {
        adamw_step(n, step, {&decay, 1}, t[0], t[1], t[2], t[3]);
        t.next();
      });
    });
    add("grad_norm" + at, [=](benchmark::State& state) {
      Rotating<> t{n};
      measure(state, {2 * size, 4 * size}, [&] {
        benchmark::DoNotOptimize(grad_norm(n, t[0]));
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
