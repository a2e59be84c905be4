// A file that names pictures and their labels: what lies beside loose pictures, or is given as a data set itself.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "nn/data/account.hpp"

namespace akin {

enum class Split { train, test, unlabeled };

/// The pictures of one split; without labels where it is the unlabelled one.
struct SplitFiles {
  std::vector<std::filesystem::path> files;
  std::vector<int> labels;
};

struct ListedPictures {
  std::vector<std::string> classes;  ///< sorted by bytes; numbers by their value
  std::map<Split, SplitFiles> splits;
  Account account = {};
  Faults faults = {};
};

/// Those of `files`, names in one folder, that people call such a list: labels.csv, labels.txt, annotations.csv,
/// metadata.csv, train.csv, train_labels.csv, also .tsv.
std::vector<std::string> label_files(const std::vector<std::string>& files);
/// Whether the path is a file that may be one by its ending: .csv, .tsv, .txt, .lst.
bool is_label_file(const std::filesystem::path& path);

/// Reads columns of file names and labels (engine/io/csv.hpp), and one called split where it is there; a line without a
/// label is an unlabelled picture, and where there is no column of labels each picture's folder is its class. Lines
/// that are names of files as they stand, with blanks in them or not, are a list without labels. Names are paths from
/// `folder`, or the end of such a path, with or without ending, that one picture has. Pictures below `folder` that no
/// line names are unlabelled ones, but for a list that is given `alone`. The pictures come by class, then by path.
/// Lines that name no picture, or several, are faults.
ListedPictures read_label_file(const std::filesystem::path& list, const std::filesystem::path& folder, bool alone);

}  // namespace akin
