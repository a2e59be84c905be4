#include "bench/op_bench.hpp"
#include "kernels/kd_multi.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  const std::vector<std::vector<std::int64_t>> banks{
      {10}, {10, 26, 26, 24, 10, 10}, {1000, 100, 200, 102, 37, 10, 120}, std::vector<std::int64_t>(28, 1000)};
  for (const auto& classes : banks)
    for (const bool fast : {true, false}) {
      const double T = 2;
      std::vector<std::int64_t> offset{0};
      for (const std::int64_t c : classes) offset.push_back(offset.back() + c);
      const auto S = static_cast<std::int64_t>(classes.size());
      add(fmt::format("{}/{}x{} of {} sources", fast ? "fast" : "spec", kBatch, offset.back(), S),
          [=](benchmark::State& state) {
            const std::int64_t n = kBatch * offset.back();
            const std::vector<double> alpha(static_cast<std::size_t>(S), 1.0 / static_cast<double>(S));
            Rotating<> t{n, n, n};
            const KdShape s{kBatch, S, offset.data(), alpha.data(), T};
            measure(state, kd_multi_work(s, true, sizeof(float)), [&] {
              float loss = 0;
              kd_multi(fast ? kFast : kSpec, s, t[0], t[1], t[2], nullptr, &loss);
              benchmark::DoNotOptimize(loss);
              t.next();
            });
          });
    }
  return true;
}();

}  // namespace
