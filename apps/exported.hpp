// What akin export makes of a model, before anything is written.
#pragma once

#include <optional>
#include <string>

#include "apps/common.hpp"
#include "distill/grid/model_card.hpp"
#include "nn/export/known_networks.hpp"
#include "nn/export/layer_graph.hpp"

namespace akin {

/// A model on its way out: info.height x info.width is the size of its images there.
struct Exported {
  std::string name;
  const Model* model;
  ModelInfo info;
  LayerGraph layers;
  std::unique_ptr<Network> folded = {};  ///< without batch norms, where that was asked for
  WeightStore store = WeightStore::f32;

  /// timm's name of the network, where it has it.
  std::optional<TimmNetwork> timm() const { return folded == nullptr ? timm_network(info.architecture) : std::nullopt; }
  const Network& network() const { return folded != nullptr ? *folded : *model->network; }
};

std::string to_onnx(const Exported& e);

/// A safetensors file of akin's, and that of a folder for the Hub, sealed and ready to be written.
SafeTensors to_model_file(const Exported& e);
SafeTensors to_hub_file(const Exported& e);

/// The network as PyTorch code for `file`; empty where torchvision, or in a folder for the Hub timm, has it.
std::string code_of(const Exported& e, const SafeTensors& file, bool hub);

/// What the weights of `file` keep of the accuracy on the test split of a data set.
KeptAccuracy measure(Context& ctx, const CommonOptions& common, const Exported& e, const SafeTensors& file,
                     const std::string& data);

}  // namespace akin
