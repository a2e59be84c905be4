// How alike sources see the target, whatever their tasks are: what their similarity to the target does not tell.
#pragma once

#include <cstdint>
#include <vector>

#include "distill/report/report.hpp"
#include "nn/evaluate.hpp"

namespace akin {

/// Debiased linear CKA (metrics/cka.hpp) between the features of each two sources on at most `images` of the images
/// that `outputs` are of, evenly spaced. NaN where it is undefined: features that do not vary, or fewer than 4 images.
/// Empty for fewer than two sources.
SourceLikeness likeness_of(const std::vector<Outputs>& outputs, std::int64_t images = 200);

}  // namespace akin
