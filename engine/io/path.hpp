// Paths by their text: one spelling for each, and whether a file system can take it.
#pragma once

#include <filesystem>
#include <string>

namespace akin {

/// The path from the root, without ".", ".." and a slash at its end, so that one place has one spelling. Links are not
/// followed.
std::filesystem::path whole_path(const std::filesystem::path& path);

/// Why no file of this name can be made, as "a name in it has 267 bytes, 255 at most", or "": the path need not be
/// there.
std::string length_problem(const std::filesystem::path& path);

/// Whether `path` is `folder`, or below it. Both are whole and normal: std::filesystem::absolute and lexically_normal,
/// or weakly_canonical.
inline bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
  auto p = path.begin();
  for (const std::filesystem::path& part : folder) {
    if (part.empty()) continue;  // behind a slash at the end
    if (p == path.end() || *p != part) return false;
    ++p;
  }
  return true;
}

}  // namespace akin
