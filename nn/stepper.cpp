#include "nn/stepper.hpp"

#include <algorithm>
#include <utility>

namespace akin {

namespace {

constexpr int kWarmSteps = 2;  // the first fills the pool, the second finds what the first released

/// While alive, a Context takes memory from another allocator.
class AllocatorScope {
 public:
  AllocatorScope(Context& ctx, std::shared_ptr<Allocator> other)
      : ctx_(ctx), before_(std::exchange(ctx.allocator, std::move(other))) {}
  ~AllocatorScope() { ctx_.allocator = before_; }
  AllocatorScope(const AllocatorScope&) = delete;
  AllocatorScope& operator=(const AllocatorScope&) = delete;

 private:
  Context& ctx_;
  std::shared_ptr<Allocator> before_;
};

}  // namespace

Stepper::Stepper(Context& ctx, Objective& objective, Optimizer& optimizer, const ParameterList& parameters, bool graph)
    : ctx_(ctx), objective_(objective), optimizer_(optimizer), losses_(ctx), use_graph_(graph && ctx.gpu != nullptr) {
  for (const Parameter& p : parameters)
    if (p.kind == ParameterKind::counter) counters_.push_back(p.tensor);
  if (use_graph_) pool_ = std::make_shared<Allocator>(AllocatorOptions{}, ctx.gpu, ctx.stream);
}

Tensor Stepper::queue_step(std::optional<std::int64_t> step) {
  Tape tape;
  optimizer_.zero_grad();
  const TapeScope scope(ctx_, &tape);
  Tensor loss = objective_.forward();
  if (step) losses_.add(*step, loss);
  tape.backward(ctx_, loss);
  optimizer_.apply();
  return loss;
}

void Stepper::capture() {
  ctx_.stream->begin_capture();
  try {
    loss_ = queue_step({});
  } catch (const Error& e) {
    try {
      ctx_.stream->end_capture();
    } catch (const Error&) {  // the first reason is the one to tell
    }
    fail("training: a step could not be captured as a graph: {}; --no-graph trains without", e.what());
  }
  graph_ = ctx_.stream->end_capture();
}

void Stepper::run(std::int64_t step, double lr) {
  objective_.begin_step(step);
  optimizer_.prepare(lr);
  if (!use_graph_) {
    queue_step(step);
    return;
  }
  objective_.keep(ctx_);
  if (graph_ == nullptr) {
    const AllocatorScope scope(ctx_, pool_);
    if (warm_steps_ < kWarmSteps) {
      ++warm_steps_;
      queue_step(step);
      return;
    }
    capture();  // runs the loss's host code, so the counters are right for this step
  } else {
    for (Tensor& c : counters_) ++c.data<std::int64_t>()[0];
  }
  ctx_.stream->launch(*graph_);
  losses_.add(step, loss_);
}

}  // namespace akin
