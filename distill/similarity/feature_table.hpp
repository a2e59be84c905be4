// Sources as tables alone, for ranking without any image: what models of any framework said of a labelled probe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/similarity/measure.hpp"
#include "distill/task/table.hpp"

namespace akin {

/// The target's labels of a probe.
struct LabelList {
  std::vector<int> labels;           ///< [N] in 0..classes-1
  std::vector<std::string> classes;  ///< names; numbers where the file has numbers
  TableRows rows;                    ///< of the file: its name, the labels as they stand there, names where it has them
  std::vector<std::string> notes = {};
};

/// One label a row: .npy or .safetensors (tensor `labels`, or the only one) with whole numbers or text, or .csv/.txt
/// with whole numbers or names, one a line, or a table with a column of labels (engine/io/csv.hpp). Names are numbered
/// in byte order; those that look alike are told in `notes`, those that stand for no label are refused. `classes`: of
/// the target; 0: the largest label and one. Error on anything else, naming row and remedy.
LabelList read_labels(const std::filesystem::path& file, int classes = 0);

/// One source's table.
struct FeatureTable {
  std::string name;                     ///< the file's, without ending
  Array features;                       ///< [N, D]
  Array probabilities = {};             ///< [N, Z]
  int layers = 0;                       ///< of the model, where the file says
  TableRows rows = {};                  ///< which images they are
  TableRows prediction_rows = {};       ///< of probabilities, where only those say which images they are
  std::vector<std::string> notes = {};  ///< what was left out or taken for something, for people
};

/// .npy: features. .csv: features, one column each (engine/io/csv.hpp). .safetensors: tensors `features` (or the only
/// one), and if there `probabilities` or `logits`, `labels`, `names`; metadata `layers`. A folder: features.npy or
/// features.csv, and if there probabilities, logits, labels and names likewise. Error on NaN, with row and column.
FeatureTable read_feature_table(const std::filesystem::path& file);

/// The same of tensors in memory; `tensors.source` names them in messages.
FeatureTable feature_table_of(const SafeTensors& tensors, const std::string& name);

/// What the table's source says of its images, from a file of its own: matched by names where both have them. Error
/// where rows or labels contradict.
void add_predictions(FeatureTable& table, FeatureTable given, bool are_logits);

/// Puts the rows of all tables (those of `tables` and of `more`) into the order of the labels' names or, where the list
/// has none, of the first table that has names, and compares digests and labels (match_rows, compare_labels). Error
/// where a list without names meets tables in two orders. Returns what was put right or cannot be told.
std::vector<std::string> align_tables(std::vector<FeatureTable>& tables, const LabelList* labels,
                                      const std::vector<FeatureTable*>& more = {});

/// Labels that the tables bring themselves. Error where none does, or two differ.
LabelList labels_of(const std::vector<FeatureTable>& tables, int classes = 0);

/// The bank that metrics take, of the rows `probe` (ascending). Error where a table's rows are not the labels', naming
/// both files.
std::vector<Candidate> candidates_of(const std::vector<FeatureTable>& tables, const LabelList& labels,
                                     const Indices& probe, const Array& reference = {});

}  // namespace akin
