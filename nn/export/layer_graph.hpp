// A network as data: its layers in the order in which they run, and its weights. Taken from the trace of one forward
// pass, so no architecture needs code of its own; what nn/onnx and other writers start from.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "nn/network.hpp"

namespace akin {

/// One layer. `op` is the name of the op in engine/ops.hpp, with these differences: batchnorm has neither ReLU nor
/// residual (add and relu follow as layers of their own), channel_bias has no activation, and an activation is named
/// after its kind: relu, relu6, hardswish, hardsigmoid.
struct Layer {
  std::string op;
  std::string name;                            ///< unique; its weights' common prefix where it has weights
  std::vector<std::string> inputs;             ///< names of earlier layers, or "input"
  std::map<std::string, std::string> weights;  ///< role -> name in LayerGraph::weights: weight, bias, mean, var
  std::map<std::string, double> attributes;    ///< what the op was called with: stride, pad, eps ...
  Shape output;                                ///< for one image: [1, H, W, C] or [1, C]

  /// An attribute that is a whole number.
  std::int64_t whole(const char* attribute, std::int64_t otherwise = 0) const {
    const auto it = attributes.find(attribute);
    return it == attributes.end() ? otherwise : static_cast<std::int64_t>(it->second);
  }
};

struct LayerGraph {
  Shape input;                           ///< [1, H, W, C]
  std::vector<Layer> layers;             ///< the last one's output is the network's: logits [N, classes]
  std::map<std::string, Array> weights;  ///< f32, named and laid out as in memory: [K, R, S, C], [K, D], [C]
  std::set<std::string> of_head;         ///< names of those that belong to a head

  const Layer& at(const std::string& name) const;
  /// Shape of what `name` ("input" or a layer) puts out, for one image.
  const Shape& shape_of(const std::string& name) const { return name == "input" ? input : at(name).output; }
  /// How many layers read it.
  int readers(const std::string& name) const;
};

/// What `network` does with images [N, height, width, channels] in eval mode, as far as the logits depend on it. Runs
/// it once, on the CPU in f32. A bias that follows a convolution becomes the convolution's,
/// and a linear layer on every pixel of a map a convolution of 1x1. Throws where the network
/// does something that is not an op, or mixes the images of a batch.
LayerGraph capture_layers(Context& ctx, const Network& network, std::int64_t height, std::int64_t width);

/// Writes every batch norm that follows a convolution into the convolution's weight and bias:
///   w'[k] = w[k] g_k,  b'[k] = beta_k + (b[k] - mean_k) g_k,  g_k = gamma_k / sqrt(var_k + eps)
/// computed in double and rounded once. Others stay: those whose convolution has another reader, or shares its weight.
void fold_batchnorm(LayerGraph& graph);

}  // namespace akin
