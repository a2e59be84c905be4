// A data set as users keep it on disk, recognised by what lies in the folder.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/dtype.hpp"
#include "nn/data/account.hpp"
#include "nn/data/class_names.hpp"
#include "nn/data/image_files.hpp"
#include "nn/data/originals.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

struct ImageSet {
  Array images;                            ///< u8 [N,H,W,C]
  std::vector<int> labels;                 ///< 0..classes-1, one an image; empty for Split::unlabeled
  std::vector<std::string> classes;        ///< the same for all splits
  std::string name;                        ///< name of the folder
  std::string source;                      ///< path of the folder
  Account account = {};                    ///< what the folder holds besides, and what the images say of themselves
  std::vector<std::string> names = {};     ///< of the images' files, from the folder; empty where nothing tells them
  std::vector<std::string> held_out = {};  ///< names of training images that were held out to be the test split
  bool fitted = false;                     ///< files of several sizes were brought to that of ImageFormat::mixed_height
  Originals originals = {};                ///< one an image; empty: the images are as their file has them
};

/// Loads splits of the data set in `folder`, in the order of `wanted`. It is one of
///  - IDX, MNIST's names: {train,t10k|test,unlabeled}-images-idx{3,4}-ubyte[.gz] (or .idx3-ubyte), the same with
///  labels-idx1;
///    classes.txt, one name a line, else the names are numbers; names of files as save_images writes them;
///  - CIFAR-10 or CIFAR-100 binaries as unpacked from the archive (fine labels);
///  - image folders train/<class>/**, test/<class>/** (or val/), unlabeled/**; or <class>/** and unlabeled/**;
///  - pictures and a list of their labels (nn/data/label_file.hpp).
/// Pictures without a test split have one drawn from the training images (nn/data/held_out.hpp), which is told.
/// Other usual names of splits do as well: see layout_of. Images are brought to `format` where it is not 0. The account
/// of all is that of the first set; it also tells of pictures that the splits share. Throws, naming file and remedy: an
/// unknown folder, a missing split, counts of images and labels that differ, a label outside the class list, and a
/// class without an image in the training split (a test split may lack one). Image files that cannot be read are told
/// together.
std::vector<ImageSet> load_splits(const std::filesystem::path& folder, const std::vector<Split>& wanted,
                                  const ImageFormat& format = {});

/// One split.
ImageSet load_images(const std::filesystem::path& folder, Split split, const ImageFormat& format = {});

/// All pictures of a folder that is no data set, and of the folders below it, sorted by path, without labels.
ImageSet load_pictures(const std::filesystem::path& folder, const ImageFormat& format = {});

/// Those of `splits` that the folder has.
std::vector<Split> splits_there(const std::filesystem::path& folder,
                                const std::vector<Split>& splits = {Split::train, Split::test, Split::unlabeled});

/// True where the folder has that split (what load_images would look for; nothing is read).
bool has_split(const std::filesystem::path& folder, Split split);

/// Images `index` of the set, with all that goes with them; the account is left out.
ImageSet pick_images(const ImageSet& set, std::span<const std::int64_t> index);

/// The set without the classes of these names, or of these first words of a name; the others are numbered anew. Error
/// where a name is no class or stands for several, and where fewer than two classes are left.
ImageSet without_classes(const ImageSet& set, const std::vector<std::string>& names);

/// Whether save_images can keep the names of the images' files: a line each.
bool keeps_names(const ImageSet& set);
/// Writes one split of a data set as plain IDX files under MNIST's names, and classes.txt, for load_images to read;
/// where the images have names, also those, so that tables of the same images are matched by them. Labels and names go
/// first and the images last. Throws on a set that load_images would refuse, and where classes.txt is there already
/// with other names (the splits of one data set share their classes).
void save_images(const ImageSet& set, Split split, const std::filesystem::path& folder);

/// SHA-256 of the sizes, pixels and labels: equal for equal content, whatever the files were.
std::string content_hash(const ImageSet& set);
/// SHA-256 of the names of the classes in their order, which go with a model trained on the set.
std::string class_names_hash(const ImageSet& set);

}  // namespace akin
