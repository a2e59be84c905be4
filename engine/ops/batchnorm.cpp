#include "kernels/batchnorm.hpp"

#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "kernels/elementwise.hpp"

namespace akin::ops {

namespace {

template <class T, class P>
BatchNormBackward<T, P> arguments(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& gamma,
                                  const Tensor& mean, const Tensor& invstd) {
  return {x.data<T>(), y.data<T>(), dy.data<T>(), gamma.data<P>(), mean.data<P>(),  invstd.data<P>(),
          nullptr,     nullptr,     nullptr,      nullptr,         Accum::overwrite};
}

/// Where the kernel writes the gradient of input i itself; nullptr when nobody wants it.
template <class T>
T* sink(Grads& g, std::size_t i, Accum& mode) {
  if (!g.wanted(i)) return nullptr;
  const Grads::Sink to = g.into(i);
  mode = to.mode;
  return to.buffer.data<T>();
}

void backward(const BatchNormShape& s, const Tensor& x, const Tensor& y, const Tensor& gamma, const Tensor& beta,
              const Tensor& mean, const Tensor& invstd, const Tensor& dy, Grads& g) {
  Context& c = g.ctx();
  // Without a ReLU the residual's gradient is dy itself.
  const Tensor dres = !g.wanted(3) ? Tensor() : s.relu ? Tensor::empty(c, x.shape(), x.dtype()) : dy;
  const bool done = on_gpu(c, dy.dtype(), "batchnorm", [&]<class T>(const auto& stream, T) {
    const Tensor scratch = Tensor::empty(c, {gpu::batchnorm_scratch(stream, s)});
    BatchNormBackward<T, float> t = arguments<T, float>(x, y, dy, gamma, mean, invstd);
    t.dx = sink<T>(g, 0, t.dx_mode);
    t.dresidual = dres.defined() && s.relu ? dres.data<T>() : nullptr;
    t.dgamma = sink<float>(g, 1, t.dgamma_mode);
    t.dbeta = sink<float>(g, 2, t.dbeta_mode);
    t.beta = beta.defined() ? beta.data<float>() : nullptr;
    gpu::batchnorm_bwd(stream, s, t, scratch.data<float>());
  });
  if (!done) {
    const Tensor dgamma = Tensor::empty(c, gamma.shape(), gamma.dtype());
    const Tensor dbeta = Tensor::empty(c, gamma.shape(), gamma.dtype());
    by_type(dy.dtype(), "batchnorm", [&]<class T>(T) {
      BatchNormBackward<T> t = arguments<T, T>(x, y, dy, gamma, mean, invstd);
      t.dx = sink<T>(g, 0, t.dx_mode);
      t.dresidual = dres.defined() && s.relu ? dres.data<T>() : nullptr;
      t.dgamma = dgamma.data<T>();
      t.dbeta = dbeta.data<T>();
      if constexpr (std::is_same_v<T, float>) {
        if (fast_path(c, dy)) return fast::batchnorm_bwd(s, t);
      }
      spec::batchnorm_bwd<T>(s, t);
    });
    if (g.wanted(1)) g.add(1, dgamma);
    if (g.wanted(2)) g.add(2, dbeta);
  }
  if (dres.defined()) g.add(3, dres);
}

}  // namespace

Tensor batchnorm(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormState& state,
                 bool training, bool relu, const Tensor& residual) {
  AKIN_CHECK(x.shape().rank() >= 2, "batchnorm: expected [N, ..., C], found shape {}", x.shape().str());
  const std::int64_t C = x.dim(-1), M = C == 0 ? 0 : x.numel() / C;
  const DType parameters = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor* t :
       {&gamma, &beta, &state.running_mean, &state.running_var})
    AKIN_CHECK(t->shape() == Shape{C} && t->dtype() == parameters,
               "batchnorm: input has {} channels of {}, a parameter has {} of {} (weights of another layer?)", C,
               name_of(x.dtype()), t->shape().str(), name_of(t->dtype()));
  AKIN_CHECK(!training || M > 1,
             "batchnorm: training needs more than one value a channel, found shape {}; use a larger batch",
             x.shape().str());
  if (residual.defined()) check_same(x, residual, "batchnorm residual");

  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  const Tensor mean = Tensor::empty(ctx, {C}, parameters), invstd = Tensor::empty(ctx, {C}, parameters);
  const BatchNormShape s{M, C, training, relu, state.eps, state.momentum};
  const bool fast = fast_path(ctx, x);
  const auto arguments = [&]<class T, class P>(T, P) {
    return BatchNormForward<T, P>{x.data<T>(),
                                  gamma.data<P>(),
                                  beta.data<P>(),
                                  residual.defined() ? residual.data<T>() : nullptr,
                                  state.running_mean.data<P>(),
                                  state.running_var.data<P>(),
                                  mean.data<P>(),
                                  invstd.data<P>(),
                                  y.data<T>()};
  };
  if (!on_gpu(ctx, x.dtype(), "batchnorm", [&]<class T>(const auto& stream, T type) {
        const Tensor scratch = Tensor::empty(ctx, {training ? gpu::batchnorm_scratch(stream, s) : 0});
        gpu::batchnorm_fwd(stream, s, arguments(type, float{}), scratch.data<float>());
      }))
    by_type(x.dtype(), "batchnorm", [&]<class T>(T type) {
      if constexpr (std::is_same_v<T, float>) {
        if (fast) return fast::batchnorm_fwd(s, arguments(type, type));
      }
      spec::batchnorm_fwd<T>(s, arguments(type, type));
    });

  const Tensor shift = relu && !residual.defined() ? beta.detach() : Tensor();  // tells a device that x gives the mask
  return record(ctx, {"batchnorm", {{"eps", s.eps}, {"relu", relu}, {"training", training}}}, y,
                {x, gamma, beta, residual, state.running_mean, state.running_var},
                [s, x = x.detach(), y = y.detach(), gamma = gamma.detach(), shift, mean, invstd](
                    const Tensor& dy, Grads& g) { backward(s, x, y, gamma, shift, mean, invstd, dy, g); });
}

}  // namespace akin::ops
