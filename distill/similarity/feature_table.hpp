// Sources as tables alone, for ranking without any image: what models of any framework said of a labelled probe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/similarity/measure.hpp"

namespace akin {

/// The target's labels of a probe.
struct LabelList {
  std::vector<int> labels;           ///< [N] in 0..classes-1
  std::vector<std::string> classes;  ///< names; numbers where the file has numbers
  std::string file;                  ///< for messages
};

/// One label a row: .npy or .safetensors (tensor `labels`, or the only one) with whole numbers, or .csv/.txt with whole
/// numbers or names, one a line, where a first line "label", "labels" or "class" is skipped. Names are numbered in byte
/// order. `classes`: of the target; 0: the largest label and one. Error on anything else, naming row and remedy.
LabelList read_labels(const std::filesystem::path& file, int classes = 0);

/// One source's table.
struct FeatureTable {
  std::string name;                      ///< the file's, without ending
  Array features;                        ///< [N, D]
  Array probabilities = {};              ///< [N, Z]
  int layers = 0;                        ///< of the model, where the file says
  std::vector<std::string> labels = {};  ///< one a row, where the file has them
  std::string file;
};

/// .npy: features. .csv: features, one column each; a column called label, labels or class holds labels. .safetensors:
/// tensors `features` (or the only one), and if there `probabilities` or `logits`, `labels`; metadata `layers`. A
/// folder: features.npy or features.csv, and if there probabilities or logits likewise. Error on NaN.
FeatureTable read_feature_table(const std::filesystem::path& file);

/// A matrix of numbers from one file as above: for --probabilities, --logits and --reference.
Array read_matrix(const std::filesystem::path& file);

/// Labels that the tables bring themselves. Error where none does, or two differ.
LabelList labels_of(const std::vector<FeatureTable>& tables, int classes = 0);

/// The bank that metrics take, of the rows `probe` (ascending). Error where a table's rows are not the labels', naming
/// both files.
std::vector<Candidate> candidates_of(const std::vector<FeatureTable>& tables, const LabelList& labels,
                                     const Indices& probe, const Array& reference = {});

}  // namespace akin
