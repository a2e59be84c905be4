// Where a data set keeps its splits, told from the names in its folder.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/data/account.hpp"
#include "nn/data/label_file.hpp"

namespace akin {

const char* name_of(Split split);

struct SetLayout {
  enum class Kind { idx, cifar10, cifar100, folders, flat, list };
  std::filesystem::path folder;
  Kind kind = Kind::idx;
  /// IDX and folders: the file of the images, or the folder; CIFAR: the files of a split that is there; flat: `folder`
  /// for the training images; list: `folder` for each split that it may have.
  std::map<Split, std::vector<std::filesystem::path>> images;
  std::shared_ptr<const ListedPictures> listed;  ///< list: what its file says
  bool alone = false;                ///< list: it was given as the data, so that pictures beside it do not count
  std::vector<std::string> classes;  ///< flat: the folders of the classes
  bool draws_test = false;           ///< pictures without a test split: a part of the training ones is held out for it
  std::map<Split, std::filesystem::path> labels;   ///< IDX: the files of labels
  std::map<Split, std::filesystem::path> origins;  ///< IDX: of which files the images were made; see names_file
  std::filesystem::path names;                     ///< a list of class names; empty where there is none
  std::vector<std::string> used;                   ///< names of all that belongs to the data set
  Account account;                                 ///< files of the data set that are not read

  /// Whether it has the split, or one is drawn.
  bool has(Split split) const { return images.contains(split) || (split == Split::test && draws_test); }
};

/// A file of this name says that akin is writing the data set, or was stopped doing so (nn/data/set_writer.hpp).
inline constexpr const char* kUnfinishedSet = ".akin-unfinished";

/// "train", "t10k", "unlabeled": what MNIST's names begin with.
std::string idx_stem(Split split);
/// "train-images-names.txt": where `akin data pack` keeps of which files the images of an IDX split were made.
std::string names_file(Split split);

/// "train", "test", "validation" or "unlabeled" for any usual name of such a folder; empty for others.
std::string split_word(const std::string& folder);

/// Whether the images are files of their own.
inline bool of_pictures(const SetLayout& layout) {
  return layout.kind == SetLayout::Kind::folders || layout.kind == SetLayout::Kind::flat ||
         layout.kind == SetLayout::Kind::list;
}

/// By names; IDX that is there plain and packed is compared. A split goes by any usual name, in any case: train; test,
/// t10k (IDX), or else val, valid, validation; unlabeled, unsup ... A list of labels (labels.csv, metadata.csv ...)
/// beside pictures comes before folders of classes that lie in `folder` itself, and behind those in train/. `folder`
/// may also be such a list. Throws, naming folder and remedy, where it is no data set, where a split is there under two
/// names, where labels are of another split than the images, where a class is called like a split; and where the set
/// was not written to its end.
SetLayout layout_of(const std::filesystem::path& folder);

/// Whether the folder looks like a data set, by the same names, be it whole or not; other folders may hold pictures.
bool is_data_set(const std::filesystem::path& folder);

}  // namespace akin
