#include "bench/op_bench.hpp"
#include "kernels/pool.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  for (const PoolShape& s : {PoolShape{kBatch, 28, 28, 16, 2, 2, 0}, {kBatch, 32, 32, 64, 3, 2, 1}}) {
    const std::int64_t nx = s.N * s.H * s.W * s.C, ny = s.N * s.P() * s.Q() * s.C;
    const std::string at = fmt::format("/{}x{}x{} window {}", s.H, s.W, s.C, s.window);
    add("max_fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      std::vector<std::int32_t> winner(static_cast<std::size_t>(ny));
      measure(state, pool_work(s, true, sizeof(float)), [&] {
        max_pool_fwd(kSpec, s, t[0], t[1], winner.data());
        t.next();
      });
    });
    add("max_bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      std::vector<std::int32_t> winner(static_cast<std::size_t>(ny));
      max_pool_fwd(kSpec, s, t[0], t[1], winner.data());
      measure(state, pool_work(s, true, sizeof(float)), [&] {
        max_pool_bwd(kSpec, s, winner.data(), t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
    add("avg_fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, pool_work(s, false, sizeof(float)), [&] {
        avg_pool_fwd(kSpec, s, t[0], t[1]);
        t.next();
      });
    });
    add("avg_bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, pool_work(s, false, sizeof(float)), [&] {
        avg_pool_bwd(kSpec, s, t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
  }
  for (const AdaptivePoolShape& s : {AdaptivePoolShape{kBatch, 13, 13, 64, 6, 6}, {kBatch, 1, 1, 256, 6, 6}}) {
    const std::int64_t nx = s.N * s.H * s.W * s.C, ny = s.N * s.P * s.Q * s.C;
    const Work cost = adaptive_avg_pool_work(s, sizeof(float));
    const std::string at = fmt::format("/{}x{}x{} to {}x{}", s.H, s.W, s.C, s.P, s.Q);
    add("adaptive_fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, cost, [&] {
        adaptive_avg_pool_fwd(kSpec, s, t[0], t[1]);
        t.next();
      });
    });
    add("adaptive_bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{nx, ny};
      measure(state, cost, [&] {
        adaptive_avg_pool_bwd(kSpec, s, t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
  }
  for (const std::int64_t side : {7, 8}) {
    const std::int64_t n = kBatch * side * side * 64;
    const Work cost = global_avg_pool_work(kBatch, side * side, 64, sizeof(float));
    add(fmt::format("global_fwd/{}x{}x64", side, side), [=](benchmark::State& state) {
      Rotating<> t{n, kBatch * 64};
      measure(state, cost, [&] {
        global_avg_pool_fwd(kSpec, kBatch, side * side, 64, t[0], t[1]);
        t.next();
      });
    });
    add(fmt::format("global_bwd/{}x{}x64", side, side), [=](benchmark::State& state) {
      Rotating<> t{n, kBatch * 64};
      measure(state, cost, [&] {
        global_avg_pool_bwd(kSpec, kBatch, side * side, 64, t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
