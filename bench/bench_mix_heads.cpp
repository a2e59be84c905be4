#include "bench/op_bench.hpp"
#include "kernels/mix_heads.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const Activation& a : {Activation{kBatch, 10}, {kBatch, 100}, {kBatch, 1000}, {10000, 20}}) {
    add("fwd/" + a.str(), [=](benchmark::State& state) {
      Rotating<> t{a.M * a.C, a.M * a.C, a.M * a.C};
      measure(state, mix_heads_work(a.M, a.C, sizeof(float)), [&] {
        mix_heads(kSpec, a.M, a.C, 0.8, t[0], t[1], t[2]);
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
