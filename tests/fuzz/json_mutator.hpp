// Changes of a JSON text that leave it one: what a target gives as Target::mutate.
#pragma once

#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

/// One to three values, keys or lists changed; nothing where the input is no JSON.
Bytes mutate_json(ByteView input, std::size_t most, std::uint64_t seed);

/// The header of a safetensors file changed so, its length and that of the data made to fit.
Bytes mutate_safetensors(ByteView input, std::size_t most, std::uint64_t seed);

}  // namespace akin::fuzz
