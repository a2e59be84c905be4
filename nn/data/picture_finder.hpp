// Pictures by the names that lists give them.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "nn/data/split.hpp"

namespace akin {

/// "a\\1.jpg" and "./a/1.jpg" as "a/1.jpg".
std::string plain_path(std::string name);

class PictureFinder {
 public:
  /// What a name may mean, as positions in the list of names.
  struct Found {
    Indices positions;
    std::vector<std::string> some = {};  ///< names of the first two
    bool one() const { return positions.size() == 1; }
    std::size_t first() const { return static_cast<std::size_t>(positions.front()); }
    /// Why it is not one picture: "names no picture", or "may be a/1.jpg or b/1.jpg".
    std::string why() const;
  };

  /// `names`: paths of the pictures from one folder.
  explicit PictureFinder(std::vector<std::string> names);
  /// The picture of that path; else those whose path ends so, or that the name ends as, at a /; else of its last part,
  /// whatever the folder; else without the ending.
  Found find(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, Indices> by_name_, by_stem_;
};

}  // namespace akin
