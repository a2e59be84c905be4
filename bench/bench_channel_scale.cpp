#include "bench/op_bench.hpp"
#include "kernels/channel_scale.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  // Gates of MobileNetV3 on 32x32 and 224x224 images.
  for (const ChannelScaleShape& s :
       {ChannelScaleShape{kBatch, 8 * 8, 72}, {kBatch, 4 * 4, 240}, {16, 28 * 28, 120}, {16, 7 * 7, 960}}) {
    const std::int64_t n = s.N * s.pixels * s.C, gates = s.N * s.C;
    const std::string at = fmt::format("/{}x{}x{}", s.N, s.pixels, s.C);
    add("fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{n, gates, n};
      measure(state, channel_scale_fwd_work(s, sizeof(float)), [&] {
        channel_scale_fwd(kSpec, s, t[0], t[1], t[2]);
        t.next();
      });
    });
    add("bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{n, gates, n, n, gates};
      measure(state, channel_scale_bwd_work(s, sizeof(float)), [&] {
        channel_scale_bwd(kSpec, s,
                          ChannelScaleBackward<float>{.x = t[0], .s = t[1], .dy = t[2], .dx = t[3], .ds = t[4]});
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
