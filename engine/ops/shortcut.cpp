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
  launch_on(ctx, x.dtype(), {"shortcut_a", shortcut_a_fwd_work(s, size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) { shortcut_a_fwd(stream, s, x.data<T>(), y.data<T>()); });
  return record(ctx, {"shortcut_a", {{"stride", stride}}}, y, {x}, [s](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(d.ctx(), dy.dtype(), {"shortcut_a", shortcut_a_bwd_work(s, size_of(dy.dtype()))},
              [&]<class T>(const auto& stream, T) { shortcut_a_bwd(stream, s, dy.data<T>(), dx.data<T>(), dx.mode); });
  });
}

}  // namespace akin::ops
