// Only for *_onednn.cpp: the engine, the stream and the compiled primitives by key; and where oneDNN 2 and 3 differ.
#pragma once

#include <dnnl.hpp>

#include <map>
#include <memory>
#include <vector>

#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::fast {

/// What a stem keeps for one shape; each stem derives its own.
struct OnednnPlan {
  virtual ~OnednnPlan() = default;
};

struct OnednnCache::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::vector<std::int64_t>, std::unique_ptr<OnednnPlan>> plans;

  /// The plan for `key` (first number: a stem's own constant), made by `make()` the first time. A plan fits one thread
  /// count: its work is cut and its workspace sized when it is made.
  template <class Plan, class Make>
  Plan& plan(std::vector<std::int64_t> key, Make&& make) {
    key.push_back(max_threads());
    auto& slot = plans[key];
    if (!slot) slot = make();
    return static_cast<Plan&>(*slot);
  }
};

template <class T>
inline constexpr auto kDataType =
    std::is_same_v<T, bf16> ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;

constexpr bool kOnednn3 = DNNL_VERSION_MAJOR >= 3;

/// What oneDNN would run for a primitive's arguments. Version 2 wants them packed into an operation descriptor.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                            const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., attr};
#else
  return {typename Primitive::desc(arguments...), attr, engine};
#endif
}

/// The same for a backward pass; `forward` describes the forward pass that it belongs to.
template <class Primitive, class Forward, class... Arguments>
typename Primitive::primitive_desc describe_backward(const dnnl::engine& engine, const Forward& forward,
                                                     const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., forward};
#else
  return {typename Primitive::desc(arguments...), engine, forward};
#endif
}

/// The result times alpha, and with `add` plus what the output holds. Version 3 has no scale of the output.
inline dnnl::primitive_attr write_as(float alpha, bool add) {
  dnnl::primitive_attr attr;
  dnnl::post_ops post;
#if DNNL_VERSION_MAJOR >= 3
  if (alpha != 1.0f) post.append_eltwise(dnnl::algorithm::eltwise_linear, alpha, 0.0f);
#else
  if (alpha != 1.0f) attr.set_output_scales(0, {alpha});
#endif
  if (add) post.append_sum(1.0f);
  attr.set_post_ops(post);
  return attr;
}

}  // namespace akin::fast
