#include "bench/op_bench.hpp"
#include "kernels/gram.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

std::size_t z(std::int64_t n) { return static_cast<std::size_t>(n); }

// N images of a probe, D features. GFLOP/s are of double here: half of the f32 roof.
const bool registered = [] {
  for (const Activation& a : {Activation{500, 64}, {500, 512}, {2000, 64}, {2000, 2048}})
    for (const bool fast : {true, false}) {
      if (!fast && a.M * a.C > 500 * 512) continue;
      const Stream<Cpu> stream = fast ? kFast : kSpec;
      const std::string path = fast ? "fast" : "spec", at = "/" + a.str();
      const auto N = static_cast<double>(a.M), D = static_cast<double>(a.C);
      add(path + "/xxt" + at, [=](benchmark::State& state) {
        Rotating<double> t{a.M * a.C, a.M * a.M};
        measure(state, {N * N * D, 8 * (N * D + N * N)}, [&] {
          const std::span<const double> x(t[0], z(a.M * a.C));
          const std::span<double> g(t[1], z(a.M * a.M));
          gram_xxt<double>(stream, a.M, a.C, x, g);
          t.next();
        });
      });
      add(path + "/xtx" + at, [=](benchmark::State& state) {
        Rotating<double> t{a.M * a.C, a.C * a.C};
        measure(state, {2 * N * D * D, 8 * (2 * N * D + D * D)}, [&] {
          const std::span<const double> x(t[0], z(a.M * a.C));
          const std::span<double> g(t[1], z(a.C * a.C));
          gram_xty<double>(stream, a.M, a.C, a.C, x, x, g);
          t.next();
        });
      });
    }
  return true;
}();

}  // namespace
