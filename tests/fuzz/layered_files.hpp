// Safetensors files from a description in JSON, so that a fuzzer can change names, types, shapes and metadata of large
// files in a few letters:
//   {"tensors": {"fc.weight": ["F32", [2, 8], 0.5, -1], ...}, "metadata": {"format": "...", "model": {...}}}
// The elements of a tensor are the values named, over and over; null is NaN. A value of the metadata that is no text
// becomes one.
#pragma once

#include "engine/io/json.hpp"
#include "engine/io/safetensors.hpp"

namespace akin::fuzz {

/// Nothing where `j` describes no file, or one of more than `most` elements.
std::optional<SafeTensors> file_of(const Json& j, std::int64_t most = 1 << 17);

/// The description of what a file holds; of each tensor the first values count.
Json description_of(const SafeTensors& file);

}  // namespace akin::fuzz
