// Labels of pictures as a table that people write and mend in a spreadsheet: a line a picture, by the name of its file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/task/labels.hpp"

namespace akin {

/// A line of a list of labels.
struct LabelLine {
  std::string file, label;
  double probability = 1;  ///< of the label, in 0..1
  bool keep = true;
};

/// CSV text with the columns file, label, probability, keep (yes or no), a line each.
std::string label_list(const std::vector<LabelLine>& lines);

/// Reads such a list, or any CSV with a column of file names and one of labels (called as engine/io/csv_columns.hpp
/// knows them) and, if wanted, one called keep: the labelled images are those of its lines, but for the lines whose
/// keep is no, 0, false or empty. Validation and unlabelled images are drawn as `defaults` say. UsageError, with the
/// line, on a missing column, an empty cell, a keep that is neither yes nor no, and a file that is there twice.
LabelManifest read_label_list(const std::filesystem::path& file, const SplitOptions& defaults);

/// The manifest with the images that it names listed by their positions in the pool: each the one whose path ends as
/// the named one does, or the other way round; else the only one whose file is called so. Error, with file and line,
/// where there is none, or several, and where the pool does not know its files' names.
LabelManifest with_positions(const LabelManifest& manifest, const ImageSet& pool);

/// Error where the manifest names a class that is none of these; or of a data set, without a look at its images.
void check_class_names(const LabelManifest& manifest, const std::vector<std::string>& classes);
void check_class_names(const LabelManifest& manifest, const std::filesystem::path& data);

}  // namespace akin
