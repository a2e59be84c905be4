#include "bench/onednn_ways.hpp"

#include <fmt/format.h>

#include "kernels/common/onednn_state.hpp"
#include "kernels/depthwise.hpp"
#include "kernels/gemm.hpp"

namespace akin::bench {

namespace {

using dnnl::memory;
constexpr auto kFloat = memory::data_type::f32;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;

/// Shapes as oneDNN names them; `w_akin` in akin's memory, `w_any` in the layout that an implementation likes.
struct Descs {
  memory::desc x, w_akin, w_any, y;
};

Descs descs_of(const LayerShape& layer) {
  using tag = memory::format_tag;
  const Conv2dShape& s = layer.s;
  if (layer.kind == LayerKind::linear)
    return {{{s.N, s.C}, kFloat, tag::nc},
            {{s.K, s.C}, kFloat, tag::oi},
            {{s.K, s.C}, kFloat, tag::any},
            {{s.N, s.K}, kFloat, tag::nc}};
  const bool grouped = layer.kind == LayerKind::depthwise;
  const memory::dims w = grouped ? memory::dims{s.C, 1, 1, s.R, s.S} : memory::dims{s.K, s.C, s.R, s.S};
  return {{{s.N, s.C, s.H, s.W}, kFloat, tag::nhwc},
          {w, kFloat, grouped ? tag::goihw : tag::ohwi},
          {w, kFloat, tag::any},
          {{s.N, s.K, s.P(), s.Q()}, kFloat, tag::nhwc}};
}

/// Calls visit(desc) with each implementation of a primitive, oneDNN's first choice first.
template <class Desc, class Visit>
void walk(Desc desc, Visit&& visit) {
  do {
    if (!std::string_view(desc.impl_info_str()).starts_with("ref")) visit(desc);
  } while (desc.next_impl());
}

/// The implementations of one pass of a convolution or an inner product.
template <class Forward, class Data, class Weight, class Visit, class... Arguments>
void walk_pass(const dnnl::engine& engine, LayerPass pass, const Descs& d, Visit&& visit,
               const Arguments&... arguments) {
  const auto all = [&](const auto&... before) {
    const auto forward = fast::describe<Forward>(engine, {}, dnnl::prop_kind::forward_training, before..., d.x, d.w_any,
                                                 d.y, arguments...);
    if (pass == LayerPass::forward)
      walk(forward, visit);
    else if (pass == LayerPass::data)
      walk(fast::describe_backward<Data>(engine, forward, before..., d.x, d.w_any, d.y, arguments...), visit);
    else
      walk(fast::describe_backward<Weight>(engine, forward, before..., d.x, d.w_any, d.y, arguments...), visit);
  };
  if constexpr (std::is_same_v<Forward, dnnl::convolution_forward>)
    all(kDirect);
  else
    all();
}

}  // namespace

const char* name_of(LayerPass pass) {
  return pass == LayerPass::forward ? "fwd" : pass == LayerPass::data ? "bwd_data" : "bwd_weight";
}

std::string LayerShape::str() const {
  if (kind == LayerKind::linear) return fmt::format("linear {}->{}", s.C, s.K);
  const std::string window = fmt::format("{}x{}{}", s.R, s.S, s.stride > 1 ? fmt::format("/{}", s.stride) : "");
  return kind == LayerKind::depthwise ? fmt::format("depthwise {} {}@{}", window, s.C, s.H)
                                      : fmt::format("conv {} {}->{}@{}", window, s.C, s.K, s.H);
}

LayerOperands::LayerOperands(const LayerShape& l)
    : memory({l.s.x_size(), l.kind == LayerKind::depthwise ? l.s.C * l.s.R * l.s.S : l.s.w_size(), l.s.y_size()}) {}

LayerWay akin_way(const LayerShape& layer, LayerPass pass, LayerOperands& operands) {
  const Conv2dShape s = layer.s;
  Rotating<float>& t = operands.memory;
  const Stream<Cpu> stream{true, &operands.cache};
  std::function<void()> run;
  if (layer.kind == LayerKind::conv) {
    run = [=, &t] {
      if (pass == LayerPass::forward)
        conv2d_fwd(stream, s, t[0], t[1], t[2]);
      else if (pass == LayerPass::data)
        conv2d_bwd_data(stream, s, t[2], t[1], t[0], Accum::overwrite, nullptr);
      else
        conv2d_bwd_weight(stream, s, t[0], t[2], t[1], Accum::overwrite, nullptr);
      t.next();
    };
  } else if (layer.kind == LayerKind::depthwise) {
    const DepthwiseShape d{s.N, s.H, s.W, s.C, s.R, s.S, s.stride, s.pad, s.pad_end};
    run = [=, &t] {
      if (pass == LayerPass::forward)
        depthwise_fwd(stream, d, t[0], t[1], t[2]);
      else if (pass == LayerPass::data)
        depthwise_bwd_data(stream, d, t[2], t[1], t[0], Accum::overwrite);
      else
        depthwise_bwd_weight(stream, d, t[0], t[2], t[1], Accum::overwrite, nullptr);
      t.next();
    };
  } else {
    run = [=, &t] {
      const float* none = nullptr;
      if (pass == LayerPass::forward)
        gemm(stream, {s.N, s.K, s.C, Trans::no, Trans::yes}, 1.0, t[0], t[1], none, t[2], Accum::overwrite, nullptr);
      else if (pass == LayerPass::data)
        gemm(stream, {s.N, s.C, s.K}, 1.0, t[2], t[1], none, t[0], Accum::overwrite, nullptr);
      else
        gemm(stream, {s.K, s.C, s.N, Trans::yes, Trans::no}, 1.0, t[2], t[0], none, t[1], Accum::overwrite, nullptr);
      t.next();
    };
  }
  return {"akin", run, {}};
}

std::vector<LayerWay> onednn_ways(const LayerShape& layer, LayerPass pass, LayerOperands& operands) {
  omp_set_num_threads(max_threads());  // akin's own way leaves oneDNN one, and a primitive keeps what it was made with
  auto& state = operands.cache.state();
  const dnnl::engine engine = state.engine;
  const dnnl::stream stream = state.stream;
  Rotating<float>& t = operands.memory;
  const Descs d = descs_of(layer);
  std::vector<LayerWay> ways;
  const auto visit = [&](const auto& desc) {
    using Desc = std::decay_t<decltype(desc)>;
    constexpr bool forward = std::is_same_v<Desc, dnnl::convolution_forward::primitive_desc> ||
                             std::is_same_v<Desc, dnnl::inner_product_forward::primitive_desc>;
    constexpr bool weight = std::is_same_v<Desc, dnnl::convolution_backward_weights::primitive_desc> ||
                            std::is_same_v<Desc, dnnl::inner_product_backward_weights::primitive_desc>;
    memory::desc w;
    if constexpr (weight)
      w = desc.diff_weights_desc();
    else
      w = desc.weights_desc();
    const memory own(d.w_akin, engine, t[1]), liked(w, engine);
    const auto reorder = [=](const memory& from, const memory& to) {
      return [=, r = dnnl::reorder(from, to)]() {
        dnnl::stream in_order = stream;
        memory source = from, target = to;
        r.execute(in_order, source, target);
        in_order.wait();
      };
    };
    const int in = forward || weight ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST;
    const int weights = weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
    const int out = forward ? DNNL_ARG_DST : weight ? DNNL_ARG_DIFF_DST : DNNL_ARG_DIFF_SRC;
    const bool reads_x = forward || weight;
    LayerWay way{desc.impl_info_str(),
                 {},
                 w == d.w_akin ? std::function<void()>()
                 : weight      ? reorder(liked, own)
                               : reorder(own, liked)};
    if (!weight) reorder(own, liked)();
    way.run = [=, &t, primitive = fast::SharedPrimitive(dnnl::primitive(desc.get()), desc)] {
      omp_set_num_threads(max_threads());
      const memory x(d.x, engine, t[0]), y(d.y, engine, t[2]);
      primitive(engine, {{in, reads_x ? x : y}, {weights, liked}, {out, reads_x ? y : x}});
      t.next();
    };
    ways.push_back(std::move(way));
  };
  if (layer.kind == LayerKind::linear) {
    walk_pass<dnnl::inner_product_forward, dnnl::inner_product_backward_data, dnnl::inner_product_backward_weights>(
        engine, pass, d, visit);
  } else {
    const Conv2dShape& s = layer.s;
    const memory::dims stride{s.stride, s.stride}, begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
    walk_pass<dnnl::convolution_forward, dnnl::convolution_backward_data, dnnl::convolution_backward_weights>(
        engine, pass, d, visit, stride, begin, end);
  }
  return ways;
}

}  // namespace akin::bench
