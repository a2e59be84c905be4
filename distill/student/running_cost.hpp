// What a finished student asks of whoever runs it.
#pragma once

#include "distill/report/figures.hpp"
#include "nn/data/image_view.hpp"
#include "nn/model_file.hpp"
#include "nn/network.hpp"

namespace akin {

/// Adds to `figures` what it costs to run `network` on images of height x width: numbers, multiply-adds, and the time
/// of an image, the shortest of three runs over `images` (u8 [N, H, W, C], brought to that size) divided by N.
void add_running_cost(Context& ctx, const Network& network, const Normalization& normalization, std::int64_t height,
                      std::int64_t width, const Array& images, Figures& figures);

/// The same of a model at the size that it looks at.
void add_running_cost(Context& ctx, const Model& model, const Array& images, Figures& figures);

}  // namespace akin
