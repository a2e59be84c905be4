#include "kernels/channel_scale.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor channel_scale(Context& ctx, const Tensor& x, const Tensor& s) {
  check_rank(x, 4, "channel_scale", "images [N, H, W, C]");
  AKIN_CHECK(s.shape() == Shape({x.dim(0), x.dim(3)}) && s.dtype() == x.dtype(),
             "channel_scale: images {} {} need factors [{}, {}] of their type, found {} {}", name_of(x.dtype()),
             x.shape().str(), x.dim(0), x.dim(3), name_of(s.dtype()), s.shape().str());
  const ChannelScaleShape shape{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)};
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  if (!on_gpu(ctx, x.dtype(), "channel_scale", [&]<class T>(const auto& stream, T) {
        gpu::channel_scale_fwd(stream, shape, x.data<T>(), s.data<T>(), y.data<T>());
      }))
    by_type(x.dtype(), "channel_scale",
            [&]<class T>(T) { spec::channel_scale_fwd<T>(shape, x.data<T>(), s.data<T>(), y.data<T>()); });
  return record(ctx, "channel_scale", y, {x, s}, [shape, x = x.detach(), s = s.detach()](const Tensor& dy, Grads& d) {
    const auto sink = [&](std::size_t i) { return d.wanted(i) ? d.into(i) : Grads::Sink{Tensor(), Accum::overwrite}; };
    const Grads::Sink dx = sink(0), ds = sink(1);
    const auto operands = [&]<class T>(T) {
      return ChannelScaleBackward<T>{x.data<T>(),  s.data<T>(),
                                     dy.data<T>(), dx.buffer.defined() ? dx.buffer.data<T>() : nullptr,
                                     dx.mode,      ds.buffer.defined() ? ds.buffer.data<T>() : nullptr,
                                     ds.mode};
    };
    if (on_gpu(d.ctx(), dy.dtype(), "channel_scale",
               [&]<class T>(const auto& stream, T t) { gpu::channel_scale_bwd(stream, shape, operands(t)); }))
      return;
    by_type(dy.dtype(), "channel_scale", [&]<class T>(T t) { spec::channel_scale_bwd<T>(shape, operands(t)); });
  });
}

}  // namespace akin::ops
