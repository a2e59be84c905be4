#include "nn/stepper.hpp"

#include <algorithm>
#include <utility>

namespace akin {

namespace {

constexpr int kWarmSteps = 2;       // the first fills the pool, the second finds what the first released
constexpr std::size_t kPlaces = 8;  // of batches that are read where they lie

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

Stepper::Captured* Stepper::find(const std::vector<const void*>& places) {
  const auto at = std::find_if(graphs_.begin(), graphs_.end(), [&](const Captured& c) { return c.places == places; });
  return at == graphs_.end() ? nullptr : &*at;
}

Stepper::Captured& Stepper::capture(std::vector<const void*> places) {
  const AllocatorScope scope(ctx_, pool_);
  Captured captured{std::move(places), {}, {}};
  spare_.pop_back();
  ctx_.stream->begin_capture();
  try {
    captured.loss = queue_step({});
  } catch (const Error& e) {
    try {
      ctx_.stream->end_capture();
    } catch (const Error&) {  // the first reason is the one to tell
    }
    fail("training: a step could not be captured as a graph: {}; --no-graph trains without", e.what());
  }
  captured.graph = ctx_.stream->end_capture();
  return graphs_.emplace_back(std::move(captured));
}

void Stepper::run(std::int64_t step, double lr) {
  objective_.begin_step(step);
  optimizer_.prepare(lr);
  if (!use_graph_) {
    queue_step(step);
    return;
  }
  if (warm_steps_ < kWarmSteps) {
    const AllocatorScope scope(ctx_, pool_);
    ++warm_steps_;
    const Tensor loss = queue_step(step);
    while (spare_.size() <= kPlaces) spare_.push_back(Tensor::empty(ctx_, loss.shape(), loss.dtype()));
    return;
  }
  Captured* captured = find(objective_.places());
  if (captured == nullptr && graphs_.size() >= kPlaces) {
    objective_.keep(ctx_);
    captured = find(objective_.places());
  }
  if (captured == nullptr)
    captured = &capture(objective_.places());  // runs the loss's host code, so the counters are right for this step
  else
    for (Tensor& c : counters_) ++c.data<std::int64_t>()[0];
  ctx_.stream->launch(*captured->graph);
  losses_.add(step, captured->loss);
}

}  // namespace akin
