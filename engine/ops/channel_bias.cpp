#include "kernels/channel_bias.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

namespace {

/// What the backward rule keeps: y or x of kind T, and where it must work out x + bias again, the bias.
struct Kept {
  ChannelBiasShape shape;
  Tensor value, bias;
};

/// The operands in T, bias and its gradient in P.
template <class T, class P>
ChannelBiasBackward<T, P> operands(const Kept& kept, const Tensor& dy, const Grads::Sink& dx,
                                   const Grads::Sink& dbias) {
  return {kept.value.defined() ? kept.value.data<T>() : nullptr,
          kept.bias.defined() ? kept.bias.data<P>() : nullptr,
          dy.data<T>(),
          dx.buffer.defined() ? dx.buffer.data<T>() : nullptr,
          dx.mode,
          dbias.buffer.defined() ? dbias.buffer.data<P>() : nullptr,
          dbias.mode};
}

void backward(const Kept& kept, const Tensor& dy, Grads& d) {
  // Without an activation the gradient passes as it is.
  const bool same = kept.shape.kind == Activation::none;
  if (same && d.wanted(0)) d.add(0, dy);
  const auto sink = [&](std::size_t i, bool write) {
    return write && d.wanted(i) ? d.into(i) : Grads::Sink{Tensor(), Accum::overwrite};
  };
  const Grads::Sink dx = sink(0, !same), dbias = sink(1, true);
  if (!dx.buffer.defined() && !dbias.buffer.defined()) return;
  if (on_gpu(d.ctx(), dy.dtype(), "channel_bias", [&]<class T>(const auto& stream, T) {
        const Tensor scratch =
            dbias.buffer.defined() ? Tensor::empty(d.ctx(), {gpu::channel_bias_scratch(stream, kept.shape)}) : Tensor();
        gpu::channel_bias_bwd(stream, kept.shape, operands<T, float>(kept, dy, dx, dbias),
                              scratch.defined() ? scratch.data<float>() : nullptr);
      }))
    return;
  by_type(dy.dtype(), "channel_bias",
          [&]<class T>(T) { spec::channel_bias_bwd<T>(kept.shape, operands<T, T>(kept, dy, dx, dbias)); });
}

}  // namespace

Tensor channel_bias(Context& ctx, const Tensor& x, const Tensor& bias, Activation kind) {
  AKIN_CHECK(
      x.shape().rank() >= 1 && bias.shape().rank() == 1 && bias.dim(0) == x.dim(static_cast<int>(x.shape().rank()) - 1),
      "channel_bias: input {} has other channels than bias {}", x.shape().str(), bias.shape().str());
  AKIN_CHECK(x.dtype() == bias.dtype() || (x.dtype() == DType::bf16 && bias.dtype() == DType::f32),
             "channel_bias: input is {}, bias {}", name_of(x.dtype()), name_of(bias.dtype()));
  const std::int64_t C = bias.dim(0);
  const ChannelBiasShape s{C == 0 ? 0 : x.numel() / C, C, kind};
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  if (!on_gpu(ctx, x.dtype(), "channel_bias", [&]<class T>(const auto& stream, T) {
        gpu::channel_bias_fwd(stream, s, x.data<T>(), bias.data<float>(), y.data<T>());
      }))
    by_type(x.dtype(), "channel_bias",
            [&]<class T>(T) { spec::channel_bias_fwd<T>(s, x.data<T>(), bias.data<T>(), y.data<T>()); });
  Kept kept{s, Tensor(), Tensor()};
  if (keeps_output(kind))
    kept.value = y.detach();
  else if (kind != Activation::none)
    kept.value = x.detach(), kept.bias = bias.detach();
  const OpCall call{"channel_bias", {{"kind", kind}}};
  return record(ctx, call, y, {x, bias}, [kept](const Tensor& dy, Grads& d) { backward(kept, dy, d); });
}

}  // namespace akin::ops
