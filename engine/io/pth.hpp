// Weights as torch.save writes them (.pth, .pt, .bin) since PyTorch 1.6: a zip archive with a pickle and the numbers of
// each storage. Nothing of the file is run (engine/io/pickle.hpp).
#pragma once

#include <string>

#include "engine/io/safetensors.hpp"

namespace akin {

/// Whether it is such a file; what the archive holds otherwise is not looked at.
bool is_pth(ByteView file);

/// The weights with names: a dictionary of tensors, or that under "state_dict", "model" or the like in a dictionary of
/// other things, which are passed over. Types become akin's as in read_safetensors. Error, with the way to convert the
/// file, where it holds whole models or other objects that only Python can build.
SafeTensors parse_pth(ByteView file, const std::string& name);

/// Weights of another program or of akin: a PyTorch file by its content, else a safetensors file.
SafeTensors parse_weights(ByteView file, const std::string& name);

}  // namespace akin
