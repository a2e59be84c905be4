// Pictures as people name them on a command line: files, folders, lists of files.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "nn/data/account.hpp"

namespace akin {

struct PictureList {
  std::vector<std::filesystem::path> files;  ///< each once, in the order in which they were named
  Account account = {};                      ///< what the folders hold besides
  Faults faults = {};                        ///< what was named and cannot be read, a message each
};

/// Each of `names` is a picture; a folder, of which all pictures are taken, also those of folders below it (sorted by
/// path, see list_image_folder for what is passed over); a text file (.txt, .lst, .list) with the name of a file in
/// each line; or "-", such a list from `in`. Names in a list are seen from the current folder or, where there is no
/// such file, from the list's. Whatever cannot be read is a fault, and the others are listed.
PictureList list_pictures(const std::vector<std::string>& names, std::istream& in);

}  // namespace akin
