// A network as PyTorch code, for networks that no library has by name.
#pragma once

#include <string>

#include "engine/io/safetensors.hpp"
#include "nn/export/layer_graph.hpp"

namespace akin {

/// `import torch` and a class Network without arguments, which takes normalised images, float32 [batch, C, H, W], and
/// gives logits; needs torch alone. Its parameters have the names and shapes of `file`, the weights as they are written
/// (export_weights), so that load_state_dict takes them strictly. Error, naming the layer, where PyTorch has no such
/// layer.
std::string pytorch_network(const LayerGraph& layers, const SafeTensors& file);

}  // namespace akin
