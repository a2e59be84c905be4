// Layers of a network as an ONNX graph of operator set 13. NHWC becomes NCHW: convolution weights are written as OIHW,
// and a linear layer behind a flattened image gets its columns in channel-major order, as PyTorch has them.
// Initialisers carry the parameters' names.
#pragma once

#include "kernels/augment.hpp"
#include "nn/export/layer_graph.hpp"
#include "nn/export/onnx_graph.hpp"
#include "nn/export/stored_weights.hpp"

namespace akin::onnx {

/// Input "image": float32 [batch, C, H, W] with values 0..255 as an image file holds them; its normalisation,
/// (x - 255 mean) / (255 std), is part of the graph. Output "logits": float32 [batch, classes]. What the operator set
/// lacks is put together from what it has: hard-swish, adaptive average pooling (two matrix products), the option-A
/// shortcut (slice and pad). Weights that are not stored in f32 become that in the graph, by Cast or DequantizeLinear
/// behind their initialiser. Throws on a layer that has no such form, naming it.
Graph export_layers(const LayerGraph& layers, const Normalization& normalization, WeightStore store = WeightStore::f32);

}  // namespace akin::onnx
