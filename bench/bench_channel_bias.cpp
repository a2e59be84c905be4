#include "bench/op_bench.hpp"
#include "kernels/channel_bias.hpp"

using namespace akin;

namespace {

const bool registered = [] {
  for (const bench::Activation& a : bench::kActivations)
    for (const Activation kind : {Activation::none, Activation::relu6, Activation::hardswish}) {
      const ChannelBiasShape s{a.M, a.C, kind};
      const std::int64_t n = a.M * a.C;
      const std::string at = std::string("/") + name_of(kind) + "/" + a.str();
      bench::add("fwd" + at, [=](benchmark::State& state) {
        bench::Rotating<> t{n, a.C, n};
        bench::measure(state, channel_bias_fwd_work(s, sizeof(float)), [&] {
          channel_bias_fwd(kSpec, s, t[0], t[1], t[2]);
          t.next();
        });
      });
      bench::add("bwd" + at, [=](benchmark::State& state) {
        bench::Rotating<> t{n, a.C, n, n};
        std::vector<float> dbias(static_cast<std::size_t>(a.C));
        const bool same = kind == Activation::none;  // the op passes dy on
        bench::measure(state, channel_bias_bwd_work(s, !same, sizeof(float)), [&] {
          channel_bias_bwd(kSpec, s,
                           ChannelBiasBackward<float>{.kept = same ? nullptr : t[0],
                                                      .bias = t[1],
                                                      .dy = t[2],
                                                      .dx = same ? nullptr : t[3],
                                                      .dbias = dbias.data()},
                           nullptr);
          t.next();
        });
      });
    }
  return true;
}();

}  // namespace
