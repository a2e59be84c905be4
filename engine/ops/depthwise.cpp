#include "kernels/depthwise.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

Tensor depthwise_conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
                        std::int64_t pad_end, ChannelMoments* moments) {
  check_rank(x, 4, "depthwise_conv2d", "input [N, H, W, C]");
  check_rank(w, 4, "depthwise_conv2d", "weight [C, R, S, 1]");
  AKIN_CHECK(x.dtype() == w.dtype() || (x.dtype() == DType::bf16 && w.dtype() == DType::f32),
             "depthwise_conv2d: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(w.dim(0) == x.dim(3) && w.dim(3) == 1,
             "depthwise_conv2d: input has {} channels, weight {} must be [{}, R, S, 1] (weights of another layer?)",
             x.dim(3), w.shape().str(), x.dim(3));
  pad_end = checked_padding(stride, pad, pad_end, "depthwise_conv2d");
  if (moments != nullptr) *moments = {};
  const DepthwiseShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(1), w.dim(2), stride, pad, pad_end};
  check_window(s, "depthwise_conv2d");
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.C}, x.dtype());
  const Work work = depthwise_work(s, size_of(x.dtype()));
  launch_on(ctx, x.dtype(), {"depthwise_conv2d", work}, [&]<class T>(const auto& stream, T) {
    PartMoments left = room_for(ctx, moments, [&] { return depthwise_moments(stream, s); });
    depthwise_fwd(stream, s, x.data<T>(), w.data<Full<T>>(), y.data<T>(), left.data == nullptr ? nullptr : &left);
    if (moments != nullptr) moments->parts = left.parts;
  });
  const OpCall call{"depthwise_conv2d", {{"stride", stride}, {"pad", pad}, {"pad_end", pad_end}}};
  return record(ctx, call, y, {x, w}, [s, work, x = x.detach(), w = w.detach()](const Tensor& dy, Grads& d) {
    if (d.wanted(1))
      launch_on(d.ctx(), dy.dtype(), {"depthwise_conv2d weight", work}, [&]<class T>(const auto& stream, T) {
        const Grads::Sink dw = d.into(1);
        const Tensor workspace = scratch_of(d.ctx(), depthwise_workspace(stream, s));
        depthwise_bwd_weight(stream, s, x.data<T>(), dy.data<T>(), dw.data<Full<T>>(), dw.mode,
                             or_null<float>(workspace));
      });
    if (d.wanted(0))
      launch_on(d.ctx(), dy.dtype(), {"depthwise_conv2d data", work}, [&]<class T>(const auto& stream, T) {
        const Grads::Sink dx = d.into(0);
        depthwise_bwd_data(stream, s, dy.data<T>(), w.data<Full<T>>(), dx.data<T>(), dx.mode);
      });
  });
}

}  // namespace akin::ops
