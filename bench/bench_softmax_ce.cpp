#include "bench/op_bench.hpp"
#include "kernels/softmax_ce.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const Activation& a : {Activation{64, 10}, {kBatch, 10}, {kBatch, 100}, {kBatch, 1000}, {10000, 10}})
    for (const bool fast : {true, false}) {
      const Stream<Cpu> stream = fast ? kFast : kSpec;
      const std::string path = fast ? "fast/" : "spec/";
      const auto targets = [a] {
        std::vector<std::int64_t> t;
        for (std::int64_t b = 0; b < a.M; ++b) t.push_back(b * 7 % a.C);
        return t;
      };
      add(path + "fwd/" + a.str(), [=](benchmark::State& state) {
        Rotating<> t{a.M * a.C, a.M};
        measure(state, softmax_ce_fwd_work(a.M, a.C, sizeof(float)), [&, hit = targets()] {
          softmax_ce_fwd(stream, a.M, a.C, t[0], hit.data(), nullptr, t[1]);
          t.next();
        });
      });
      add(path + "bwd/" + a.str(), [=](benchmark::State& state) {
        Rotating<> t{a.M * a.C, a.M, a.M * a.C};
        measure(state, softmax_ce_bwd_work(a.M, a.C, sizeof(float)), [&, hit = targets()] {
          softmax_ce_bwd(stream, a.M, a.C, t[0], hit.data(), nullptr, t[1], t[2], Accum::overwrite);
          t.next();
        });
      });
    }
  return true;
}();

}  // namespace
