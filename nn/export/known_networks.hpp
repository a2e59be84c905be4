// Networks that timm (huggingface/pytorch-image-models) and torchvision have by name: there nobody needs their code.
#pragma once

#include <optional>
#include <string>

#include "engine/io/safetensors.hpp"
#include "nn/network.hpp"

namespace akin {

inline constexpr double kTimmNormEps = 1e-5;  ///< of the batch norms in all of its networks below

/// One of timm's classifiers that is the same function as akin's network, layer by layer.
struct TimmNetwork {
  std::string name;                    ///< of timm.create_model: "resnet18"
  std::int64_t features;               ///< its num_features: channels of the last feature map
  std::string first_conv, classifier;  /// names of those layers there
};

/// Nothing where timm has no such network: another width, stem or shortcut, two heads, layers as a list.
std::optional<TimmNetwork> timm_network(const Architecture& architecture);

/// The network's weights under timm's names, in its shapes. Where akin's batch norms add more to the variance than
/// timm's do, the difference is part of the variances, so that the function stays the same.
SafeTensors timm_weights(const Network& network);

/// The call that makes the network with torchvision: "resnet18(num_classes=3)"; empty where torchvision has none.
std::string torchvision_call(const Architecture& architecture);

}  // namespace akin
