// The page that goes with an exported model: what it is, what it was made of and by what, how good it is and how to run
// it. What is not known is said to be not recorded (Mitchell et al., "Model cards for model reporting", 2019).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/report/report.hpp"
#include "nn/export/stored_weights.hpp"
#include "nn/model_file.hpp"

namespace akin {

/// What a run folder proves of one of its students, by the digest of its file.
struct StudentOrigin {
  bool known = false;        ///< false: no report or record names this file; the rest is empty
  ReportData report;         ///< of the whole run; of a record, what can stand beside the student
  std::string method;        ///< as in the report
  std::string seed;          ///< of this student
  bool cell = false;         ///< told by its record alone: of the weights only the largest is known
  bool best = false;         ///< the step that did best on validation images, not the last one
  std::size_t left_out = 0;  ///< students of the folder that were made with other settings or data
};

/// What weights in fewer bits keep of a model's accuracy, on pictures of a test split; shares in 0..1.
struct KeptAccuracy {
  std::int64_t images = 0;      ///< 0: not measured
  double full = 0, stored = 0;  ///< accuracy with the weights in f32, and as they are stored
  double alike = 0;             ///< of all images, given the same class by both
  std::string data;             ///< name of the set
};

struct CardFacts {
  std::string name;    ///< of the export
  std::string source;  ///< file name of the model that was exported
  const Model* model;
  StudentOrigin origin;
  std::int64_t height, width;
  bool folded = false;
  std::vector<std::string> files;  ///< names of what lies beside the card
  std::string akin;                ///< "akin 0.1.0 (commit)"
  WeightStore store = WeightStore::f32;
  KeptAccuracy kept = {};
  std::string network_code = {};  ///< of pytorch_network; empty where torchvision or timm has the network
  bool hub = false;               ///< a README.md of nn/export/hub.hpp's folder
};

/// The card as Markdown.
std::string model_card(const CardFacts& facts);
/// Whether a card names this file among those that lie beside it.
bool lists_file(const std::string& card, const std::string& file);

}  // namespace akin
