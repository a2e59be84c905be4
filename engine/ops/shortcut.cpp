#include "kernels/shortcut.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor shortcut_a(Context& ctx, const Tensor& x, std::int64_t stride, std::int64_t channels) {
  check_rank(x, 4, "shortcut_a", "images [N, H, W, C]");
  AKIN_CHECK(stride >= 1, "shortcut_a: stride {} must be at least 1", stride);
  const ShortcutShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), channels, stride};
  AKIN_CHECK(s.H >= 1 && s.W >= 1, "shortcut_a: images {} hold no pixel", x.shape().str());
  AKIN_CHECK(s.K >= s.C && (s.K - s.C) % 2 == 0,
             "shortcut_a: cannot grow {} channels to {} by as many zeros on both sides (use the 1x1 shortcut)", s.C,
             s.K);
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.K}, x.dtype());
  if (!on_gpu(ctx, x.dtype(), "shortcut_a",
              [&]<class T>(const auto& stream, T) { gpu::shortcut_a_fwd(stream, s, x.data<T>(), y.data<T>()); }))
    by_type(x.dtype(), "shortcut_a", [&]<class T>(T) { spec::shortcut_a_fwd<T>(s, x.data<T>(), y.data<T>()); });
  return record(ctx, {"shortcut_a", {{"stride", stride}}}, y, {x}, [s](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    if (on_gpu(d.ctx(), dy.dtype(), "shortcut_a", [&, m = mode, g = dx]<class T>(const auto& stream, T) {
          gpu::shortcut_a_bwd(stream, s, dy.data<T>(), g.template data<T>(), m);
        }))
      return;
    by_type(dy.dtype(), "shortcut_a",
            [&, m = mode, g = dx]<class T>(T) { spec::shortcut_a_bwd<T>(s, dy.data<T>(), g.template data<T>(), m); });
  });
}

}  // namespace akin::ops
