#include <algorithm>
#include <vector>

#include "kernels/common/conv_copies.hpp"
#include "kernels/common/onednn_state.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/conv2d.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/gemm.hpp"
#include "kernels/shortcut.hpp"

namespace akin::fast {

namespace {

using dnnl::memory;

/// A pass that reads weights.
struct DataPass {
  /// With stride 1, a convolution of x with w is the data gradient of the mirrored convolution: C and K exchanged, taps
  /// reversed, padding R - 1 - pad. oneDNN implements the two passes differently, so each can stand in for the other.
  bool mirrored = false;
  SharedPrimitive run;
  memory::desc w_from, w;  // the weights as `run` names their axes, in akin's memory; in the layout that it chose
  SharedPrimitive to_w;
};

/// The three passes of one shape, each to be run by one thread; several may at once. oneDNN wants weights in a blocked
/// layout of its choice; they are reordered on every call.
struct ConvPlan final : OnednnPlan {
  memory::desc x, w, dw_to, y;  // w and its gradient, always f32: as akin keeps them, [K,R,S,C]
  DataPass fwd, bwd_data;
  SharedPrimitive bwd_weight;
  memory::desc dw;  // in the layout that the implementation chose
  SharedPrimitive from_dw, from_dw_add;
};

SharedPrimitive reorder(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to,
                        bool add = false) {
  const dnnl::reorder::primitive_desc description(engine, from, engine, to, for_any_thread(write_as(1.0f, add)));
  return {dnnl::reorder(description), description};
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
    pass.run = {run, desc};
    pass.w = desc.weights_desc();
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
  }

