#include "bench/op_bench.hpp"
#include "kernels/depthwise.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

enum class Pass { fwd, data, weight };

void run(benchmark::State& state, const DepthwiseShape& s, Pass pass, bool fast) {
  Rotating<> t{s.x_size(), s.w_size(), s.y_size()};
  const Stream<Cpu>& stream = fast ? kFast : kSpec;
  measure(state, depthwise_work(s, sizeof(float)), [&] {
    float *x = t[0], *w = t[1], *y = t[2];
    const Accum mode = Accum::overwrite;
    if (pass == Pass::fwd)
      depthwise_fwd(stream, s, x, w, y);
    else if (pass == Pass::data)
      depthwise_bwd_data(stream, s, y, w, x, mode);
    else
      depthwise_bwd_weight(stream, s, x, y, w, mode, nullptr);
    t.next();
  });
}

const bool registered = [] {
  for (const bool fast : {true, false})
    for (const auto& [pass, name] :
         {std::pair{Pass::fwd, "fwd"}, {Pass::data, "bwd_data"}, {Pass::weight, "bwd_weight"}})
      // Layers of MobileNets on 32x32 and 64x64 images, the last two on 224x224.
      for (const DepthwiseShape& s : {DepthwiseShape{kBatch, 16, 16, 8, 3, 3, 1, 1},
                                      {kBatch, 16, 16, 32, 3, 3, 1, 1},
                                      {kBatch, 16, 16, 96, 3, 3, 2, 1},
                                      {kBatch, 8, 8, 144, 3, 3, 1, 1},
                                      {kBatch, 8, 8, 72, 5, 5, 2, 2},
                                      {kBatch, 4, 4, 240, 5, 5, 1, 2},
                                      {kBatch, 4, 4, 384, 3, 3, 1, 1},
                                      {8, 112, 112, 32, 3, 3, 1, 1},
                                      {8, 28, 28, 120, 5, 5, 1, 2}})
        add(fmt::format("{}/{}/{}x{}x{}x{} window {}/{}", fast ? "fast" : "spec", name, s.N, s.H, s.W, s.C, s.R,
                        s.stride),
            [=, p = pass](benchmark::State& state) { run(state, s, p, fast); });
  return true;
}();

}  // namespace
