#include "bench/op_bench.hpp"
#include "kernels/concat.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

const bool registered = [] {
  // A branch of GoogLeNet's first inception, an expansion of SqueezeNet, logits of one source among many.
  for (const ColumnsCopy& s :
       {ColumnsCopy{kBatch * 28 * 28, 128, 128, 256}, {kBatch * 15 * 15, 64, 64, 128}, {kBatch, 1000, 1000, 28000}}) {
    const std::int64_t part = s.rows * s.columns, whole = s.rows * s.y_stride;
    const std::string at = fmt::format("/{}x{} of {}", s.rows, s.columns, s.y_stride);
    add("fwd" + at, [=](benchmark::State& state) {
      Rotating<> t{part, whole};
      measure(state, copy_columns_work(s, sizeof(float)), [&] {
        copy_columns(kSpec, s, t[0], t[1], Accum::overwrite);
        t.next();
      });
    });
    add("bwd" + at, [=](benchmark::State& state) {
      Rotating<> t{part, whole};
      measure(state, copy_columns_work(s, sizeof(float)), [&] {
        copy_columns(kSpec, {s.rows, s.columns, s.y_stride, s.x_stride}, t[1], t[0], Accum::overwrite);
        t.next();
      });
    });
  }
  return true;
}();

}  // namespace