  const memory::dims stride{s.stride, s.stride}, begin{s.pad, s.pad}, end{s.pad_end, s.pad_end};
  const auto weight = describe_backward<dnnl::convolution_backward_weights>(
      engine, fwd, kDirect, plan->x, any_w(s, Type::f32), plan->y, stride, begin, end);
  plan->bwd_weight = {dnnl::convolution_backward_weights(weight), weight};
  plan->dw = weight.diff_weights_desc();
  plan->from_dw = reorder(engine, weight.diff_weights_desc(), plan->dw_to);
  plan->from_dw_add = reorder(engine, weight.diff_weights_desc(), plan->dw_to, true);
  return plan;
}

ConvPlan& plan_for(OnednnCache::State& state, const Conv2dShape& s, Type t) {
  return state.plan<ConvPlan>({'c', t == Type::bf16, s.N, s.H, s.W, s.C, s.K, s.R, s.S, s.stride, s.pad, s.pad_end},
                              [&] { return make_plan(state.engine, s, t); });
}

memory wrap(const memory::desc& desc, const dnnl::engine& engine, const void* p) {
  return {desc, engine, const_cast<void*>(p)};
}

// How a convolution is cut into pieces that whoever is free works on: by its shape alone, so that the bits of a result
// do not depend on the number of threads.

constexpr std::int64_t kManyPieces = 16, kFewPieces = 8;
constexpr std::int64_t kManyOperations = 512'000'000;  // of a layer that is cut into many
constexpr std::int64_t kPieceChannels = 64;
constexpr std::int64_t kWeightPiecePixels = 1024;  // dw of a piece is written and read once more, to be added up

/// A piece: images or channels `begin` and on, as many as `shape` says.
struct Part {
  std::int64_t begin;
  Conv2dShape shape;
  const ConvPlan* plan;
};
using Parts = std::vector<Part>;

/// In pieces of `size` images (`side`: N) or channels (C or K); the last one may be smaller.
Parts parts_of(OnednnCache::State& state, const Conv2dShape& s, Type t, std::int64_t Conv2dShape::*side,
               std::int64_t size) {
  Parts parts;
  for (std::int64_t begin = 0; begin < s.*side; begin += size) {
    Conv2dShape shape = s;
    shape.*side = std::min(size, s.*side - begin);
    parts.push_back({begin, shape, &plan_for(state, shape, t)});
  }
  return parts;
}

/// Multiplications and additions for one image.
std::int64_t operations_of(const Conv2dShape& s) {
  return std::max<std::int64_t>(2 * s.P() * s.Q() * s.K * s.C * s.R * s.S, 1);
}

std::int64_t most_pieces(const Conv2dShape& s) {
  return s.N * operations_of(s) >= kManyOperations ? kManyPieces : kFewPieces;
}

Parts images_of(OnednnCache::State& state, const Conv2dShape& s, Type t, std::int64_t most) {
  const std::int64_t images = std::max((s.N + most - 1) / most, kPieceOperations / operations_of(s) + 1);
  return parts_of(state, s, t, &Conv2dShape::N, std::clamp<std::int64_t>(images, 1, s.N));
}

/// Channels, where there are more weights than numbers in an output channel: weights are the work then, and pieces of
/// the batch would read them all, each. Else nothing. `pixels`: of what the channels are written to.
Parts channels_of(OnednnCache::State& state, const Conv2dShape& s, Type t, std::int64_t Conv2dShape::*side,
                  std::int64_t pixels) {
  const std::int64_t channels = s.*side;
  if (channels < 2 * kPieceChannels || pixels >= s.w_size() / channels || pixels * s.w_size() < kPieceOperations)
    return {};
  return parts_of(state, s, t, side, std::max(kPieceChannels, (channels / kManyPieces + 15) / 16 * 16));
}

template <class Body>
void for_parts(const Parts& parts, Body&& body) {
  parallel_tasks(static_cast<std::int64_t>(parts.size()),
                 [&](std::int64_t i, int) { body(parts[static_cast<std::size_t>(i)], static_cast<std::size_t>(i)); });
}

/// The calling thread's own memory, kept.
struct Workspace {
  Buffer packed, weights, out;
};
Workspace& workspace() {
  thread_local Workspace own;
  return own;
}

/// The weights in the layout that the pass wants, in `to`. `s`: of the piece; w [K,R,S,all_channels], of which it takes
/// C from `first` on.
template <class T>
void reorder_weights(OnednnCache::State& state, const DataPass& pass, const Conv2dShape& s, const T* w, Channels of_w,
                     T* to) {
  const T* from = w;
  if (pass.mirrored || of_w.all != s.C) {
    T* packed = workspace().packed.sized<T>(static_cast<std::size_t>(s.w_size()) * sizeof(T));
    const std::int64_t taps = s.R * s.S;
    for (std::int64_t k = 0; k < s.K; ++k)
      for (std::int64_t t = 0; t < taps; ++t)
        std::copy_n(w + (k * taps + t) * of_w.all + of_w.first, s.C,
                    packed + (k * taps + (pass.mirrored ? taps - 1 - t : t)) * s.C);
    from = packed;
  }
  pass.to_w(state.engine,
            {{DNNL_ARG_FROM, wrap(pass.w_from, state.engine, from)}, {DNNL_ARG_TO, wrap(pass.w, state.engine, to)}});
}

void run(OnednnCache::State& state, const DataPass& pass, bool as_forward, const memory& in, const void* w,
         const memory& out) {
  pass.run(state.engine, {{as_forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, in},
                          {DNNL_ARG_WEIGHTS, wrap(pass.w, state.engine, w)},
                          {as_forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, out}});
}

/// A data pass in pieces of images; `pass`: which of a plan's passes.
template <class T>
void run_images(OnednnCache::State& state, const Conv2dShape& s, DataPass ConvPlan::*pass, bool forward, const T* in,
                const T* w, T* out) {
  const Parts parts = images_of(state, s, kDataType<T>, most_pieces(s));
  const std::int64_t x_image = s.H * s.W * s.C, y_image = s.P() * s.Q() * s.K;
  const auto reorder_for = [&](const Part& part, Buffer& to) {
    const DataPass& p = part.plan->*pass;
    reorder_weights(state, p, part.shape, w, {s.C, 0}, to.sized<T>(p.w.get_size()));
  };
  reorder_for(parts.front(), state.weights[0]);
  if (parts.back().plan != parts.front().plan) reorder_for(parts.back(), state.weights[1]);
  for_parts(parts, [&](const Part& part, std::size_t) {
    const ConvPlan& plan = *part.plan;
    const T* x = (forward ? in : out) + part.begin * x_image;
    const T* y = (forward ? out : in) + part.begin * y_image;
    const memory at_x = wrap(plan.x, state.engine, x), at_y = wrap(plan.y, state.engine, y);
    run(state, plan.*pass, forward != (plan.*pass).mirrored, forward ? at_x : at_y,
        state.weights[part.plan != parts.front().plan].data<T>(), forward ? at_y : at_x);
  });
}

/// A data pass in pieces of channels of what it writes: of K forward, of C backward.
template <class T>
void run_channels(OnednnCache::State& state, const Parts& parts, const Conv2dShape& s, DataPass ConvPlan::*pass,
                  bool forward, const T* in, const T* w, T* out, Accum mode) {
  const std::int64_t pixels = s.N * (forward ? s.P() * s.Q() : s.H * s.W);
  for_parts(parts, [&](const Part& part, std::size_t) {
    const ConvPlan& plan = *part.plan;
    const DataPass& p = plan.*pass;
    const memory::desc &from = forward ? plan.x : plan.y, &to = forward ? plan.y : plan.x;
    Workspace& own = workspace();
    T *weights = own.weights.sized<T>(p.w.get_size()), *written = own.out.sized<T>(to.get_size());
    reorder_weights(state, p, part.shape, forward ? w + part.begin * s.R * s.S * s.C : w,
                    {s.C, forward ? 0 : part.begin}, weights);
    run(state, p, forward != p.mirrored, wrap(from, state.engine, in), weights, wrap(to, state.engine, written));
    const std::int64_t count = forward ? part.shape.K : part.shape.C;
    copy_channels(pixels, count, written, {count, 0}, out, {forward ? s.K : s.C, part.begin}, mode);
  });
}

// Where oneDNN 2.6's bf16 kernels are wrong (found by random shapes against the specification), f32 does the work: a
// data gradient of 1x1 from an odd number of channels; a weight gradient of which some taps see nothing but padding,
// whose sums hold what the scratch memory held.

bool wrong_data_in_bf16(const Conv2dShape& s) { return s.R * s.S == 1 && s.K % 2 == 1; }

bool wrong_weight_in_bf16(const Conv2dShape& s) {
  return !each_tap_sees(s.H, s.R, s.stride, s.pad, s.P()) || !each_tap_sees(s.W, s.S, s.stride, s.pad, s.Q());
}

// A weight gradient of small maps is a product of matrices, dY^T times the columns. Measured with oneDNN 2.6 on two
// threads (Intel with AMX; batch 16 to 128, 64 to 512 channels): in f32 it takes 0.4 to 0.75 of the convolution's time
// on maps of 2x2, which is one piece and so one thread's work, and 0.5 to 2 on 4x4; in bf16 on AMX 0.08 to 0.9 up to
// 4x4, where oneDNN's is slower than in f32, and from 8x8 on 1.1 to 5.
template <class T>
bool is_product(const Conv2dShape& s) {
  return s.P() * s.Q() <= (std::is_same_v<T, bf16> && onednn_has_amx() ? 16 : 4);
}

}  // namespace

