#include "kernels/activation.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor activation(Context& ctx, const Tensor& x, Activation kind) {
  if (kind == Activation::none) return x;
  const char* op = name_of(kind);
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  if (!on_gpu(ctx, x.dtype(), op, [&]<class T>(const auto& stream, T) {
        gpu::activation_fwd(stream, kind, x.numel(), x.data<T>(), y.data<T>());
      }))
    by_type(x.dtype(), op, [&]<class T>(T) { spec::activation_fwd<T>(kind, x.numel(), x.data<T>(), y.data<T>()); });
  const Tensor kept = (keeps_output(kind) ? y : x).detach();
  return record(ctx, op, y, {x}, [kind, op, kept](const Tensor& dy, Grads& d) {
    const auto [dx, mode] = d.into(0);
    if (on_gpu(d.ctx(), dy.dtype(), op, [&, m = mode, g = dx]<class T>(const auto& stream, T) {
          gpu::activation_bwd(stream, kind, dy.numel(), kept.data<T>(), dy.data<T>(), g.template data<T>(), m);
        }))
      return;
    by_type(dy.dtype(), op, [&, m = mode, g = dx]<class T>(T) {
      spec::activation_bwd<T>(kind, dy.numel(), kept.data<T>(), dy.data<T>(), g.template data<T>(), m);
    });
  });
}

Tensor relu(Context& ctx, const Tensor& x) { return activation(ctx, x, Activation::relu); }

}  // namespace akin::ops
