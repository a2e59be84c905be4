#include "bench/op_bench.hpp"
#include "kernels/reduce.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const std::int64_t n : {kBatch, kBatch * 10, kBatch * 28 * 28 * 16})
    add("sum/" + std::to_string(n), [=](benchmark::State& state) {
      Rotating<> t{n};
      measure(state, sum_work(n, sizeof(float)), [&] {
        double total = 0;
        sum(kSpec, n, 1.0, t[0], nullptr, &total);
        benchmark::DoNotOptimize(total);
        t.next();
      });
    });
  for (const Activation& a : {Activation{kBatch, 10}, {kBatch, 257}, {10000, 64}})
    add("col_sum/" + a.str(), [=](benchmark::State& state) {
      Rotating<> t{a.M * a.C, a.C};
      measure(state, sum_work(a.M * a.C, sizeof(float)), [&] {
        col_sum(kSpec, a.M, a.C, t[0], nullptr, t[1], Accum::overwrite);
        t.next();
      });
    });
  return true;
}();

}  // namespace
