#include "kernels/activation.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor activation(Context& ctx, const Tensor& x, Activation kind) {
  if (kind == Activation::none) return x;
  const char* op = name_of(kind);
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  launch_on(ctx, x.dtype(), {op, activation_fwd_work(kind, x.numel(), size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) { activation_fwd(stream, kind, x.numel(), x.data<T>(), y.data<T>()); });
  const Tensor kept = (keeps_output(kind) ? y : x).detach();
  return record(ctx, op, y, {x}, [kind, op, kept](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0);
    launch_on(d.ctx(), dy.dtype(), {op, activation_bwd_work(kind, dy.numel(), size_of(dy.dtype()))},
              [&]<class T>(const auto& stream, T) {
                activation_bwd(stream, kind, dy.numel(), kept.data<T>(), dy.data<T>(), dx.data<T>(), dx.mode);
              });
  });
}

Tensor relu(Context& ctx, const Tensor& x) { return activation(ctx, x, Activation::relu); }

}  // namespace akin::ops
