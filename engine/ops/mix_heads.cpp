#include "kernels/mix_heads.hpp"

#include <concepts>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor mix_heads(Context& ctx, const Tensor& x, const Tensor& z, double share) {
  check_rank(x, 2, "mix_heads", "logits [B, C]");
  check_same(x, z, "mix_heads");
  AKIN_CHECK(x.dim(1) >= 1 && share >= 0 && share <= 1,
             "mix_heads: logits {} and a share of {}, expected classes and 0..1", x.shape().str(), share);
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  launch_on(ctx, x.dtype(), {"mix_heads", mix_heads_work(x.dim(0), x.dim(1), size_of(x.dtype()))},
            [&]<std::floating_point T>(const auto& stream, T) {
              akin::mix_heads(stream, x.dim(0), x.dim(1), share, x.data<T>(), z.data<T>(), y.data<T>());
            });
  const OpCall call{"mix_heads", {{"share", share}}};
  return record(ctx, call, y, {x, z},
                [](const Tensor&, Grads&) { fail("mix_heads: is for predictions and has no gradient"); });
}

}  // namespace akin::ops
