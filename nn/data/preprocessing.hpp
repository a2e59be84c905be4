// The one place that says how a picture becomes a network's input. A model file states it (nn/model_file.hpp); what
// runs a model prepares pictures by it, and model cards and ONNX files print it.
#pragma once

#include <string>

#include "kernels/augment.hpp"
#include "nn/data/image_files.hpp"

namespace akin {

/// In this order: the picture is turned upright, brought to grey or RGB, fitted to height x width, and each value x
/// in 0..255 becomes (x / 255 - mean) / std.
struct Preprocessing {
  std::int64_t height = 0, width = 0;  ///< of the input, pixels; 0: not known, pictures stay as they are
  std::int64_t channels = 3;           ///< 1 grey, 3 RGB
  Fit fit = {};
  Normalization normalization = {};  ///< a value a channel
};

/// What files are brought to; zeros where nothing is known.
ImageFormat format_of(const Preprocessing& p);

/// "the largest centred part in the shape of 32x32 (height x width), resized to it (bilinear, antialiased)".
std::string fit_in_words(const Preprocessing& p);

/// The same as Python that any program with Pillow runs: defines prepare(path), a PIL image of the input's size and
/// colour. Pillow's filters are akin's but for the outermost pixels and rounding.
std::string prepare_in_python(const Preprocessing& p);

/// As JSON on one line, for files of other formats: size, channels, crop, stretch, filter, mean and std.
std::string preprocessing_json(const Preprocessing& p);

/// "bilinear", "bicubic", and back; Error, beginning with `where`, on another text.
const char* name_of(Filter filter);
Filter filter_of(const std::string& name, const std::string& where);

}  // namespace akin
