// What a network costs whoever runs it.
#pragma once

#include "nn/network.hpp"

namespace akin {

struct Cost {
  std::int64_t parameters = 0;     ///< trained numbers
  std::int64_t multiply_adds = 0;  ///< of convolutions and linear layers, one image; papers call them MACs
};

/// Counted while one image of that size goes through to the prediction.
Cost cost_of(Context& ctx, const Network& network, std::int64_t height, std::int64_t width);

}  // namespace akin
