#include "engine/vendor.hpp"

#include <optional>

#include "engine/launch_on.hpp"
#include "kernels/elementwise.hpp"

namespace akin {

namespace {

Stream<Cuda> stream_of(Context& ctx) { return {ctx.stream->handle(), &ctx.gpu->limits(), ctx.launches}; }

/// `made` goes to `out`, in the type of `out`, added to it where the mode says so.
void deliver(Context& ctx, const Tensor& made, const Tensor& out, Accum mode) {
  launch_on(ctx, made.dtype(), {"axpy", axpy_work(out.numel(), mode, size_of(out.dtype()))},
            [&]<class T>(const auto& stream, T) {
              const std::int64_t n = out.numel();
              if constexpr (std::is_same_v<T, bf16>) {
                if (out.dtype() == DType::f32) {
                  if (mode == Accum::overwrite) return convert(stream, n, made.data<T>(), out.data<float>());
                  const Tensor wide = Tensor::empty(ctx, out.shape());
                  convert(stream, n, made.data<T>(), wide.data<float>());
                  return axpy(stream, n, 1.0, nullptr, wide.data<float>(), out.data<float>(), mode);
                }
              }
              axpy(stream, n, 1.0, nullptr, made.data<T>(), out.data<T>(), mode);
            });
}

}  // namespace

void use_vendor(Context& ctx, bool gemm, bool conv, Vendor::Options options) {
  if (!gemm && !conv) return;
  AKIN_CHECK(ctx.device == Device::cuda, "cuBLAS and cuDNN work on device cuda alone, this is {}", name_of(ctx.device));
  const auto vendor = std::make_shared<Vendor>(options);
  if (gemm) ctx.gemm_vendor = vendor;
  if (conv) ctx.conv_vendor = vendor;
}

bool vendor_gemm(Context& ctx, const GemmShape& s, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& c, Accum mode) {
  if (ctx.gemm_vendor == nullptr) return false;
  const LaunchScope told(ctx, {"linear", gemm_work(s, size_of(a.dtype()), size_of(c.dtype()))});
  ctx.gemm_vendor->gemm(stream_of(ctx), {.shape = s,
                                         .in_bf16 = a.dtype() == DType::bf16,
                                         .out_bf16 = c.dtype() == DType::bf16,
                                         .add = mode == Accum::add,
                                         .a = a.raw(),
                                         .b = b.raw(),
                                         .bias = bias.defined() ? bias.data<float>() : nullptr,
                                         .c = c.raw()});
  return true;
}

bool vendor_conv2d(Context& ctx, const Conv2dShape& s, ConvPass pass, const Tensor& x, const Tensor& w, const Tensor& y,
                   Accum mode) {
  if (ctx.conv_vendor == nullptr) return false;
  const DType type = (pass == ConvPass::forward ? x : y).dtype();
  const Tensor& out = pass == ConvPass::forward ? y : pass == ConvPass::data ? x : w;
  const bool direct = out.dtype() == type && mode == Accum::overwrite;
  const Tensor made = direct ? out : Tensor::empty(ctx, out.shape(), type);
  const char* names[] = {"conv2d", "conv2d data", "conv2d weight"};
  std::optional<LaunchScope> told(std::in_place, ctx,
                                  KernelCall{names[static_cast<int>(pass)], conv2d_work(s, size_of(type))});
  ctx.conv_vendor->conv2d(stream_of(ctx), {.shape = s,
                                           .pass = pass,
                                           .bf16 = type == DType::bf16,
                                           .x = (pass == ConvPass::data ? made : x).raw(),
                                           .w = (pass == ConvPass::weight ? made : w).raw(),
                                           .y = (pass == ConvPass::forward ? made : y).raw()});
  told.reset();
  if (!direct) deliver(ctx, made, out, mode);
  return true;
}

}  // namespace akin
