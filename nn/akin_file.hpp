// Which of akin's own safetensors files a file is, by what it says of itself.
#pragma once

#include <string>

#include "engine/io/safetensors.hpp"

namespace akin {

/// In a model file's metadata as "format"; as "akin" where other programs want "format" to be theirs ("pt").
inline constexpr const char* kModelFormat = "akin-model-1";

struct AkinFile {
  bool model = false;  ///< a network that this akin can run
  std::string kind;    ///< "a checkpoint of a training run", for people; empty for weights of another program
  std::string remedy;  ///< what to do where a model was expected; empty for a model
};

AkinFile akin_file_of(const SafeTensors& file);

}  // namespace akin
