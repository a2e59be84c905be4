// A folder as the Hugging Face Hub has them, of files that timm and transformers look for: config.json,
// model.safetensors and preprocessor_config.json. timm opens it as "local-dir:FOLDER" and, once it is uploaded, as
// "hf-hub:USER/NAME", where the network is one of timm's; otherwise the README has the network's code.
// Sources: timm/models/_hub.py (_parse_model_cfg, load_state_dict_from_path), _builder.py (load_pretrained),
// _pretrained.py (PretrainedCfg), data/transforms_factory.py (crop_mode); transformers' image processors.
#pragma once

#include <optional>
#include <string>

#include "nn/export/known_networks.hpp"
#include "nn/model_file.hpp"

namespace akin {

inline constexpr const char *kHubConfig = "config.json", *kHubWeights = "model.safetensors",
                            *kHubPreprocessor = "preprocessor_config.json", *kHubCard = "README.md";

/// config.json of a model that sees images of info.height x info.width.
std::string hub_config(const Network& network, const ModelInfo& info, const std::optional<TimmNetwork>& timm);

/// preprocessor_config.json. Where no processor of transformers does what the model's pictures need (grey ones, the
/// middle of a shape that is not square) it names none.
std::string hub_preprocessor(const ModelInfo& info);

/// model.safetensors, not sealed: timm's names where the network is timm's; "format" is "pt", as other programs want
/// it, and akin reads it like its own. `network` is that of `info`.
SafeTensors hub_weights(const Network& network, const ModelInfo& info, const std::optional<TimmNetwork>& timm);

}  // namespace akin
