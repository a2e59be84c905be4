// The yardstick libraries in place of akin's own kernels: the door that gemm and conv2d go through.
#pragma once

#include "engine/tensor.hpp"

namespace akin {

/// Opens the plug-in and gives it to those ops. Throws Error where it is missing (kernels/common/gpu/vendor.hpp).
void use_vendor(Context& ctx, bool gemm, bool conv, Vendor::Options options = {});

/// Has ctx.gemm_vendor do c = op(a) op(b) + bias (bias may be undefined). False, and nothing done, where there is none.
bool vendor_gemm(Context& ctx, const GemmShape& s, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& c, Accum mode);
/// Has ctx.conv_vendor make what `pass` says: y, x (as dx) or w (as dw); the others are read. With bf16 activations dw
/// is worked out in bf16, as other frameworks have it, and widened. False where there is none.
bool vendor_conv2d(Context& ctx, const Conv2dShape& s, ConvPass pass, const Tensor& x, const Tensor& w, const Tensor& y,
                   Accum mode);

}  // namespace akin
