// A data set as users keep it on disk, recognised by what lies in the folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/dtype.hpp"
#include "nn/data/image_folder.hpp"

namespace akin {

enum class Split { train, test, unlabeled };
const char* name_of(Split split);

struct ImageSet {
  Array images;                         ///< u8 [N,H,W,C]
  std::vector<int> labels;              ///< 0..classes-1, one an image; empty for Split::unlabeled
  std::vector<std::string> classes;     ///< the same for all splits
  std::string name;                     ///< name of the folder
  std::string source;                   ///< path of the folder
  std::vector<std::string> names = {};  ///< of the images' files, from the folder; empty where a file holds many
};

/// Loads one split of the data set in `folder`, which is one of
///  - IDX, MNIST's names: {train,t10k|test,unlabeled}-images-idx{3,4}-ubyte[.gz] (or .idx3-ubyte), the same with
///  labels-idx1;
///    classes.txt, one name a line, else the names are numbers;
///  - CIFAR-10 or CIFAR-100 binaries as unpacked from the archive (fine labels);
///  - image folders train/<class>/**, test/<class>/** (or val/), unlabeled/**.
/// Images are brought to `format` where it is not 0. Throws, naming file and remedy: an unknown folder, a missing
/// split, counts of images and labels that differ, a label outside the class list, and a class without an image in the
/// training split (a test split may lack one).
ImageSet load_images(const std::filesystem::path& folder, Split split, const ImageFormat& format = {});

/// True where the folder has that split (what load_images would look for; nothing is read).
bool has_split(const std::filesystem::path& folder, Split split);

/// The set without the classes of these names, or of these first words of a name; the others are numbered anew. Error
/// where a name is no class or stands for several, and where fewer than two classes are left.
ImageSet without_classes(const ImageSet& set, const std::vector<std::string>& names);

/// Writes one split of a data set as plain IDX files under MNIST's names, and classes.txt, for load_images to read.
/// Labels and names go first and the images last. Throws on a set that load_images would refuse, and where classes.txt
/// is there already with other names (the splits of one data set share their classes).
void save_images(const ImageSet& set, Split split, const std::filesystem::path& folder);

/// Names, one a line, as in classes.txt; empty lines at the end do not count, others are an error.
std::vector<std::string> read_names(const std::filesystem::path& path);

/// SHA-256 of the sizes, pixels and labels: equal for equal content, whatever the files were.
std::string content_hash(const ImageSet& set);

}  // namespace akin
