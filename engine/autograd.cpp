#include "engine/autograd.hpp"

#include <algorithm>

#include "engine/launch_on.hpp"
#include "engine/ops/norm_sums.hpp"
#include "kernels/elementwise.hpp"

namespace akin {

namespace {

void accumulate(Context& ctx, const Tensor& sum, const Tensor& x) {
  launch_on(ctx, sum.dtype(), {"add gradients", axpy_work(sum.numel(), Accum::add, size_of(sum.dtype()))},
            [&]<class T>(const auto& stream, T) {
              axpy(stream, sum.numel(), 1.0, nullptr, x.data<T>(), sum.data<T>(), Accum::add);
            });
}

// A gradient that shares its memory with another tensor must not be written in place.
bool shared_memory(const Tensor::Impl& impl) { return impl.storage.use_count() > 1; }

Tensor copy_of(Context& ctx, const Tensor& x) {
  Tensor y = Tensor::empty(ctx, x.shape(), x.dtype());
  y.copy_from(x);
  return y;
}

}  // namespace

Grads::Sink Grads::into(std::size_t i) {
  if (!wanted(i)) return {};
  Tensor::Impl& x = *inputs_[i].handle();
  if (x.norm != nullptr) x.norm->parts = 0;
  if (!x.has_grad) {
    if (x.grad == nullptr) x.grad = Tensor::empty(ctx_, x.shape, x.dtype).handle();
    x.has_grad = true;
    return {Tensor(x.grad), Accum::overwrite};
  }
  if (!x.grad_pinned && shared_memory(*x.grad)) x.grad = copy_of(ctx_, Tensor(x.grad)).handle();
  return {Tensor(x.grad), Accum::add};
}

void Grads::add(std::size_t i, const Tensor& gradient) {
  Tensor::Impl& x = *inputs_[i].handle();
  AKIN_CHECK(gradient.shape() == x.shape && gradient.dtype() == x.dtype,
             "autograd: gradient {} for an input of shape {}", gradient.shape().str(), x.shape.str());
  if (!x.has_grad && x.grad == nullptr) {
    x.grad = gradient.view(gradient.shape()).handle();
    x.has_grad = true;
    return;
  }
  const Sink sink = into(i);
  if (sink.mode == Accum::add)
    accumulate(ctx_, sink.buffer, gradient);
  else
    sink.buffer.copy_from(gradient);
}

void Tape::backward(Context& ctx, const Tensor& loss, double seed) {
  AKIN_CHECK(loss.numel() == 1, "backward: the loss has shape {}, one element was expected", loss.shape().str());
  const bool recorded = std::any_of(nodes_.rbegin(), nodes_.rend(),
                                    [&](const Node& node) { return node.output.handle() == loss.handle(); });
  AKIN_CHECK(loss.requires_grad() && recorded,
             "backward: the loss depends on no parameter, or was not recorded on this tape since its last backward");
  const TapeScope off(ctx, nullptr);  // backward rules may call ops; those are not recorded
  const TraceScope untraced(ctx, nullptr);
  const PassScope pass(ctx, Pass::backward);
  std::vector<Node> nodes = std::move(nodes_);
  nodes_.clear();
  const Tensor one = Tensor::empty(ctx, loss.shape(), loss.dtype());
  // By a kernel: a copy from the host would wait for a GPU, and could not be captured.
  launch_on(ctx, loss.dtype(), {"backward", fill_work(1, Accum::overwrite, size_of(loss.dtype()))},
            [&]<class T>(const auto& stream, T) { fill(stream, 1, seed, nullptr, one.data<T>(), Accum::overwrite); });
  loss.handle()->grad = one.handle();
  loss.handle()->has_grad = true;
  for (; !nodes.empty(); nodes.pop_back()) {  // popping frees what the node saved as soon as it is used
    Node& node = nodes.back();
    if (!node.output.handle()->has_grad) continue;
    const Tensor dy(node.output.handle()->grad);
    node.output.handle()->grad.reset();
    node.output.handle()->has_grad = false;
    Grads grads(ctx, node.inputs);
    node.backward(dy, grads);
    if (ctx.watch != nullptr) ctx.watch->backward(node.op, node.inputs);
    if (ctx.profiler != nullptr) ctx.profiler->backward(node.op, node.inputs, node.output);
  }
}

Tensor record(Context& ctx, const OpCall& op, Tensor y, std::vector<Tensor> inputs, Tape::Backward backward) {
  if (ctx.trace != nullptr) {
    TraceNode node{op.name, inputs, y, {}};
    for (const Attribute& a : op.attributes) node.attributes.emplace(a.name, a.value);
    ctx.trace->nodes.push_back(std::move(node));
  }
  if (ctx.watch != nullptr) ctx.watch->forward(op.name, inputs, y);
  if (ctx.profiler != nullptr) ctx.profiler->forward(op.name, inputs, y);
  const auto needs = [](const Tensor& t) { return t.defined() && t.requires_grad(); };
  if (ctx.tape == nullptr || std::none_of(inputs.begin(), inputs.end(), needs)) return y;
  y.set_requires_grad(true);
  ctx.tape->push({op.name, std::move(inputs), y, std::move(backward)});
  return y;
}

Tensor record(Context& ctx, const char* op, Tensor y, std::vector<Tensor> inputs, Tape::Backward backward) {
  return record(ctx, OpCall{op}, std::move(y), std::move(inputs), std::move(backward));
}

Tensor record_no_backward(Context& ctx, const char* op, Tensor y, std::vector<Tensor> inputs) {
  return record(ctx, op, std::move(y), std::move(inputs), [op](const Tensor&, Grads&) {
    fail("{}: has no backward; detach its input if no gradient is wanted", op);
  });
}

}  // namespace akin
