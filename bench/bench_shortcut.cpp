#include "bench/op_bench.hpp"
#include "kernels/shortcut.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const ShortcutShape& s :
       {ShortcutShape{kBatch, 28, 28, 16, 32, 2}, {kBatch, 32, 32, 16, 32, 2}, {kBatch, 16, 16, 32, 64, 2}}) {
    const std::int64_t nx = s.N * s.H * s.W * s.C, ny = s.N * s.P() * s.Q() * s.K;
    const std::string at = fmt::format("/{}x{}x{}->{}", s.H, s.W, s.C, s.K);
    add("fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, shortcut_a_fwd_work(s, sizeof(float)), [&] {
        shortcut_a_fwd(kSpec, s, t[0], t[1]);
        t.next();
      });
    });
    add("bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, shortcut_a_bwd_work(s, sizeof(float)), [&] {
        shortcut_a_bwd(kSpec, s, t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
