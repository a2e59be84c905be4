#include "kernels/depthwise.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"

namespace akin::ops {

namespace {

void weight_gradient(Context& ctx, const DepthwiseShape& s, const Tensor& x, const Tensor& dy, const Grads::Sink& dw) {
  if (on_gpu(ctx, dy.dtype(), "depthwise_conv2d", [&]<class T>(const auto& stream, T) {
        const Tensor workspace = Tensor::empty(ctx, {gpu::depthwise_workspace(stream, s)});
        gpu::depthwise_bwd_weight(stream, s, x.data<T>(), dy.data<T>(), dw.buffer.data<float>(), dw.mode,
                                  workspace.data<float>());
      }))
    return;
  if (fast_path(ctx, dy))
    return fast::depthwise_bwd_weight(s, x.data<float>(), dy.data<float>(), dw.buffer.data<float>(), dw.mode);
  by_type(dy.dtype(), "depthwise_conv2d", [&]<class T>(T) {
    spec::depthwise_bwd_weight<T>(s, x.data<T>(), dy.data<T>(), dw.buffer.data<T>(), dw.mode);
  });
}

void data_gradient(Context& ctx, const DepthwiseShape& s, const Tensor& dy, const Tensor& w, const Grads::Sink& dx) {
  if (on_gpu(ctx, dy.dtype(), "depthwise_conv2d", [&]<class T>(const auto& stream, T) {
        gpu::depthwise_bwd_data(stream, s, dy.data<T>(), w.data<float>(), dx.buffer.data<T>(), dx.mode);
      }))
    return;
  if (fast_path(ctx, dy))
    return fast::depthwise_bwd_data(s, dy.data<float>(), w.data<float>(), dx.buffer.data<float>(), dx.mode);
  by_type(dy.dtype(), "depthwise_conv2d",
          [&]<class T>(T) { spec::depthwise_bwd_data<T>(s, dy.data<T>(), w.data<T>(), dx.buffer.data<T>(), dx.mode); });
}

}  // namespace

Tensor depthwise_conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
                        std::int64_t pad_end) {
  check_rank(x, 4, "depthwise_conv2d", "input [N, H, W, C]");
  check_rank(w, 4, "depthwise_conv2d", "weight [C, R, S, 1]");
  AKIN_CHECK(x.dtype() == w.dtype() || (x.dtype() == DType::bf16 && w.dtype() == DType::f32),
             "depthwise_conv2d: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(w.dim(0) == x.dim(3) && w.dim(3) == 1,
             "depthwise_conv2d: input has {} channels, weight {} must be [{}, R, S, 1] (weights of another layer?)",
             x.dim(3), w.shape().str(), x.dim(3));
  pad_end = checked_padding(stride, pad, pad_end, "depthwise_conv2d");
  const DepthwiseShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(1), w.dim(2), stride, pad, pad_end};
  check_window(s, "depthwise_conv2d");
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.C}, x.dtype());
  if (!on_gpu(ctx, x.dtype(), "depthwise_conv2d", [&]<class T>(const auto& stream, T) {
        gpu::depthwise_fwd(stream, s, x.data<T>(), w.data<float>(), y.data<T>());
      })) {
    if (fast_path(ctx, x))
      fast::depthwise_fwd(s, x.data<float>(), w.data<float>(), y.data<float>());
    else
      by_type(x.dtype(), "depthwise_conv2d",
              [&]<class T>(T) { spec::depthwise_fwd<T>(s, x.data<T>(), w.data<T>(), y.data<T>()); });
  }
  const OpCall call{"depthwise_conv2d", {{"stride", stride}, {"pad", pad}, {"pad_end", pad_end}}};
  return record(ctx, call, y, {x, w}, [s, x = x.detach(), w = w.detach()](const Tensor& dy, Grads& d) {
    if (d.wanted(1)) weight_gradient(d.ctx(), s, x, dy, d.into(1));
    if (d.wanted(0)) data_gradient(d.ctx(), s, dy, w, d.into(0));
  });
}

}  // namespace akin::ops
