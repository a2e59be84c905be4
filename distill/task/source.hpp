// Stage "Source" of the pipeline: trained models of other tasks. A source is a model file that akin can run, or a table
// of features and logits that any framework made.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "distill/task/table.hpp"
#include "distill/task/task.hpp"
#include "nn/evaluate.hpp"
#include "nn/model_file.hpp"

namespace akin {

struct Source {
  std::string name;
  std::string hash;                     ///< of the file's content, and of its description where that is not in the file
  Model model;                          ///< network is null for a table
  Outputs table;                        ///< of a table: one row an image
  TableRows rows = {};                  ///< which images they are
  TableRows logit_rows = {};            ///< of the logits, where only those say which images they are
  std::vector<std::string> notes = {};  ///< of its reading, for people
  bool is_table() const { return model.network == nullptr; }
  std::int64_t classes() const;
};

/// What people call the model in this file: the file's name without ending; of a model.safetensors or
/// student.safetensors that of its folder, likewise with _best; of a folder its own name.
std::string source_name(const std::filesystem::path& path);

/// A model as a source. `described`: the file does not say what it is, and others did, which then decides what it
/// computes.
Source model_source(const std::filesystem::path& path, Model model, bool described);

/// Opens a source: a model (.safetensors with a network), or a table: a .safetensors file with tensors `features` [N,D]
/// and `logits` [N,C], or a folder with features.npy and logits.npy (or .csv); without logits it has no head. Its name
/// is the file's, without ending; of a model.safetensors or student.safetensors that of its folder, likewise with
/// _best. Throws on weights or tables with NaN, naming file and tensor. `fallback`: see load_model; an error for a
/// table, and for a file that describes itself as another network.
Source open_source(Context& ctx, const std::filesystem::path& path, const ModelInfo* fallback = nullptr);

/// The names of these files as sources. UsageError where two would be called alike; Error where some are not there.
std::vector<std::string> source_names(const std::vector<std::string>& files);

struct SourceFile {
  std::filesystem::path path;
  const ModelInfo* fallback = nullptr;  ///< see open_source
};
/// Opens each. One error tells of all that cannot be opened, so that nobody mends one a run.
std::vector<Source> open_sources(Context& ctx, const std::vector<SourceFile>& files);

}  // namespace akin
