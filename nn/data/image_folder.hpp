// A folder of image files, root/<class>/**: which of the files are images, and what is there besides.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/account.hpp"
#include "nn/data/image_files.hpp"

namespace akin {

struct ImageFolder {
  std::vector<std::string> classes;          ///< sorted by bytes
  std::vector<std::filesystem::path> files;  ///< by class, then sorted
  std::vector<int> labels;                   ///< of each file
};

/// What was met while a folder was listed. Paths in `account` begin at `root`.
struct Listing {
  std::filesystem::path root;
  Account account = {};
  Faults faults = {};
};

/// Lists the image files of each class folder and the folders below it: those with an ending of a kind that is read, in
/// any case, and those without ending, or with that of another kind of picture, that are one by their content. Told in
/// the listing: what was passed over and why (hidden files, thumbnails and recycle bins of file managers, files that
/// are no pictures, pipes and devices, links to folders but for those that are class folders), and the faults: pictures
/// of kinds that cannot be read, links that lead nowhere or in a circle, folders without permission, class names that
/// are no UTF-8, a class without an image. Throws where there is no class folder. `classes`: only these folders are
/// looked into, and what lies beside them is not told.
ImageFolder list_image_folder(const std::filesystem::path& root, Listing& listing,
                              const std::vector<std::string>* classes = nullptr);
/// All image files below the folder, sorted; throws where there is none.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& root, Listing& listing);

/// The same with the listing told to nobody: throws its faults.
ImageFolder list_image_folder(const std::filesystem::path& root);

/// Whether file managers and disk stations, not people, put folders of this name there: @eaDir, $RECYCLE.BIN, __MACOSX
/// ...
bool is_system_folder(const std::filesystem::path& path);
/// Whether the name begins with a dot.
bool is_hidden(const std::filesystem::path& path);

/// Whether the folder holds another one that people made.
bool has_folders(const std::filesystem::path& folder);
/// Whether so many files below the folder, among the first ten thousand, go by the name of a picture.
bool holds_pictures(const std::filesystem::path& folder, int at_least = 1);

/// Adds what lies in `folder` besides `used` (names) to the listing: of a data set's own folder, where a README and a
/// LICENSE are no news.
void account_for_others(const std::filesystem::path& folder, const std::vector<std::string>& used, Listing& listing);

}  // namespace akin
