#include "kernels/channel_scale.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor channel_scale(Context& ctx, const Tensor& x, const Tensor& s) {
  check_rank(x, 4, "channel_scale", "images [N, H, W, C]");
  if (x.dtype() == DType::bf16 && s.dtype() == DType::f32) return channel_scale(ctx, x, convert(ctx, s, DType::bf16));
  AKIN_CHECK(s.shape() == Shape({x.dim(0), x.dim(3)}) && s.dtype() == x.dtype(),
             "channel_scale: images {} {} need factors [{}, {}] of their type, found {} {}", name_of(x.dtype()),
             x.shape().str(), x.dim(0), x.dim(3), name_of(s.dtype()), s.shape().str());
  const ChannelScaleShape shape{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)};
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  launch_on(
      ctx, x.dtype(), {"channel_scale", channel_scale_fwd_work(shape, size_of(x.dtype()))},
      [&]<class T>(const auto& stream, T) { channel_scale_fwd(stream, shape, x.data<T>(), s.data<T>(), y.data<T>()); });
  return record(ctx, "channel_scale", y, {x, s}, [shape, x = x.detach(), s = s.detach()](const Tensor& dy, Grads& d) {
    const Grads::Sink dx = d.into(0), ds = d.into(1);
    launch_on(d.ctx(), dy.dtype(), {"channel_scale", channel_scale_bwd_work(shape, size_of(dy.dtype()))},
              [&]<class T>(const auto& stream, T) {
                channel_scale_bwd(stream, shape,
                                  ChannelScaleBackward<T>{.x = x.data<T>(),
                                                          .s = s.data<T>(),
                                                          .dy = dy.data<T>(),
                                                          .dx = dx.data<T>(),
                                                          .dx_mode = dx.mode,
                                                          .ds = ds.data<T>(),
                                                          .ds_mode = ds.mode});
              });
  });
}

}  // namespace akin::ops
