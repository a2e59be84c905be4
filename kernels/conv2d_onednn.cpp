#include "kernels/common/onednn_state.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/elementwise.hpp"

namespace akin::fast {

namespace {

using dnnl::memory;

/// The three passes of one shape. oneDNN wants weights in a blocked layout of its choice; they are reordered on every
/// call, which for the small networks here costs a few microseconds.
struct ConvPlan final : OnednnPlan {
  memory::desc x, w, y;  // w: as akin keeps it, [K,R,S,C]
  dnnl::convolution_forward fwd;
  dnnl::convolution_backward_data bwd_data;
  dnnl::convolution_backward_weights bwd_weight;
  memory w_fwd, w_data, dw;  // in the layout each pass chose
  dnnl::reorder to_fwd, to_data, from_dw, from_dw_add;
};

dnnl::reorder reorder(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to, bool add = false) {
  dnnl::primitive_attr attr;
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attr.set_post_ops(sum);
  }
  return dnnl::reorder(dnnl::reorder::primitive_desc(engine, from, engine, to, attr));
}

std::unique_ptr<ConvPlan> make_plan(const dnnl::engine& engine, const Conv2dShape& s) {
  auto plan = std::make_unique<ConvPlan>();
  const auto f32 = memory::data_type::f32;
  using Tag = memory::format_tag;
  plan->x = {{s.N, s.C, s.H, s.W}, f32, Tag::nhwc};
  plan->y = {{s.N, s.K, s.P(), s.Q()}, f32, Tag::nhwc};
  plan->w = {{s.K, s.C, s.R, s.S}, f32, Tag::nhwc};  // the same strides: K outermost, C innermost
  const memory::desc any({s.K, s.C, s.R, s.S}, f32, Tag::any);
  const memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
  const auto direct = dnnl::algorithm::convolution_direct;

  const dnnl::convolution_forward::primitive_desc fwd(
      {dnnl::prop_kind::forward_training, direct, plan->x, any, plan->y, stride, pad, pad}, engine);
  const dnnl::convolution_backward_data::primitive_desc data({direct, plan->x, any, plan->y, stride, pad, pad}, engine,
                                                             fwd);
  const dnnl::convolution_backward_weights::primitive_desc weight({direct, plan->x, any, plan->y, stride, pad, pad},
                                                                  engine, fwd);
  plan->fwd = dnnl::convolution_forward(fwd);
  plan->bwd_data = dnnl::convolution_backward_data(data);
  plan->bwd_weight = dnnl::convolution_backward_weights(weight);
  plan->w_fwd = memory(fwd.weights_desc(), engine);
  plan->w_data = memory(data.weights_desc(), engine);
  plan->dw = memory(weight.diff_weights_desc(), engine);
  plan->to_fwd = reorder(engine, plan->w, fwd.weights_desc());
  plan->to_data = reorder(engine, plan->w, data.weights_desc());
  plan->from_dw = reorder(engine, weight.diff_weights_desc(), plan->w);
  plan->from_dw_add = reorder(engine, weight.diff_weights_desc(), plan->w, true);
  return plan;
}

ConvPlan& plan_for(OnednnCache::State& state, const Conv2dShape& s) {
  return state.plan<ConvPlan>({'c', s.N, s.H, s.W, s.C, s.K, s.R, s.S, s.stride, s.pad},
                              [&] { return make_plan(state.engine, s); });
}

memory wrap(const memory::desc& desc, const dnnl::engine& engine, const float* p) {
  return {desc, engine, const_cast<float*>(p)};
}

}  // namespace

void conv2d_fwd(OnednnCache& cache, const Conv2dShape& s, const float* x, const float* w, float* y) {
  if (s.y_size() == 0) return;
  auto& state = cache.state();
  ConvPlan& plan = plan_for(state, s);
  memory from = wrap(plan.w, state.engine, w);
  plan.to_fwd.execute(state.stream, from, plan.w_fwd);
  plan.fwd.execute(state.stream, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, x)},
                                  {DNNL_ARG_WEIGHTS, plan.w_fwd},
                                  {DNNL_ARG_DST, wrap(plan.y, state.engine, y)}});
  state.stream.wait();
}

void conv2d_bwd_data(OnednnCache& cache, const Conv2dShape& s, const float* dy, const float* w, float* dx, Accum mode,
                     float* scratch) {
  if (s.x_size() == 0) return;
  auto& state = cache.state();
  ConvPlan& plan = plan_for(state, s);
  memory from = wrap(plan.w, state.engine, w);
  plan.to_data.execute(state.stream, from, plan.w_data);
  float* out = mode == Accum::add ? scratch : dx;
  plan.bwd_data.execute(state.stream, {{DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, dy)},
                                       {DNNL_ARG_WEIGHTS, plan.w_data},
                                       {DNNL_ARG_DIFF_SRC, wrap(plan.x, state.engine, out)}});
  state.stream.wait();
  if (mode == Accum::add) spec::axpy<float>(s.x_size(), 1.0f, scratch, dx, Accum::add);
}

void conv2d_bwd_weight(OnednnCache& cache, const Conv2dShape& s, const float* x, const float* dy, float* dw,
                       Accum mode) {
  if (s.w_size() == 0) return;
  auto& state = cache.state();
  ConvPlan& plan = plan_for(state, s);
  plan.bwd_weight.execute(state.stream, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, x)},
                                         {DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, dy)},
                                         {DNNL_ARG_DIFF_WEIGHTS, plan.dw}});
  memory to = wrap(plan.w, state.engine, dw);
  (mode == Accum::add ? plan.from_dw_add : plan.from_dw).execute(state.stream, plan.dw, to);
  state.stream.wait();
}

}  // namespace akin::fast