template <class T>
void conv2d_fwd(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* w, T* y) {
  if (s.y_size() == 0) return;
  auto& state = cache.state();
  const Parts filters = channels_of(state, s, kDataType<T>, &Conv2dShape::K, s.N * s.P() * s.Q());
  if (filters.empty())
    run_images(state, s, &ConvPlan::fwd, true, x, w, y);
  else
    run_channels(state, filters, s, &ConvPlan::fwd, true, x, w, y, Accum::overwrite);
}

template <class T>
void conv2d_bwd_data(OnednnCache& cache, const Conv2dShape& s, const T* dy, const T* w, T* dx, Accum mode,
                     float* scratch) {
  if (s.x_size() == 0) return;
  if constexpr (std::is_same_v<T, bf16>)
    if (wrong_data_in_bf16(s)) {
      std::vector<float> out(static_cast<std::size_t>(s.x_size()));
      conv2d_bwd_data(cache, s, in_float(dy, s.y_size()).data(), in_float(w, s.w_size()).data(), out.data(),
                      Accum::overwrite, scratch);
      for (std::size_t i = 0; i < out.size(); ++i) store(dx[i], out[i], mode);
      return;
    }
  auto& state = cache.state();
  const Parts channels = channels_of(state, s, kDataType<T>, &Conv2dShape::C, s.N * s.H * s.W);
  if (!channels.empty()) return run_channels(state, channels, s, &ConvPlan::bwd_data, false, dy, w, dx, mode);
  T* out = mode == Accum::add ? reinterpret_cast<T*>(scratch) : dx;
  run_images(state, s, &ConvPlan::bwd_data, false, dy, w, out);
  if (mode == Accum::add) axpy(kSpec, s.x_size(), 1.0, nullptr, out, dx, Accum::add);
}

