// A record of the ops that one forward pass ran, for those who need the network as data (the export). While a
// Context has a trace, every differentiable op leaves a node in it; otherwise an op pays one comparison for it.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/tensor.hpp"

namespace akin {

/// A number that an op was called with: stride, padding, eps, a flag (0 or 1).
struct Attribute {
  template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T> Attribute(const char* n, T v)
      : name(n), value(static_cast<double>(v)) {}
  const char* name;
  double value;
};

/// What record() is told of the op. Lives no longer than the call.
struct OpCall {
  const char* name;
  std::initializer_list<Attribute> attributes = {};
};

struct TraceNode {
  std::string op;
  std::vector<Tensor> inputs;  ///< as the op names them; may be undefined. Kept alive, so that no two tensors share an
                               ///< identity (Tensor::handle)
  Tensor output;
  std::map<std::string, double> attributes;
};

struct Trace {
  std::vector<TraceNode> nodes;  ///< in the order in which they ran
};

/// Is shown every differentiable op as it runs, with its results at hand, and may throw to stop there. For those who
/// look for the op where something went wrong.
class OpWatch {
 public:
  virtual ~OpWatch() = default;
  virtual void forward(const char* op, const std::vector<Tensor>& inputs, const Tensor& output) = 0;
  /// After the op's backward rule: the gradients of its inputs have their share of it.
  virtual void backward(const char* op, const std::vector<Tensor>& inputs) = 0;
};

/// While alive, ops of `ctx` are shown to `watch`; then the previous state returns.
using WatchScope = ContextScope<&Context::watch>;

/// While alive, ops of `ctx` are written to `trace` (nullptr: not at all); then the previous state returns.
using TraceScope = ContextScope<&Context::trace>;

}  // namespace akin
