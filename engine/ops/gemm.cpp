#include "kernels/gemm.hpp"

#include <concepts>

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "engine/vendor.hpp"
#include "kernels/reduce.hpp"

namespace akin::ops {

namespace {

/// c = op(a) op(b) + bias. a and b have one type; c has it too, or on a device f32 beside bf16.
void run(Context& ctx, const GemmShape& s, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& c,
         Accum mode) {
  if (vendor_gemm(ctx, s, a, b, bias, c, mode)) return;
  launch_on(ctx, a.dtype(), {"linear", gemm_work(s, size_of(a.dtype()), size_of(c.dtype()))},
            [&]<class T>(const auto& stream, T) {
              const Tensor workspace = scratch_of(ctx, gemm_workspace<T>(stream, s));
              const auto product = [&](auto* out) {
                gemm(stream, s, 1.0, a.data<T>(), b.data<T>(), or_null<Full<T>>(bias), out, mode,
                     or_null<float>(workspace));
              };
              if (c.dtype() == a.dtype())
                product(c.data<T>());
              else
                product(c.data<Full<T>>());
            });
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
  const Tensor low = low_precision(ctx, w, x.dtype());
  run(ctx, {B, K, D, Trans::no, Trans::yes}, x, low, bias, y, Accum::overwrite);
  return record(ctx, "linear", y, {x, w, bias}, [x = x.detach(), low, B, D, K](const Tensor& dy, Grads& g) {
    const Tensor dy_low = g.wanted(0) || g.wanted(1) ? low_precision(g.ctx(), dy, x.dtype()) : Tensor();
    if (g.wanted(0)) {
      const Grads::Sink dx = g.into(0);
      run(g.ctx(), {B, D, K, Trans::no, Trans::no}, dy_low, low, {}, dx.buffer, dx.mode);
    }
    if (g.wanted(1)) {
      const Grads::Sink dw = g.into(1);
      run(g.ctx(), {K, D, B, Trans::yes, Trans::no}, dy_low, x, {}, dw.buffer, dw.mode);
    }
    if (g.wanted(2)) {
      const Grads::Sink db = g.into(2);
      launch_on(g.ctx(), dy.dtype(), {"linear bias", sum_work(B * K, size_of(dy.dtype()))},
                [&]<std::floating_point T>(const auto& stream, T) {
                  const std::int64_t parts = col_sum_scratch(stream, B, K);
                  const Tensor scratch = parts > 0 ? Tensor::empty(g.ctx(), {parts}, DType::f64) : Tensor();
                  col_sum(stream, B, K, dy.data<T>(), or_null<double>(scratch), db.data<T>(), db.mode);
                });
    }
  });
}

}  // namespace akin::ops
