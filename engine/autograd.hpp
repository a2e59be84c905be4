// Reverse-mode differentiation. Every differentiable op appends one node to the tape of its Context: its inputs, its
// output and a function that turns the gradient of the output into gradients of the inputs. backward() runs the nodes
// from the last to the first and empties the tape.
#pragma once

#include <functional>
#include <vector>

#include "engine/trace.hpp"
#include "kernels/common/accum.hpp"

namespace akin {

/// Where a backward rule puts the gradients of its inputs.
class Grads {
 public:
  Grads(Context& ctx, const std::vector<Tensor>& inputs) : ctx_(ctx), inputs_(inputs) {}

  Context& ctx() const { return ctx_; }
  /// False when nobody needs the gradient of input i: skip the work.
  bool wanted(std::size_t i) const { return inputs_[i].defined() && inputs_[i].requires_grad(); }

  struct Sink {
    Tensor buffer;  ///< undefined when nobody needs the gradient
    Accum mode = Accum::overwrite;
    bool wanted() const { return buffer.defined(); }
    /// nullptr when nobody needs it.
    template <class T>
    T* data() const {
      return wanted() ? buffer.data<T>() : nullptr;
    }
  };
  /// Memory to write the gradient of input i into, and whether to overwrite it or add to it. The caller must write.
  Sink into(std::size_t i);
  /// Hands over a finished gradient; it may share memory with other tensors.
  void add(std::size_t i, const Tensor& gradient);

 private:
  Context& ctx_;
  const std::vector<Tensor>& inputs_;
};

class Tape {
 public:
  using Backward = std::function<void(const Tensor& dy, Grads& grads)>;
  struct Node {
    const char* op;
    std::vector<Tensor> inputs;
    Tensor output;
    Backward backward;
  };

  void push(Node node) { nodes_.push_back(std::move(node)); }
  std::size_t size() const { return nodes_.size(); }
  void clear() { nodes_.clear(); }
  /// Gradients of the scalar `loss` for every leaf that requires one, times `seed`, added to what they hold. Empties
  /// the tape. Throws when `loss` is not one element, or no op of this tape made it.
  void backward(Context& ctx, const Tensor& loss, double seed = 1.0);

 private:
  std::vector<Node> nodes_;
};

/// Called by every differentiable op with its result: records how to differentiate it when a tape is there and an input
/// requires a gradient, and what was done when there is a trace. Returns y.
Tensor record(Context& ctx, const OpCall& op, Tensor y, std::vector<Tensor> inputs, Tape::Backward backward);
/// The same for an op that has no attributes.
Tensor record(Context& ctx, const char* op, Tensor y, std::vector<Tensor> inputs, Tape::Backward backward);

/// The same for an op without a derivative: the backward pass throws and names the op, instead of stopping silently.
Tensor record_no_backward(Context& ctx, const char* op, Tensor y, std::vector<Tensor> inputs);

/// While alive, ops of `ctx` are recorded on `tape` (nullptr: not at all); then the previous state returns.
using TapeScope = ContextScope<&Context::tape>;

}  // namespace akin
