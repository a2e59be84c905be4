// A network given as a list of layers: what converters of deployed models write (batch norm folded into biases).
//
//   {"input_shape_nhwc": [1, 224, 224, 3],
//    "nodes": [{"op": "conv", "w": "Conv", "in": ["input"], "out": "x1", "act": "relu6", "stride": 2, "kernel": [3, 3],
//               "pad": "same"}, ...]}
//
//   conv, dwconv     weights <w>.weight [K,C,R,S] or [C,1,R,S] and <w>.bias; pad: "same" (TensorFlow's: zeros so that
//                    the output has ceil(side / stride) pixels, one more at the end where odd), "valid", or a number;
//                    "norm": a batch norm <norm>.weight, .bias, .running_mean, .running_var instead of the bias
//   add, concat      of several inputs, channels side by side
//   max_pool         kernel, stride, pad (a number); "ceil": true as in PyTorch
//   shortcut_a       "stride", "channels": the option-A shortcut of CIFAR ResNets
//   scale            of a map by a vector: squeeze-excite
//   activation, global_avg_pool, fc
//   act              none, relu, relu6, hardswish or hardsigmoid, of conv, dwconv, fc, add, concat and activation,
//   which
//                    must say it
//   out_shape_nhwc   of the output for an input of input_shape_nhwc; its channels are those of conv, dwconv and fc
//
//   mix_heads        of the last node and of a second head on what that reads (fc of the weights taught_head):
//                    log((1 - "share") softmax(first) + "share" softmax(second)); only as the very last node
//
// A key that is none of these is refused: what it asks for would not be done. The last node is the head: fc, or a 1x1
// conv on the pooled vector. Everything trains like any other network.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nn/network.hpp"

namespace akin {

/// Size and head of a graph, without building it. Error where the text is no such graph, naming `source`.
struct GraphSummary {
  std::int64_t height, width, channels;
  std::string head;  ///< name of the last layer's weights
};
GraphSummary summarize_graph(const std::string& json, const std::string& source);

/// The graph with a network's second head and its mixture behind the head, for whoever runs it elsewhere.
std::string with_mixture(const std::string& json, double share);
/// Takes these two off again, as Architecture has them: the share; 0, and the text untouched, where there are none.
double take_mixture(std::string& json, const std::string& source);

class GraphNetwork final : public Network {
 public:
  /// architecture.graph is the JSON text. Error on unknown layers, inputs that no node makes, and shapes that do not
  /// fit.
  GraphNetwork(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return stride_; }

  /// Gives `look` the map that each convolution with a bias makes of images x before the bias is added, and the name of
  /// its weights.
  using Look = std::function<void(const std::string& weights, const Tensor& map)>;
  void look_at_convolutions(Context& ctx, const Tensor& x, const Look& look) const { run_all(ctx, x, false, look); }

 private:
  enum class Op { conv, fc, add, concat, max_pool, shortcut_a, scale, activation, global_avg_pool };
  struct Node {
    Op op;
    std::string weights, norm, out;
    std::vector<std::string> in;
    Activation activation;
    std::int64_t stride = 1, pad = 0, window = 1, channels = 0;
    bool same = false, ceil = false;
    ConvBias conv;
    ConvNorm normed;  // instead of it where `norm` has a name
    Linear fc;
  };
  Tensor run_all(Context& ctx, const Tensor& x, bool training, const Look& look) const;
  Tensor run(Context& ctx, const Node& node, const std::vector<Tensor>& in, bool training, const Look& look) const;
  Tensor convolve(Context& ctx, const Node& node, const Tensor& x, bool training, const Look& look) const;
  void collect_extractor(ParameterList& list) const override;
  std::vector<Node> nodes_;                      // without the head
  std::map<std::string, std::size_t> last_use_;  // of each output: the node that reads it last
  std::int64_t stride_ = 1;
};

}  // namespace akin