template <class T>
void conv2d_bwd_weight(OnednnCache& cache, const Conv2dShape& s, const T* x, const T* dy, float* dw, Accum mode) {
  if (s.w_size() == 0) return;
  if (s.y_size() == 0) return akin::conv2d_bwd_weight(kSpec, s, x, dy, dw, mode, nullptr);  // a sum of nothing
  if (is_product<T>(s)) {
    const std::int64_t pixels = s.N * s.P() * s.Q(), columns = s.R * s.S * s.C;
    T* seen = workspace().packed.sized<T>(static_cast<std::size_t>(pixels * columns) * sizeof(T));
    gather_columns(s, x, seen);
    const GemmShape product{s.K, columns, pixels, Trans::yes, Trans::no};
    return akin::gemm(Stream<Cpu>{true, &cache}, product, 1.0, dy, seen, static_cast<const float*>(nullptr), dw, mode,
                      nullptr);
  }
  if constexpr (std::is_same_v<T, bf16>)
    if (wrong_weight_in_bf16(s))
      return conv2d_bwd_weight(cache, s, in_float(x, s.x_size()).data(), in_float(dy, s.y_size()).data(), dw, mode);
  // oneDNN gathers the pixels that a strided 1x1 convolution reads into a workspace, and with few channels it writes
  // past the end of that (2.6 and 3.7; https://github.com/uxlfoundation/oneDNN/issues/6035, open). Hence the gather.
  if (s.R == 1 && s.S == 1 && s.stride > 1 && s.pad == 0 && s.pad_end == 0 && s.C < 16) {
    const Conv2dShape dense{s.N, s.P(), s.Q(), s.C, s.K, 1, 1, 1, 0};
    std::vector<T> read(static_cast<std::size_t>(dense.x_size()));
    shortcut_a_fwd(kSpec, {s.N, s.H, s.W, s.C, s.C, s.stride}, x, read.data());
    return conv2d_bwd_weight(cache, dense, read.data(), dy, dw, mode);
  }
  auto& state = cache.state();
  const std::int64_t pixels = s.N * s.P() * s.Q();
  const auto execute = [&](const ConvPlan& plan, const T* from_x, const T* from_dy, float* to) {
    plan.bwd_weight(state.engine, {{DNNL_ARG_SRC, wrap(plan.x, state.engine, from_x)},
                                   {DNNL_ARG_DIFF_DST, wrap(plan.y, state.engine, from_dy)},
                                   {DNNL_ARG_DIFF_WEIGHTS, wrap(plan.dw, state.engine, to)}});
  };
  const auto write = [&](const ConvPlan& plan, const float* from, float* to, bool add) {
    (add ? plan.from_dw_add : plan.from_dw)(state.engine, {{DNNL_ARG_FROM, wrap(plan.dw, state.engine, from)},
                                                           {DNNL_ARG_TO, wrap(plan.dw_to, state.engine, to)}});
  };
  if (const Parts filters = channels_of(state, s, kDataType<T>, &Conv2dShape::K, pixels); !filters.empty())
    return for_parts(filters, [&](const Part& part, std::size_t) {
      Workspace& own = workspace();
      T* packed = own.packed.sized<T>(part.plan->y.get_size());
      float* out = own.out.sized<float>(part.plan->dw.get_size());
      copy_channels(pixels, part.shape.K, dy, {s.K, part.begin}, packed, {part.shape.K, 0}, Accum::overwrite);
      execute(*part.plan, x, packed, out);
      write(*part.plan, out, dw + part.begin * s.R * s.S * s.C, mode == Accum::add);
    });
  // Each piece of the batch has a sum of its own; they are added in their order. The last one may have another layout.
  const Parts parts =
      images_of(state, s, kDataType<T>, std::clamp<std::int64_t>(pixels / kWeightPiecePixels, 1, most_pieces(s) / 2));
  const std::int64_t x_image = s.H * s.W * s.C, y_image = s.P() * s.Q() * s.K;
  const std::size_t bytes = std::max(parts.front().plan->dw.get_size(), parts.back().plan->dw.get_size());
  const std::size_t size = (bytes + 63) / 64 * 16;  // floats from one sum to the next
  float* sums = state.sums.sized<float>(parts.size() * size * sizeof(float));
  for_parts(parts, [&](const Part& part, std::size_t i) {
    execute(*part.plan, x + part.begin * x_image, dy + part.begin * y_image, sums + i * size);
  });
  const bool other = parts.back().plan != parts.front().plan;
  const std::size_t alike = parts.size() - (other ? 1 : 0);
  const auto count = static_cast<std::int64_t>(parts.front().plan->dw.get_size() / sizeof(float));
  parallel_for(count, 1 << 14, [=](std::int64_t begin, std::int64_t end) {
    for (std::size_t p = 1; p < alike; ++p)
      for (std::int64_t i = begin; i < end; ++i) sums[i] += sums[p * size + static_cast<std::size_t>(i)];
  });
  write(*parts.front().plan, sums, dw, mode == Accum::add);
  if (other) write(*parts.back().plan, sums + alike * size, dw, true);
}

#define AKIN_INSTANTIATE(T)                                                                               \
  template void conv2d_fwd(OnednnCache&, const Conv2dShape&, const T*, const T*, T*);                     \
  template void conv2d_bwd_data(OnednnCache&, const Conv2dShape&, const T*, const T*, T*, Accum, float*); \
  template void conv2d_bwd_weight(OnednnCache&, const Conv2dShape&, const T*, const T*, float*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin::fast
