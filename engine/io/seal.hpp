// Files that akin writes for itself carry a digest of their content: a flipped bit, which a checksum-less format lets
// pass, is noticed when they are read.
#pragma once

#include "engine/io/safetensors.hpp"

namespace akin {

enum class Seal {
  none,    ///< no digest: another program wrote the file, or an earlier akin
  sound,   ///< the content is what was sealed
  broken,  ///< it is not
};

/// Adds metadata "sha256": the SHA-256 of all other metadata and of each tensor's name, type, shape and data.
void seal(SafeTensors& file);
Seal seal_of(const SafeTensors& file);

/// Throws, naming the file, where the seal is broken. `remedy`: what a person can do about it.
void check_seal(const SafeTensors& file, const char* remedy);

}  // namespace akin
