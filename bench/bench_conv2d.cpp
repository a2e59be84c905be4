#include "bench/op_bench.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/conv2d.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

enum class Pass { fwd, data, weight };

void run(benchmark::State& state, const Conv2dShape& s, Pass pass, bool fast) {
  Rotating<> t{s.x_size(), s.w_size(), s.y_size()};
  fast::OnednnCache cache;
  const Stream<Cpu> stream = fast ? Stream<Cpu>{true, &cache} : kSpec;
  measure(state, conv2d_work(s, sizeof(float)), [&] {
    float *x = t[0], *w = t[1], *y = t[2];
    const Accum mode = Accum::overwrite;
    if (pass == Pass::fwd)
      conv2d_fwd(stream, s, x, w, y);
    else if (pass == Pass::data)
      conv2d_bwd_data(stream, s, y, w, x, mode, nullptr);
    else
      conv2d_bwd_weight(stream, s, x, y, w, mode, nullptr);
    t.next();
  });
}

const bool registered = [] {
  for (const bool fast : {true, false})
    for (const auto& [pass, name] :
         {std::pair{Pass::fwd, "fwd"}, {Pass::data, "bwd_data"}, {Pass::weight, "bwd_weight"}})
      for (const Layer& l : kLayers) {
        if (!fast && &l != &kLayers.front() + 1) continue;  // the plain loops take their time: one shape shows it
        const Conv2dShape s{kBatch, l.side, l.side, l.C, l.K, 3, 3, l.stride, 1};
        add(fmt::format("{}/{}/{}", fast ? "fast" : "spec", name, l.str()),
            [=, p = pass](benchmark::State& state) { run(state, s, p, fast); });
      }
  return true;
}();

}  // namespace
