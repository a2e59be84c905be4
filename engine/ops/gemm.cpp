#include "kernels/gemm.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "kernels/reduce.hpp"

namespace akin::ops {

namespace {

void run(Context& ctx, const GemmShape& s, const Tensor& a, const Tensor& b, const Tensor& c, Accum mode) {
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
  AKIN_CHECK(x.dtype() == w.dtype(), "linear: input is {}, weight {}", name_of(x.dtype()), name_of(w.dtype()));
  AKIN_CHECK(!bias.defined() || (bias.shape() == Shape{K} && bias.dtype() == x.dtype()),
             "linear: bias {} for {} outputs", bias.defined() ? bias.shape().str() : "", K);
  Tensor y = Tensor::empty(ctx, {B, K}, x.dtype());
  if (bias.defined()) {
    by_type(x.dtype(), "linear", [&]<class T>(T) {
      for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t k = 0; k < K; ++k) y.data<T>()[b * K + k] = bias.data<T>()[k];
    });
  }
  run(ctx, {B, K, D, Trans::no, Trans::yes}, x, w, y, bias.defined() ? Accum::add : Accum::overwrite);
  return record(ctx, "linear", y, {x, w, bias}, [x = x.detach(), w = w.detach(), B, D, K](const Tensor& dy, Grads& g) {
    if (g.wanted(0)) {
      const auto [dx, mode] = g.into(0);
      run(g.ctx(), {B, D, K, Trans::no, Trans::no}, dy, w, dx, mode);
    }
    if (g.wanted(1)) {
      const auto [dw, mode] = g.into(1);
      run(g.ctx(), {K, D, B, Trans::yes, Trans::no}, dy, x, dw, mode);
    }
    if (g.wanted(2)) {
      const auto [db, mode] = g.into(2);
      by_type(dy.dtype(), "linear",
              [&, m = mode, out = db]<class T>(T) { spec::col_sum<T>(B, K, dy.data<T>(), out.template data<T>(), m); });
    }
  });
}

}  // namespace akin::ops
