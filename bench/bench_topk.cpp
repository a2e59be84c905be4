#include "bench/op_bench.hpp"
#include "kernels/topk.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

// Logits of a batch: the five likeliest classes.
const bool registered = [] {
  for (const Activation& a : {Activation{256, 10}, {256, 100}, {256, 1000}, {256, 21841}})
    add("topk5/" + a.str(), [=](benchmark::State& state) {
      Rotating<> t{a.M * a.C, a.M * 5};
      std::vector<std::int64_t> index(static_cast<std::size_t>(a.M * 5));
      measure(state, {0, 4.0 * static_cast<double>(a.M * a.C) + 60.0 * static_cast<double>(a.M)}, [&] {
        spec::topk<float>(a.M, a.C, 5, t[0], t[1], index.data());
        t.next();
      });
    });
  return true;
}();

}  // namespace
