// What a model says of pictures that a program holds in memory, or names: the numbers themselves, a row a picture, as
// `akin predict` and `akin features` work them out.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "distill/predict/classifier_file.hpp"
#include "nn/evaluate.hpp"

namespace akin {

/// f32 [N, classes] of pictures u8 [N, H, W, C], C = 1 or 3, of any size: each becomes the input as a file of it would.
/// `progress`: see predict_pictures. Error where an input's size is not known.
Array predict_images(Context& ctx, const Classifier& classifier, const Array& images,
                     const std::function<void(std::int64_t)>& progress = {});

/// Features [N, D] and logits [N, C] of such pictures. Grey becomes colour and colour grey as the model expects. Error
/// on a probe, which has no network of its own, and where either is no number.
Outputs picture_outputs(Context& ctx, const Classifier& classifier, const Array& images,
                        const std::function<void(std::int64_t)>& progress = {});

/// The same of files, as `akin features --match-channels` has it for a folder of them: where the model does not say its
/// size, all must be of one. Error that names every file that cannot be read.
Outputs picture_outputs(Context& ctx, const Classifier& classifier, const std::vector<std::filesystem::path>& files,
                        const std::function<void(std::int64_t)>& progress = {});

}  // namespace akin
