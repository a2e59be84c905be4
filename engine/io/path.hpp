// Where a path lies.
#pragma once

#include <filesystem>

namespace akin {

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
