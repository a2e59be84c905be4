#include "bench/op_bench.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/gemm.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

// The three products of a linear layer of B rows, D features, K outputs; the last is the heads of six sources at once.
const bool registered = [] {
  const std::int64_t sizes[][3] = {{kBatch, 64, 10}, {kBatch, 32, 10}, {kBatch, 32, 140}, {kBatch, 512, 1000}};
  for (const auto& z : sizes) {
    const std::int64_t B = z[0], D = z[1], K = z[2];
    const std::pair<const char*, GemmShape> products[] = {{"y", {B, K, D, Trans::no, Trans::yes}},
                                                          {"dx", {B, D, K, Trans::no, Trans::no}},
                                                          {"dw", {K, D, B, Trans::yes, Trans::no}}};
    for (const auto& [what, shape] : products)
      for (const bool fast : {true, false})
        add(fmt::format("{}/{}/{}x{}->{}", fast ? "fast" : "spec", what, B, D, K),
            [=, s = shape](benchmark::State& state) {
              Rotating<> t({s.M * s.K, s.K * s.N, s.M * s.N}, true);  // small and used at once: warm
              fast::OnednnCache cache;
              const Stream<Cpu> stream = fast ? Stream<Cpu>{true, &cache} : kSpec;
              measure(state, gemm_work(s, sizeof(float), sizeof(float)),
                      [&] { gemm(stream, s, 1.0, t[0], t[1], nullptr, t[2], Accum::overwrite, nullptr); });
            });
  }
  return true;
}();

}  // namespace
