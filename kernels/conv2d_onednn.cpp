#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/common/onednn_state.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/shortcut.hpp"

namespace akin::fast {

namespace {

using dnnl::memory;

/// A pass that reads weights.
struct DataPass {
  /// With stride 1, a convolution of x with w is the data gradient of the mirrored convolution: C and K exchanged, taps
  /// reversed, padding R - 1 - pad. oneDNN implements the two passes differently, so each can stand in for the other.
  bool mirrored = false;
  dnnl::primitive run;
  memory::desc w_from;  // the weights as `run` names their axes, in akin's memory
  memory w;             // in the layout that the implementation chose
  dnnl::reorder to_w;
};

/// The three passes of one shape. oneDNN wants weights in a blocked layout of its choice; they are reordered on every
/// call, which for the small networks here costs a few microseconds.
struct ConvPlan final : OnednnPlan {
  memory::desc x, w, dw_to, y;  // w and its gradient, always f32: as akin keeps them, [K,R,S,C]
  DataPass fwd, bwd_data;
  dnnl::convolution_backward_weights bwd_weight;
  memory dw;  // in the layout that the implementation chose
  dnnl::reorder from_dw, from_dw_add;
  std::vector<float> flipped;  // [K,R,S,C] with both tap axes reversed, for a mirrored pass
};

dnnl::reorder reorder(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to, bool add = false) {
  return dnnl::reorder(dnnl::reorder::primitive_desc(engine, from, engine, to, write_as(1.0f, add)));
}

using ForwardDesc = dnnl::convolution_forward::primitive_desc;
using DataDesc = dnnl::convolution_backward_data::primitive_desc;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;
using Type = memory::data_type;

memory::desc x_desc(const Conv2dShape& s, Type t) { return {{s.N, s.C, s.H, s.W}, t, memory::format_tag::nhwc}; }
memory::desc y_desc(const Conv2dShape& s, Type t) { return {{s.N, s.K, s.P(), s.Q()}, t, memory::format_tag::nhwc}; }
memory::desc any_w(const Conv2dShape& s, Type t) { return {{s.K, s.C, s.R, s.S}, t, memory::format_tag::any}; }

// On AVX-512, oneDNN 2.6 runs forward passes on brgconv and data gradients on jit, 3.7 both on brgconv. Measured on 3x3
// layers, one thread: with 2.6 jit takes 0.64 to 0.80 of brgconv's time at 8 and 16 channels, 0.9 to 1.15 at 32, 1.06
// to 1.31 from 64 on; with 3.7 0.26 to 0.76 up to 16, 0.85 to 1.04 at 32, 1.0 to 1.18 from 64 on, and 0.27 to 0.7 in
// data gradients of a strided layer. The rules are fixed, not timed at run time: the order of summation, and so the
// bits of a result, must not depend on a clock.
bool is_brgconv(const char* implementation) {
  return std::strstr(implementation, "brgconv") != nullptr || std::strstr(implementation, "brg_conv") != nullptr;
}
bool is_jit512(const char* implementation) {
  return std::strncmp(implementation, "jit", 3) == 0 && std::strstr(implementation, ":avx512_core") != nullptr;
}
bool jit_is_faster(const Conv2dShape& s) {
  const auto few = [](std::int64_t channels) { return channels == 8 || channels == 16 || (kOnednn3 && channels < 16); };
  return few(s.C) && few(s.K);
}
bool brgconv_is_faster(const Conv2dShape& s) { return s.C >= 64 && s.K >= 64; }

ForwardDesc forward_desc(const dnnl::engine& engine, const Conv2dShape& s, Type t) {
  const memory::dims stride{s.stride, s.stride}, begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
  return describe<dnnl::convolution_forward>(engine, {}, dnnl::prop_kind::forward_training, kDirect, x_desc(s, t),
                                             any_w(s, t), y_desc(s, t), stride, begin, end);
}

DataDesc data_desc(const dnnl::engine& engine, const Conv2dShape& s, Type t, const ForwardDesc& hint) {
  const memory::dims stride{s.stride, s.stride}, begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
  const auto describe_data = [&] {
    return describe_backward<dnnl::convolution_backward_data>(engine, hint, kDirect, x_desc(s, t), any_w(s, t),
                                                              y_desc(s, t), stride, begin, end);
  };
  DataDesc first = describe_data();
  if (t == Type::f32 && is_brgconv(first.impl_info_str()) && (s.stride > 1 || (s.R * s.S > 1 && !brgconv_is_faster(s))))
    for (DataDesc other = describe_data(); other.next_impl();)  // in place
      if (is_jit512(other.impl_info_str())) return other;
  return first;
}

bool can_mirror(const Conv2dShape& s) {
  return s.stride == 1 && s.R == s.S && s.R > 1 && s.pad < s.R && s.pad_end < s.R;
}
Conv2dShape mirror(const Conv2dShape& s) {
  return {s.N, s.P(), s.Q(), s.K, s.C, s.R, s.S, 1, s.R - 1 - s.pad, s.R - 1 - s.pad_end};
}

std::unique_ptr<ConvPlan> make_plan(const dnnl::engine& engine, const Conv2dShape& s, Type t) {
  auto plan = std::make_unique<ConvPlan>();
  plan->x = x_desc(s, t);
  plan->y = y_desc(s, t);
  plan->w = {{s.K, s.C, s.R, s.S}, t, memory::format_tag::nhwc};  // the same strides: K outermost, C innermost
  plan->dw_to = {{s.K, s.C, s.R, s.S}, Type::f32, memory::format_tag::nhwc};
  // The mirrored convolution's weights [C,K,R,S], seen in the memory of `flipped`.
  const memory::desc w_mirrored({s.C, s.K, s.R, s.S}, t, memory::dims{1, s.R * s.S * s.C, s.S * s.C, s.C});

  const ForwardDesc fwd = forward_desc(engine, s, t);
  const DataDesc data = data_desc(engine, s, t, fwd);
  const auto set = [&](DataPass& pass, bool mirrored, const auto& desc, const dnnl::primitive& run) {
    pass.mirrored = mirrored;
    pass.run = run;
    pass.w = memory(desc.weights_desc(), engine);
    pass.w_from = mirrored ? w_mirrored : plan->w;
    pass.to_w = reorder(engine, pass.w_from, desc.weights_desc());
  };
  set(plan->fwd, false, fwd, dnnl::convolution_forward(fwd));
  set(plan->bwd_data, false, data, dnnl::convolution_backward_data(data));
  if (t == Type::f32 && can_mirror(s) && is_brgconv(fwd.impl_info_str()) && is_jit512(data.impl_info_str())) {
    const Conv2dShape m = mirror(s);
    const ForwardDesc m_fwd = forward_desc(engine, m, t);
    const DataDesc m_data = data_desc(engine, m, t, m_fwd);
    if (jit_is_faster(s) && is_jit512(m_data.impl_info_str()))
      set(plan->fwd, true, m_data, dnnl::convolution_backward_data(m_data));
    if (brgconv_is_faster(s) && is_brgconv(m_fwd.impl_info_str()))
      set(plan->bwd_data, true, m_fwd, dnnl::convolution_forward(m_fwd));
    if (plan->fwd.mirrored || plan->bwd_data.mirrored) plan->flipped.resize(static_cast<std::size_t>(s.w_size()));
  }

  const memory::dims stride{s.stride, s.stride}, begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
  const auto weight = describe_backward<dnnl::convolution_backward_weights>(
      engine, fwd, kDirect, plan->x, any_w(s, Type::f32), plan->y, stride, begin, end);
  plan->bwd_weight = dnnl::convolution_backward_weights(weight);
  plan->dw = memory(weight.diff_weights_desc(), engine);
  plan->from_dw = reorder(engine, weight.diff_weights_desc(), plan->dw_to);
  plan->from_dw_add = reorder(engine, weight.diff_weights_desc(), plan->dw_to, true);
  return plan;
}

template <class T>
ConvPlan& plan_for(OnednnCache::State& state, const Conv2dShape& s) {
  return state.plan<ConvPlan>({'c', sizeof(T), s.N, s.H, s.W, s.C, s.K, s.R, s.S, s.stride, s.pad, s.pad_end},
                              [&] { return make_plan(state.engine, s, kDataType<T>); });
}

template <class T>
memory wrap(const memory::desc& desc, const dnnl::engine& engine, const T* p) {
  return {desc, engine, const_cast<T*>(p)};
}

/// out = in through the pass; `as_forward`: the primitive is a forward convolution.
template <class T>
void run(OnednnCache::State& state, ConvPlan& plan, DataPass& pass, const Conv2dShape& s, const T* w, bool as_forward,
         const memory& in, const memory& out) {
  memory weights = wrap(pass.w_from, state.engine, w);
  if constexpr (std::is_same_v<T, float>)
    if (pass.mirrored) {
      const std::int64_t taps = s.R * s.S;
      for (std::int64_t k = 0; k < s.K; ++k)
        for (std::int64_t t = 0; t < taps; ++t)
          std::copy_n(w + (k * taps + t) * s.C, s.C, plan.flipped.data() + (k * taps + taps - 1 - t) * s.C);
      weights.set_data_handle(plan.flipped.data());
    }
  pass.to_w.execute(state.stream, weights, pass.w);
  pass.run.execute(state.stream, {{as_forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, in},
                                  {DNNL_ARG_WEIGHTS, pass.w},
                                  {as_forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, out}});
  state.stream.wait();
}

}  // namespace

template <class T>
void conv2d_fwd(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* w, T* y) {
  if (s.y_size() == 0) return;
  auto& state = cache.state();
  ConvPlan& plan = plan_for<T>(state, s);
  run(state, plan, plan.fwd, s, w, !plan.fwd.mirrored, wrap(plan.x, state.engine, x), wrap(plan.y, state.engine, y));
}

template <class T>
void conv2d_bwd_data(OnednnCache& cache, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float* scratch) {
  if (s.x_size() == 0) return;
  auto& state = cache.state();
  ConvPlan& plan = plan_for<T>(state, s);
  const T* out = mode == Accum::add ? reinterpret_cast<const T*>(scratch) : dx;
  run(state, plan, plan.bwd_data, s, w, plan.bwd_data.mirrored, wrap(plan.y, state.engine, dy),
      wrap(plan.x, state.engine, out));
  if (mode == Accum::add) axpy(kSpec, s.x_size(), 1.0, nullptr, out, dx, Accum::add);
}

template <class T>
void conv2d_bwd_weight(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* dy, float* dw, Accum mode) {
  if (s.w_size() == 0) return;
  if (s.y_size() == 0) return akin::conv2d_bwd_weight(kSpec, s, x, dy, dw, mode, nullptr);  // a sum of nothing
  // oneDNN gathers the pixels that a strided 1x1 convolution reads into a workspace, and with few channels it writes
  // past the end of that (2.6 and 3.7; https://github.com/uxlfoundation/oneDNN/issues/6035, open). Hence the gather.
  if (s.R == 1 && s.S == 1 && s.stride > 1 && s.pad == 0 && s.pad_end == 0 && s.C < 16) {
    const Conv2dShape dense{s.N, s.P(), s.Q(), s.C, s.K, 1, 1, 1, 0};
    std::vector<T> read(static_cast<std::size_t>(dense.x_size()));
    shortcut_a_fwd(kSpec, {s.N, s.H, s.W, s.C, s.C, s.stride}, x, read.data());
    return conv2d_bwd_weight(cache, dense, read.data(), dy, dw, mode);
  }
  auto& state = cache.state();
  ConvPlan& plan = plan_for<T>(state, s);
  plan.bwd_weight.execute(state.stream, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, x)},
                                         {DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, dy)},
                                         {DNNL_ARG_DIFF_WEIGHTS, plan.dw}});
  memory to = wrap(plan.dw_to, state.engine, dw);
  (mode == Accum::add ? plan.from_dw_add : plan.from_dw).execute(state.stream, plan.dw, to);
  state.stream.wait();
}

#define AKIN_INSTANTIATE(T)                                                                               \
  template void conv2d_fwd(OnednnCache&, const Conv2dShape&, const T*, const T*, T*);                     \
  template void conv2d_bwd_data(OnednnCache&, const Conv2dShape&, const T*, const T*, T*, Accum, float*); \
  template void conv2d_bwd_weight(OnednnCache&, const Conv2dShape&, const T*, const T*, float*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin::fast
