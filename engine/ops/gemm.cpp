#include "kernels/gemm.hpp"

#include <type_traits>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "engine/vendor.hpp"
#include "kernels/reduce.hpp"

namespace akin::ops {

namespace {

/// c = op(a) op(b) + bias. On a device a and b are both bf16 or both f32, and c is either; on the CPU all are one type,
/// and there the bias is in c already.
void run(Context& ctx, const GemmShape& s, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& c,
         Accum mode) {
  if (vendor_gemm(ctx, s, a, b, bias, c, mode)) return;
  if (on_gpu(ctx, a.dtype(), "linear", [&]<class T>(const auto& stream, T) {
        const std::int64_t floats = gpu::gemm_workspace(s, sizeof(T), *stream.limits);
        const Tensor workspace = floats == 0 ? Tensor() : Tensor::empty(ctx, {floats});
        const auto product = [&]<class C>(C* out) {
          gpu::gemm(stream, s, 1.0f, a.data<T>(), b.data<T>(), bias.defined() ? bias.data<float>() : nullptr, out, mode,
                    floats == 0 ? nullptr : workspace.data<float>());
        };
        if (c.dtype() == DType::f32) return product(c.data<float>());
        if constexpr (std::is_same_v<T, bf16>) product(c.data<bf16>());
      }))
    return;
  if (fast_path(ctx, c))
    return fast::gemm(ctx.onednn, s, 1.0f, a.data<float>(), b.data<float>(), c.data<float>(), mode);
  by_type(c.dtype(), "linear",
          [&]<class T>(T one) { spec::gemm<T>(s, one + 1, a.data<T>(), b.data<T>(), c.data<T>(), mode); });
}

}  // namespace

Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_rank(x, 2, "linear", "input [B, D]");
  check_rank(w, 2, "linear", "weight [K, D]");
  const std::int64_t B = x.dim(0), D = x.dim(1), K = w.dim(0);
  AKIN_CHECK(w.dim(1) == D, "linear: input has {} features, weight expects {} (weights of another layer?)", D,
             w.dim(1));
  AKIN_CHECK(x.dtype() == w.dtype() || (x.dtype() == DType::bf16 && w.dtype() == DType::f32),
             "linear: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(!bias.defined() || (bias.shape() == Shape{K} && bias.dtype() == w.dtype()),
             "linear: bias {} for {} outputs", bias.defined() ? bias.shape().str() : "", K);
  Tensor y = Tensor::empty(ctx, {B, K}, w.dtype());
  if (ctx.device != Device::cpu) {
    const Tensor low = low_precision(ctx, w, x.dtype());
    run(ctx, {B, K, D, Trans::no, Trans::yes}, x, low, bias, y, Accum::overwrite);
    return record(ctx, "linear", y, {x, w, bias}, [x = x.detach(), low, B, D, K](const Tensor& dy, Grads& g) {
      const Tensor dy_low = g.wanted(0) || g.wanted(1) ? low_precision(g.ctx(), dy, x.dtype()) : Tensor();
      if (g.wanted(0)) {
        const auto [dx, mode] = g.into(0);
        run(g.ctx(), {B, D, K, Trans::no, Trans::no}, dy_low, low, {}, dx, mode);
      }
      if (g.wanted(1)) {
        const auto [dw, mode] = g.into(1);
        run(g.ctx(), {K, D, B, Trans::yes, Trans::no}, dy_low, x, {}, dw, mode);
      }
      if (g.wanted(2)) {
        const auto [db, mode] = g.into(2);
        on_gpu(g.ctx(), [&, m = mode, out = db](const auto& stream) {
          gpu::col_sum(stream, B, K, dy.data<float>(), out.template data<float>(), m);
        });
      }
    });
  }
  if (bias.defined()) {
    by_type(x.dtype(), "linear", [&]<class T>(T) {
      for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t k = 0; k < K; ++k) y.data<T>()[b * K + k] = bias.data<T>()[k];
    });
  }
  run(ctx, {B, K, D, Trans::no, Trans::yes}, x, w, {}, y, bias.defined() ? Accum::add : Accum::overwrite);
  return record(ctx, "linear", y, {x, w, bias}, [x = x.detach(), w = w.detach(), B, D, K](const Tensor& dy, Grads& g) {
    if (g.wanted(0)) {
      const auto [dx, mode] = g.into(0);
      run(g.ctx(), {B, D, K, Trans::no, Trans::no}, dy, w, {}, dx, mode);
    }
    if (g.wanted(1)) {
      const auto [dw, mode] = g.into(1);
      run(g.ctx(), {K, D, B, Trans::yes, Trans::no}, dy, x, {}, dw, mode);
    }
    if (g.wanted(2)) {
      const auto [db, mode] = g.into(2);
      by_type(dy.dtype(), "linear",
              [&, m = mode, out = db]<class T>(T) { spec::col_sum<T>(B, K, dy.data<T>(), out.template data<T>(), m); });
    }
  });
}

}  // namespace akin::ops
