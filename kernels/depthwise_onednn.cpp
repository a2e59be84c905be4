// depthwise through oneDNN: a convolution of as many groups as there are channels.
#include <vector>

#include "kernels/common/onednn_state.hpp"
#include "kernels/depthwise.hpp"
#include "kernels/elementwise.hpp"

namespace akin::fast {

namespace {

using dnnl::memory;

constexpr auto kDirect = dnnl::algorithm::convolution_direct;
constexpr auto kFloat = memory::data_type::f32;

/// The three passes of one shape; weights are reordered to the layout that oneDNN chose and back.
struct DepthwisePlan final : OnednnPlan {
  memory::desc x, w, y;  // w: as akin keeps it, [C,R,S]
  dnnl::convolution_forward fwd;
  dnnl::convolution_backward_data bwd_data;
  dnnl::convolution_backward_weights bwd_weight;
  memory w_fwd, w_data, dw;
  dnnl::reorder to_fwd, to_data, from_dw, from_dw_add;
};

std::unique_ptr<DepthwisePlan> make_plan(const dnnl::engine& engine, const DepthwiseShape& s) {
  auto plan = std::make_unique<DepthwisePlan>();
  const memory::dims filter{s.C, 1, 1, s.R, s.S}, stride{s.stride, s.stride};
  const memory::dims begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
  plan->x = {{s.N, s.C, s.H, s.W}, kFloat, memory::format_tag::nhwc};
  plan->y = {{s.N, s.C, s.P(), s.Q()}, kFloat, memory::format_tag::nhwc};
  plan->w = {filter, kFloat, memory::format_tag::goihw};
  const memory::desc any(filter, kFloat, memory::format_tag::any);
  const dnnl::convolution_forward::primitive_desc fwd(
      {dnnl::prop_kind::forward_training, kDirect, plan->x, any, plan->y, stride, begin, end}, engine);
  const dnnl::convolution_backward_data::primitive_desc data({kDirect, plan->x, any, plan->y, stride, begin, end},
                                                             engine, fwd);
  const dnnl::convolution_backward_weights::primitive_desc weight({kDirect, plan->x, any, plan->y, stride, begin, end},
                                                                  engine, fwd);
  plan->fwd = dnnl::convolution_forward(fwd);
  plan->bwd_data = dnnl::convolution_backward_data(data);
  plan->bwd_weight = dnnl::convolution_backward_weights(weight);
  plan->w_fwd = memory(fwd.weights_desc(), engine);
  plan->w_data = memory(data.weights_desc(), engine);
  plan->dw = memory(weight.diff_weights_desc(), engine);
  plan->to_fwd = make_reorder(engine, plan->w, fwd.weights_desc());
  plan->to_data = make_reorder(engine, plan->w, data.weights_desc());
  plan->from_dw = make_reorder(engine, weight.diff_weights_desc(), plan->w);
  plan->from_dw_add = make_reorder(engine, weight.diff_weights_desc(), plan->w, true);
  return plan;
}

DepthwisePlan& plan_for(OnednnCache::State& state, const DepthwiseShape& s) {
  return state.plan<DepthwisePlan>({'d', s.N, s.H, s.W, s.C, s.R, s.S, s.stride, s.pad, s.pad_end},
                                   [&] { return make_plan(state.engine, s); });
}

}  // namespace

void depthwise_fwd(OnednnCache& cache, const DepthwiseShape& s, const float* x, const float* w, float* y) {
  if (s.y_size() == 0) return;
  auto& state = cache.state();
  DepthwisePlan& plan = plan_for(state, s);
  memory weights = wrap(plan.w, state.engine, w);
  plan.to_fwd.execute(state.stream, weights, plan.w_fwd);
  plan.fwd.execute(state.stream, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, x)},
                                  {DNNL_ARG_WEIGHTS, plan.w_fwd},
                                  {DNNL_ARG_DST, wrap(plan.y, state.engine, y)}});
  state.stream.wait();
}

void depthwise_bwd_data(OnednnCache& cache, const DepthwiseShape& s, const float* dy, const float* w, float* dx,
                        Accum mode, float* scratch) {
  if (s.x_size() == 0) return;
  auto& state = cache.state();
  DepthwisePlan& plan = plan_for(state, s);
  float* out = mode == Accum::add ? scratch : dx;
  memory weights = wrap(plan.w, state.engine, w);
  plan.to_data.execute(state.stream, weights, plan.w_data);
  plan.bwd_data.execute(state.stream, {{DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, dy)},
                                       {DNNL_ARG_WEIGHTS, plan.w_data},
                                       {DNNL_ARG_DIFF_SRC, wrap(plan.x, state.engine, out)}});
  state.stream.wait();
  if (mode == Accum::add) spec::axpy<float>(s.x_size(), 1.0f, scratch, dx, Accum::add);
}

void depthwise_bwd_weight(OnednnCache& cache, const DepthwiseShape& s, const float* x, const float* dy, float* dw,
                          Accum mode) {
  if (s.w_size() == 0) return;
  if (s.y_size() == 0) return spec::depthwise_bwd_weight<float>(s, x, dy, dw, mode);  // a sum of nothing
  auto& state = cache.state();
  DepthwisePlan& plan = plan_for(state, s);
  plan.bwd_weight.execute(state.stream, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, x)},
                                         {DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, dy)},
                                         {DNNL_ARG_DIFF_WEIGHTS, plan.dw}});
  memory to = wrap(plan.w, state.engine, dw);
  (mode == Accum::add ? plan.from_dw_add : plan.from_dw).execute(state.stream, plan.dw, to);
  state.stream.wait();
}

}  // namespace akin::fast
