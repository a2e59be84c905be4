// The picture files of a data set, split by split.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nn/data/image_folder.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

struct SetFiles {
  std::vector<std::string> classes;  ///< as the training split names them
  std::map<Split, SplitFiles> splits;
  std::vector<std::string> unknown;  ///< classes of the test split that are none of these; their pictures' label is -1
};

/// Adds the files of one split to `set`, the training split first, which names the classes; that may lie in folders, or
/// in a list of labels. Nothing where the layout has no files of the split, as of a test split that is drawn from the
/// training pictures. `listing`: what was met on the way.
void list_split(const SetLayout& layout, Split split, Listing& listing, SetFiles& set);

/// The classes of a data set as far as they are told without a look at an image; empty where they are not.
std::vector<std::string> classes_there(const std::filesystem::path& folder);
/// The number of each of `names` among the classes; also of "wren" for the one class whose name begins with "wren ".
/// Error, with `source` and the nearest name, where there is none, or several.
std::vector<std::int64_t> find_classes(const std::vector<std::string>& classes, const std::vector<std::string>& names,
                                       const std::string& source);

}  // namespace akin
