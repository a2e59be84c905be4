#include "kernels/conv2d.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "engine/vendor.hpp"

namespace akin::ops {

namespace {

Tensor on_device(Context& ctx, const Conv2dShape& s, const Tensor& x, const Tensor& w, const Tensor& y) {
  const Tensor low = low_precision(ctx, w, x.dtype());
  if (!vendor_conv2d(ctx, s, ConvPass::forward, x, low, y, Accum::overwrite))
    on_gpu(ctx, x.dtype(), "conv2d", [&]<class T>(const auto& stream, T) {
      gpu::conv2d_fwd(stream, s, x.data<T>(), low.data<T>(), y.data<T>());
    });
  const OpCall call{"conv2d", {{"stride", s.stride}, {"pad", s.pad}, {"pad_end", s.pad_end}}};
  return record(ctx, call, y, {x, w}, [s, x = x.detach(), low](const Tensor& dy, Grads& g) {
    if (g.ctx().conv_vendor != nullptr) {
      if (g.wanted(1)) {
        const auto [dw, mode] = g.into(1);
        vendor_conv2d(g.ctx(), s, ConvPass::weight, x, dw, dy, mode);
      }
      if (g.wanted(0)) {
        const auto [dx, mode] = g.into(0);
        vendor_conv2d(g.ctx(), s, ConvPass::data, dx, low, dy, mode);
      }
      return;
    }
    on_gpu(g.ctx(), dy.dtype(), "conv2d", [&]<class T>(const auto& stream, T) {
      if (g.wanted(1)) {
        const auto [dw, mode] = g.into(1);
        const std::int64_t floats = gpu::conv2d_weight_workspace(s, sizeof(T), *stream.limits);
        const Tensor workspace = floats == 0 ? Tensor() : Tensor::empty(g.ctx(), {floats});
        gpu::conv2d_bwd_weight(stream, s, x.data<T>(), dy.data<T>(), dw.template data<float>(), mode,
                               floats == 0 ? nullptr : workspace.data<float>());
      }
      if (g.wanted(0)) {
        const auto [dx, mode] = g.into(0);
        gpu::conv2d_bwd_data(stream, s, dy.data<T>(), low.data<T>(), dx.template data<T>(), mode);
      }
    });
  });
}

}  // namespace

Tensor conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
              std::int64_t pad_end) {
  check_rank(x, 4, "conv2d", "input [N, H, W, C]");
  check_rank(w, 4, "conv2d", "weight [K, R, S, C]");
  AKIN_CHECK(x.dtype() == w.dtype() || (x.dtype() == DType::bf16 && w.dtype() == DType::f32),
             "conv2d: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(x.dim(3) == w.dim(3), "conv2d: input has {} channels, weight expects {} (weights of another layer?)",
             x.dim(3), w.dim(3));
  pad_end = checked_padding(stride, pad, pad_end, "conv2d");
  const Conv2dShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(1), w.dim(2), stride, pad, pad_end};
  check_window(s, "conv2d");
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.K}, x.dtype());
  if (ctx.device != Device::cpu) return on_device(ctx, s, x, w, y);
  if (fast_path(ctx, x))
    fast::conv2d_fwd(ctx.onednn, s, x.data<float>(), w.data<float>(), y.data<float>());
  else
    by_type(x.dtype(), "conv2d", [&]<class T>(T) { spec::conv2d_fwd<T>(s, x.data<T>(), w.data<T>(), y.data<T>()); });

  const OpCall call{"conv2d", {{"stride", s.stride}, {"pad", s.pad}, {"pad_end", s.pad_end}}};
  return record(ctx, call, y, {x, w}, [s, x = x.detach(), w = w.detach()](const Tensor& dy, Grads& g) {
    const bool fast = fast_path(g.ctx(), dy);
    if (g.wanted(1)) {
      const auto [dw, mode] = g.into(1);
      if (fast)
        fast::conv2d_bwd_weight(g.ctx().onednn, s, x.data<float>(), dy.data<float>(), dw.data<float>(), mode);
      else
        by_type(dy.dtype(), "conv2d", [&, m = mode, out = dw]<class T>(T) {
          spec::conv2d_bwd_weight<T>(s, x.data<T>(), dy.data<T>(), out.template data<T>(), m);
        });
    }
    if (g.wanted(0)) {
      const auto [dx, mode] = g.into(0);
      if (fast) {
        const Tensor scratch = mode == Accum::add ? Tensor::empty(g.ctx(), dx.shape()) : Tensor();
        fast::conv2d_bwd_data(g.ctx().onednn, s, dy.data<float>(), w.data<float>(), dx.data<float>(), mode,
                              mode == Accum::add ? scratch.data<float>() : nullptr);
      } else {
        by_type(dy.dtype(), "conv2d", [&, m = mode, out = dx]<class T>(T) {
          spec::conv2d_bwd_data<T>(s, dy.data<T>(), w.data<T>(), out.template data<T>(), m);
        });
      }
    }
  });
}

}  // namespace akin::ops
