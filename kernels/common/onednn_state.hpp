// Only for *_onednn.cpp: the engine, the stream and the compiled primitives by key.
#pragma once

#include <dnnl.hpp>

#include <map>
#include <memory>
#include <vector>

#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::fast {

/// A copy between two layouts of the same array; `add`: onto what is there.
inline dnnl::reorder make_reorder(const dnnl::engine& engine, const dnnl::memory::desc& from,
                                  const dnnl::memory::desc& to, bool add = false) {
  dnnl::primitive_attr attr;
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attr.set_post_ops(sum);
  }
  return dnnl::reorder(dnnl::reorder::primitive_desc(engine, from, engine, to, attr));
}

/// oneDNN's name for an array of ours.
inline dnnl::memory wrap(const dnnl::memory::desc& desc, const dnnl::engine& engine, const float* p) {
  return {desc, engine, const_cast<float*>(p)};
}

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

}  // namespace akin::fast
