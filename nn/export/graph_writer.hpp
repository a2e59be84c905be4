// Layers of a network as a layer graph: the form of deployed models that nn/zoo/graph_network.hpp runs and describes.
#pragma once

#include <memory>

#include "nn/export/layer_graph.hpp"

namespace akin {

/// The same function as a GraphNetwork with weights of its own; its architecture's `graph` is the JSON text. Norms must
/// have been folded (fold_batchnorm). Error, naming the layer, where the form has no such layer.
std::unique_ptr<Network> to_graph_network(Context& ctx, const LayerGraph& layers);

}  // namespace akin
