// What a network costs whoever runs it.
#pragma once

#include <utility>

#include "nn/model_file.hpp"

namespace akin {

struct Cost {
  std::int64_t parameters = 0;     ///< trained numbers
  std::int64_t multiply_adds = 0;  ///< of convolutions and linear layers, one image; papers call them MACs
};

/// Counted while one image of that size goes through to the prediction.
Cost cost_of(Context& ctx, const Network& network, std::int64_t height, std::int64_t width);

/// Height and width at which the model looks at images of this shape [N, H, W, C]: its own, else theirs.
std::pair<std::int64_t, std::int64_t> seen_size(const ModelInfo& info, const Shape& images);
/// Of a model for an image of those [N, H, W, C], at the size that it looks at.
Cost cost_of(Context& ctx, const Model& model, const Shape& images);

}  // namespace akin
