#include "kernels/channel_bias.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor channel_bias(Context& ctx, const Tensor& x, const Tensor& bias, Activation kind) {
  AKIN_CHECK(
      x.shape().rank() >= 1 && bias.shape().rank() == 1 && bias.dim(0) == x.dim(static_cast<int>(x.shape().rank()) - 1),
      "channel_bias: input {} has other channels than bias {}", x.shape().str(), bias.shape().str());
  AKIN_CHECK(x.dtype() == bias.dtype() || (x.dtype() == DType::bf16 && bias.dtype() == DType::f32),
             "channel_bias: input is {}, bias {}", name_of(x.dtype()), name_of(bias.dtype()));
  const std::int64_t C = bias.dim(0);
  const ChannelBiasShape s{C == 0 ? 0 : x.numel() / C, C, kind};
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  launch_on(ctx, x.dtype(), {"channel_bias", channel_bias_fwd_work(s, size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) {
              channel_bias_fwd(stream, s, x.data<T>(), bias.data<Full<T>>(), y.data<T>());
            });
  // What the backward reads: y or x, and where it must work out x + bias again, the bias.
  const bool changes = kind != Activation::none;
  const Tensor kept = !changes ? Tensor() : keeps_output(kind) ? y.detach() : x.detach();
  const Tensor shift = changes && !keeps_output(kind) ? bias.detach() : Tensor();
  const OpCall call{"channel_bias", {{"kind", kind}}};
  return record(ctx, call, y, {x, bias}, [s, changes, kept, shift](const Tensor& dy, Grads& d) {
    // Without an activation the gradient passes as it is.
    if (!changes && d.wanted(0)) d.add(0, dy);
    const Grads::Sink dx = changes ? d.into(0) : Grads::Sink{}, dbias = d.into(1);
    if (!dx.wanted() && !dbias.wanted()) return;
    const Work work = channel_bias_bwd_work(s, dx.wanted(), size_of(dy.dtype()));
    launch_on(d.ctx(), dy.dtype(), {"channel_bias", work}, [&]<class T>(const auto& stream, T) {
      const Tensor scratch = scratch_of(d.ctx(), dbias.wanted() ? channel_bias_scratch(stream, s) : 0);
      channel_bias_bwd(stream, s,
                       ChannelBiasBackward<T>{.kept = or_null<T>(kept),
                                              .bias = or_null<Full<T>>(shift),
                                              .dy = dy.data<T>(),
                                              .dx = dx.data<T>(),
                                              .dx_mode = dx.mode,
                                              .dbias = dbias.data<Full<T>>(),
                                              .dbias_mode = dbias.mode},
                       or_null<float>(scratch));
    });
  });
}

}  // namespace akin::ops
