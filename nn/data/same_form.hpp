// Splits of one data set go through one network.
#pragma once

#include <string_view>

#include "nn/data/image_set.hpp"

namespace akin {

/// Error unless the images of `other`, a split called `what` ("test"), are of the size and colour of the training
/// images.
void check_form(const ImageSet& train, const ImageSet& other, std::string_view what);

}  // namespace akin
