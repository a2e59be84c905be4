// A trained network on disk: a safetensors file with torchvision's names and OIHW weights that PyTorch reads as it is.
// What it takes to use it (architecture, input size, normalisation, class names) is in the file's metadata.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "nn/data/preprocessing.hpp"
#include "nn/weight_file.hpp"

namespace akin {

struct ModelInfo {
  Architecture architecture;
  std::int64_t height = 0, width = 0;           ///< image size it was trained on; 0 = unknown
  Normalization normalization{{0.5f}, {0.5f}};  ///< one value a channel, or one for all
  Fit fit = {};                                 ///< how pictures are brought to that size
  std::vector<std::string> classes;             ///< names; may be empty
  std::string task;                             ///< what it was trained on, for people
  double test_accuracy = -1;                    ///< in 0..1; -1 = unknown
  std::int64_t step = -1;                       ///< of its training, where validation images were at hand; -1 = unknown
  double validation_accuracy = -1;              ///< then, in 0..1; -1 = unknown
  std::string settings;                         ///< digest of what it was trained with; may be empty
};

/// How pictures become this model's input.
Preprocessing preprocessing_of(const ModelInfo& info);

/// Takes out what a training said of a model that is to be another one.
void forget_accuracy(ModelInfo& info);

struct Model {
  ModelInfo info;
  std::unique_ptr<Network> network;
  std::string hash;  ///< SHA-256 of the file, hex: a cache key
};

/// What save_model writes, before it is sealed: for whoever stores the tensors in another way.
SafeTensors model_content(const Network& network, const ModelInfo& info);
void save_model(const std::filesystem::path& path, const Network& network, const ModelInfo& info);

/// Whether the file says what network its weights are of, as akin's own do; then no `fallback` below is looked at.
bool describes_itself(const SafeTensors& file);

/// Reads a model file. `fallback` serves files without akin's metadata (weights from elsewhere), with a mean and std of
/// 0.5 where it has none; Error where a file that describes itself says otherwise. Where `fallback` is nullptr,
/// a <name>.graph.json beside <name>.safetensors does (nn/zoo/graph_network.hpp), whose weights may be quantised; else
/// the error says how to describe the file.
Model load_model(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback = nullptr);

/// The same for a file that was read already: `file.source` is its path, `hash` the SHA-256 of its bytes.
Model load_model(Context& ctx, SafeTensors&& file, const std::string& hash, const ModelInfo* fallback = nullptr);

/// The same for weights that do not fit as they are: with a new head, fallback->architecture.classes says its size;
/// with a converted stem, its channels those of the images. `fallback` of the name "graph" gives a layer graph's
/// normalisation, one without a name only those sizes, for a file that describes itself. What such a file says of its
/// old head or channels (class names, task, accuracies) is not kept.
struct ForeignModel {
  Model model;
  ImportReport report;
};
ForeignModel load_foreign(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback,
                          const ImportOptions& options);

}  // namespace akin
