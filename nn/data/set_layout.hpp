// Where a data set keeps its splits, told from the names in its folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "nn/data/account.hpp"

namespace akin {

enum class Split { train, test, unlabeled };
const char* name_of(Split split);

struct SetLayout {
  enum class Kind { idx, cifar10, cifar100, folders };
  std::filesystem::path folder;
  Kind kind = Kind::idx;
  /// IDX and folders: the file of the images, or the folder; CIFAR: the files of a split that is there.
  std::map<Split, std::vector<std::filesystem::path>> images;
  std::map<Split, std::filesystem::path> labels;   ///< IDX: the files of labels
  std::map<Split, std::filesystem::path> origins;  ///< IDX: of which files the images were made; see names_file
  std::filesystem::path names;                     ///< a list of class names; empty where there is none
  std::vector<std::string> used;                   ///< names of all that belongs to the data set
  Account account;                                 ///< files of the data set that are not read

  bool has(Split split) const { return images.contains(split); }
};

/// A file of this name says that akin is writing the data set, or was stopped doing so (nn/data/set_writer.hpp).
inline constexpr const char* kUnfinishedSet = ".akin-unfinished";

/// "train", "t10k", "unlabeled": what MNIST's names begin with.
std::string idx_stem(Split split);
/// "train-images-names.txt": where `akin data pack` keeps of which files the images of an IDX split were made.
std::string names_file(Split split);

/// "train", "test", "validation" or "unlabeled" for any usual name of such a folder; empty for others.
std::string split_word(const std::string& folder);

/// By names; IDX that is there plain and packed is compared. A split goes by any usual name, in any case: train; test,
/// t10k (IDX), or else val, valid, validation; unlabeled, unsup ... Throws, naming folder and remedy, where it is no
/// data set, where a split is there under two names, where labels are of another split than the images; and where the
/// set was not written to its end.
SetLayout layout_of(const std::filesystem::path& folder);

/// Whether the folder looks like a data set, by the same names, be it whole or not; other folders may hold pictures.
bool is_data_set(const std::filesystem::path& folder);

}  // namespace akin
