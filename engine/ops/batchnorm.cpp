#include "kernels/batchnorm.hpp"

#include "engine/collectives.hpp"
#include "engine/ops.hpp"
#include "engine/ops/dispatch.hpp"
#include "engine/ops/norm_sums.hpp"

namespace akin::ops {

namespace {

/// Of x on every rank, from what each has.
template <class Forward>
ChannelMoments moments_of_ranks(Context& ctx, const auto& stream, const BatchNormShape& s, const Forward& t,
                                const Tensor& scratch) {
  const Tensor own = Tensor::empty(ctx, {PartMoments::floats(1, s.C)});
  batchnorm_moments(stream, s, t, own.data<float>(), or_null<float>(scratch));
  const ChannelMoments all{Tensor::empty(ctx, {ctx.ranks->size() * own.numel()}), ctx.ranks->size()};
  const std::int64_t columns[] = {s.C, s.C, 1};
  all_gather(ctx, own, all.data, columns, "the statistics of a batch norm");
  return all;
}

/// The first pass over the rows of every rank.
template <class Backward>
Tensor sums_of_ranks(Context& ctx, const auto& stream, const BatchNormShape& s, const Backward& t,
                     const Tensor& scratch) {
  const Tensor own = Tensor::empty(ctx, {2 * s.C}), all = Tensor::empty(ctx, {ctx.ranks->size() * own.numel()});
  batchnorm_sums(stream, s, t, own.data<float>(), or_null<float>(scratch));
  const std::int64_t columns[] = {s.C, s.C};
  all_gather(ctx, own, all, columns, "the sums of a batch norm's gradient");
  return all;
}

}  // namespace

Tensor batchnorm(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormState& state,
                 bool training, Activation act, const Tensor& residual, const ChannelMoments& moments) {
  AKIN_CHECK(act == Activation::none || keeps_output(act), "batchnorm: {} goes in an op of its own", name_of(act));
  AKIN_CHECK(x.shape().rank() >= 2, "batchnorm: expected [N, ..., C], found shape {}", x.shape().str());
  const std::int64_t C = x.dim(-1), M = C == 0 ? 0 : x.numel() / C;
  const DType parameters = x.dtype() == DType::bf16 ? DType::f32 : x.dtype();
  for (const Tensor* t : {&gamma, &beta, &state.running_mean, &state.running_var})
    AKIN_CHECK(t->shape() == Shape{C} && t->dtype() == parameters,
               "batchnorm: input has {} channels of {}, a parameter has {} of {} (weights of another layer?)", C,
               name_of(x.dtype()), t->shape().str(), name_of(t->dtype()));
  AKIN_CHECK(!training || M > 1,
             "batchnorm: training needs more than one value a channel, found shape {}; use a larger batch",
             x.shape().str());
  if (residual.defined()) check_same(x, residual, "batchnorm residual");
  AKIN_CHECK(moments.parts == 0 || moments.data.numel() >= PartMoments::floats(moments.parts, C),
             "batchnorm: {} channels, but statistics of {} parts in {} numbers (of another tensor?)", C, moments.parts,
             moments.data.numel());

  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  const Tensor mean = Tensor::empty(ctx, {C}, parameters), invstd = Tensor::empty(ctx, {C}, parameters);
  // Without a residual the backward works y out of x again.
  const bool recomputed = act != Activation::none && !residual.defined();
  const Tensor shift = recomputed ? beta.detach() : Tensor();
  const Tensor scale = recomputed ? Tensor::empty(ctx, {C}, parameters) : Tensor();
  BatchNormShape s{M, C, training, act, state.eps, state.momentum};
  if (const auto [here, all] = ctx.shared_batch; training && all > here) {
    AKIN_CHECK(here > 0 && M % here == 0, "batchnorm: {} values a channel of {} images", M, here);
    s.all = M / here * all;
  }
  launch_on(ctx, x.dtype(), {"batchnorm", batchnorm_fwd_work(s, residual.defined(), size_of(x.dtype()))},
            [&]<class T>(const auto& stream, T) {
              const Tensor scratch = scratch_of(ctx, training ? batchnorm_scratch(stream, s) : 0);
              BatchNormForward<T> t{.x = x.data<T>(),
                                    .gamma = gamma.data<Full<T>>(),
                                    .beta = beta.data<Full<T>>(),
                                    .residual = or_null<T>(residual),
                                    .running_mean = state.running_mean.data<Full<T>>(),
                                    .running_var = state.running_var.data<Full<T>>(),
                                    .mean = mean.data<Full<T>>(),
                                    .invstd = invstd.data<Full<T>>(),
                                    .scale = or_null<Full<T>>(scale),
                                    .moments = {or_null<float>(moments.data), moments.parts},
                                    .y = y.data<T>()};
              ChannelMoments of_ranks;
              if (s.all > 0) {
                of_ranks = moments_of_ranks(ctx, stream, s, t, scratch);
                t.moments = {of_ranks.data.data<float>(), of_ranks.parts};
              }
              batchnorm_fwd(stream, s, t, or_null<float>(scratch));
            });

  std::shared_ptr<NormSums> norm;
  if (ctx.device != Device::cpu && ctx.tape != nullptr && act == Activation::relu)
    norm = std::make_shared<NormSums>(
        NormSums{x.detach(), mean, invstd, gamma.detach(), beta.detach(), residual.defined(), {}, ctx.tape, 0});
  y = record(ctx, {"batchnorm", {{"eps", s.eps}, {"act", act}, {"training", training}}}, y,
             {x, gamma, beta, residual, state.running_mean, state.running_var},
             [s, x = x.detach(), y = y.detach(), gamma = gamma.detach(), shift, scale, mean, invstd, norm](
                 const Tensor& dy, Grads& g) {
               Context& c = g.ctx();
               // Without an activation the residual's gradient is dy itself.
               const bool summed = norm != nullptr && norm->parts > 0;
               const Tensor masked = g.wanted(3) && s.act != Activation::none && !summed
                                         ? Tensor::empty(c, x.shape(), x.dtype())
                                         : Tensor();
               launch_on(c, dy.dtype(), {"batchnorm", batchnorm_bwd_work(s, !shift.defined(), size_of(dy.dtype()))},
                         [&]<class T>(const auto& stream, T) {
                           const Tensor scratch = scratch_of(c, batchnorm_scratch(stream, s));
                           const Grads::Sink dx = g.into(0), dgamma = g.into(1), dbeta = g.into(2);
                           BatchNormBackward<T> t{.x = x.data<T>(),
                                                  .y = y.data<T>(),
                                                  .dy = dy.data<T>(),
                                                  .gamma = gamma.data<Full<T>>(),
                                                  .mean = mean.data<Full<T>>(),
                                                  .invstd = invstd.data<Full<T>>(),
                                                  .beta = or_null<Full<T>>(shift),
                                                  .scale = or_null<Full<T>>(scale),
                                                  .sums = summed ? norm->sums.data<float>() : nullptr,
                                                  .parts = summed ? norm->parts : 0,
                                                  .dx = dx.data<T>(),
                                                  .dx_mode = dx.mode,
                                                  .dresidual = or_null<T>(masked),
                                                  .dgamma = dgamma.data<Full<T>>(),
                                                  .dgamma_mode = dgamma.mode,
                                                  .dbeta = dbeta.data<Full<T>>(),
                                                  .dbeta_mode = dbeta.mode};
                           Tensor of_ranks;
                           if (s.all > 0) {
                             of_ranks = sums_of_ranks(c, stream, s, t, scratch);
                             t.of_ranks = of_ranks.data<float>();
                             t.ranks = c.ranks->size();
                           }
                           batchnorm_bwd(stream, s, t, or_null<float>(scratch));
                         });
               if (norm != nullptr) *norm = {};  // y may outlive this, what it was made of need not
               if (g.wanted(3)) g.add(3, masked.defined() ? masked : dy);
             });
  if (y.requires_grad()) y.handle()->norm = norm;  // else nobody comes to the backward rule
  return y;
}

}  // namespace akin::ops
