// The architectures, by name: one table in zoo.cpp. A new one is a file pair in this folder and a row there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/network.hpp"

namespace akin {

/// Names that make_network takes, without "graph", whose layers are no choice but a file's.
const std::vector<std::string>& known_architectures();

/// "mobilenet_v1 of width 8 for 3 channels": what is not the family's own.
std::string in_words(const Architecture& architecture);

/// An uninitialised network; call initialize() or load weights. Throws UsageError for an unknown name or option.
std::unique_ptr<Network> make_network(Context& ctx, const Architecture& architecture);

/// Weights of the first and the last layer in files, timm's names included: they tell the channels and classes of a
/// file that does not describe itself.
struct EndLayers {
  std::vector<std::string> stem, head;
};
EndLayers end_layers(const Architecture& architecture);

}  // namespace akin
