// Ways to do one pass of one layer: akin's, and every implementation that oneDNN has for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/rotating.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/conv2d.hpp"

namespace akin::bench {

enum class LayerKind { conv, depthwise, linear };
enum class LayerPass { forward, data, weight };
const char* name_of(LayerPass pass);

struct LayerShape {
  LayerKind kind;
  Conv2dShape s;  ///< depthwise: K = C; linear: one pixel
  std::string str() const;
};

/// Input, weights and output of a layer, or their gradients.
struct LayerOperands {
  explicit LayerOperands(const LayerShape& shape);
  Rotating<float> memory;  ///< x, w, y
  fast::OnednnCache cache;
};

struct LayerWay {
  std::string name;               ///< oneDNN's of the implementation
  std::function<void()> run;      ///< once, on the next copy of the operands
  std::function<void()> reorder;  ///< of the weights to or from akin's layout; empty: none
};

/// As the engine runs it. The operands must outlive the ways.
LayerWay akin_way(const LayerShape& shape, LayerPass pass, LayerOperands& operands);
/// In oneDNN's order; its plain loops ("ref") are left out.
std::vector<LayerWay> onednn_ways(const LayerShape& shape, LayerPass pass, LayerOperands& operands);

}  // namespace akin::bench
