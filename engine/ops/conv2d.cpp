#include "kernels/conv2d.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "engine/ops/norm_sums.hpp"
#include "engine/vendor.hpp"

namespace akin::ops {

namespace {

void weight_gradient(Context& ctx, const Conv2dShape& s, const Tensor& x, const Tensor& dy, const Grads::Sink& dw) {
  if (vendor_conv2d(ctx, s, ConvPass::weight, x, dw.buffer, dy, dw.mode)) return;
  launch_on(
      ctx, dy.dtype(), {"conv2d weight", conv2d_work(s, size_of(x.dtype()))}, [&]<class T>(const auto& stream, T) {
        const Tensor workspace = scratch_of(ctx, conv2d_weight_workspace<T>(stream, s));
        conv2d_bwd_weight(stream, s, x.data<T>(), dy.data<T>(), dw.data<Full<T>>(), dw.mode, or_null<float>(workspace));
      });
}

/// `x`, `norm`: the convolution's input, and the batchnorm that made it or nullptr.
void data_gradient(Context& ctx, const Conv2dShape& s, const Tensor& dy, const Tensor& w, const Grads::Sink& dx,
                   const Tensor& x, NormSums* norm) {
  if (vendor_conv2d(ctx, s, ConvPass::data, dx.buffer, w, dy, dx.mode)) return;
  launch_on(ctx, dy.dtype(), {"conv2d data", conv2d_work(s, size_of(dy.dtype()))}, [&]<class T>(const auto& stream, T) {
    const Tensor scratch = scratch_of(ctx, conv2d_data_scratch<T>(stream, s, dx.mode));
    NormGradient<T> wanted;
    const bool live = norm != nullptr && norm->x.defined();  // not after its backward rule
    if (live) norm->sums = scratch_of(ctx, conv2d_norm_sums<T>(stream, s));
    const bool sums = live && norm->sums.defined();
    if constexpr (std::is_same_v<T, bf16>)
      if (sums)
        wanted = {.x = norm->x.data<T>(),
                  .y = norm->from_output ? x.data<T>() : nullptr,
                  .mean = norm->mean.data<float>(),
                  .invstd = norm->invstd.data<float>(),
                  .gamma = norm->gamma.data<float>(),
                  .beta = norm->beta.data<float>(),
                  .sums = norm->sums.data<float>()};
    conv2d_bwd_data(stream, s, dy.data<T>(), w.data<T>(), dx.data<T>(), dx.mode, or_null<float>(scratch),
                    sums ? &wanted : nullptr);
    if (live) norm->parts = wanted.parts;
  });
}

}  // namespace

Tensor conv2d(Context& ctx, const Tensor& x, const Tensor& w, std::int64_t stride, std::int64_t pad,
              std::int64_t pad_end, ChannelMoments* moments) {
  check_rank(x, 4, "conv2d", "input [N, H, W, C]");
  check_rank(w, 4, "conv2d", "weight [K, R, S, C]");
  AKIN_CHECK(x.dtype() == w.dtype() || (x.dtype() == DType::bf16 && w.dtype() == DType::f32),
             "conv2d: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(x.dim(3) == w.dim(3), "conv2d: input has {} channels, weight expects {} (weights of another layer?)",
             x.dim(3), w.dim(3));
  pad_end = checked_padding(stride, pad, pad_end, "conv2d");
  if (moments != nullptr) *moments = {};
  const Conv2dShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), w.dim(1), w.dim(2), stride, pad, pad_end};
  check_window(s, "conv2d");
  Tensor y = Tensor::empty(ctx, {s.N, s.P(), s.Q(), s.K}, x.dtype());
  const Tensor low = low_precision(ctx, w, x.dtype());
  if (!vendor_conv2d(ctx, s, ConvPass::forward, x, low, y, Accum::overwrite))
    launch_on(ctx, x.dtype(), {"conv2d", conv2d_work(s, size_of(x.dtype()))}, [&]<class T>(const auto& stream, T) {
      PartMoments left = room_for(ctx, moments, [&] { return conv2d_moments<T>(stream, s); });
      conv2d_fwd(stream, s, x.data<T>(), low.data<T>(), y.data<T>(), left.data == nullptr ? nullptr : &left);
      if (moments != nullptr) moments->parts = left.parts;
    });
  const OpCall call{"conv2d", {{"stride", s.stride}, {"pad", s.pad}, {"pad_end", s.pad_end}}};
  std::shared_ptr<NormSums> norm = x.handle()->norm;
  if (norm != nullptr && norm->tape != ctx.tape) norm.reset();
  return record(ctx, call, y, {x, w}, [s, x = x.detach(), low, norm](const Tensor& dy, Grads& g) {
    if (g.wanted(1)) weight_gradient(g.ctx(), s, x, dy, g.into(1));
    if (g.wanted(0)) data_gradient(g.ctx(), s, dy, low, g.into(0), x, norm.get());
  });
}

}  // namespace akin::ops
