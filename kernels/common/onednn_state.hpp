// Only for *_onednn.cpp: the engine, the stream and the compiled primitives by key.
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

}  // namespace akin::fast
