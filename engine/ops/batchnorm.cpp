#include "kernels/batchnorm.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "kernels/elementwise.hpp"

namespace akin::ops {

Tensor batchnorm(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta, BatchNormState& state,
                 bool training, bool relu, const Tensor& residual) {
  AKIN_CHECK(x.shape().rank() >= 2, "batchnorm: expected [N, ..., C], found shape {}", x.shape().str());
  const std::int64_t C = x.dim(-1), M = C == 0 ? 0 : x.numel() / C;
  for (const Tensor* t :
       {&gamma, &beta, static_cast<const Tensor*>(&state.running_mean), static_cast<const Tensor*>(&state.running_var)})
    AKIN_CHECK(t->shape() == Shape{C} && t->dtype() == x.dtype(),
               "batchnorm: input has {} channels of {}, a parameter has {} of {} (weights of another layer?)", C,
               name_of(x.dtype()), t->shape().str(), name_of(t->dtype()));
  AKIN_CHECK(!training || M > 1,
             "batchnorm: training needs more than one value a channel, found shape {}; use a larger batch",
             x.shape().str());
  if (residual.defined()) check_same(x, residual, "batchnorm residual");

  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  const Tensor mean = Tensor::empty(ctx, {C}, x.dtype()), invstd = Tensor::empty(ctx, {C}, x.dtype());
  const BatchNormShape s{M, C, training, relu, state.eps, state.momentum};
  const bool fast = fast_path(ctx, x);
  by_type(x.dtype(), "batchnorm", [&]<class T>(T) {
    const BatchNormForward<T> t{x.data<T>(),
                                gamma.data<T>(),
                                beta.data<T>(),
                                residual.defined() ? residual.data<T>() : nullptr,
                                state.running_mean.data<T>(),
                                state.running_var.data<T>(),
                                mean.data<T>(),
                                invstd.data<T>(),
                                y.data<T>()};
    if constexpr (std::is_same_v<T, float>) {
      if (fast) return fast::batchnorm_fwd(s, t);
    }
    spec::batchnorm_fwd<T>(s, t);
  });

  return record(ctx, "batchnorm", y, {x, gamma, beta, residual},
                [s, x = x.detach(), y = y.detach(), gamma = gamma.detach(), mean, invstd](const Tensor& dy, Grads& g) {
                  const bool quick = fast_path(g.ctx(), dy);
                  Context& c = g.ctx();
                  const Tensor dgamma = Tensor::empty(c, gamma.shape(), gamma.dtype());
                  const Tensor dbeta = Tensor::empty(c, gamma.shape(), gamma.dtype());
                  const Tensor dres = g.wanted(3) ? Tensor::empty(c, x.shape(), x.dtype()) : Tensor();
                  Tensor dx;
                  Accum mode = Accum::overwrite;
                  if (g.wanted(0)) {
                    const Grads::Sink sink = g.into(0);
                    dx = sink.buffer;
                    mode = sink.mode;
                  }
                  by_type(dy.dtype(), "batchnorm", [&]<class T>(T) {
                    const BatchNormBackward<T> t{x.data<T>(),
                                                 y.data<T>(),
                                                 dy.data<T>(),
                                                 gamma.data<T>(),
                                                 mean.data<T>(),
                                                 invstd.data<T>(),
                                                 dx.defined() ? dx.data<T>() : nullptr,
                                                 dres.defined() ? dres.data<T>() : nullptr,
                                                 dgamma.data<T>(),
                                                 dbeta.data<T>(),
                                                 mode};
                    if constexpr (std::is_same_v<T, float>) {
                      if (quick) return fast::batchnorm_bwd(s, t);
                    }
                    spec::batchnorm_bwd<T>(s, t);
                  });
                  if (g.wanted(1)) g.add(1, dgamma);
                  if (g.wanted(2)) g.add(2, dbeta);
                  if (g.wanted(3)) g.add(3, dres);
                });
}

}  // namespace akin::ops
