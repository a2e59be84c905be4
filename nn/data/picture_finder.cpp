#include "nn/data/picture_finder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

namespace akin {
namespace fs = std::filesystem;
namespace {

bool ends_as(const std::string& path, const std::string& end) {
  return path == end || (path.size() > end.size() && path.ends_with(end) && path[path.size() - end.size() - 1] == '/');
}

}  // namespace

std::string plain_path(std::string name) {
  std::replace(name.begin(), name.end(), '\\', '/');
  return fs::path(name).lexically_normal().generic_string();
}

std::string PictureFinder::Found::why() const {
  return positions.empty() ? "names no picture" : fmt::format("may be {} or {}", some[0], some[1]);
}

PictureFinder::PictureFinder(std::vector<std::string> names) : names_(std::move(names)) {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const fs::path name = fs::path(names_[i]).filename();
    by_name_[name.string()].push_back(static_cast<std::int64_t>(i));
    by_stem_[name.stem().string()].push_back(static_cast<std::int64_t>(i));
  }
}

PictureFinder::Found PictureFinder::find(const std::string& name) const {
  const std::string wanted = plain_path(name), last = wanted.substr(wanted.rfind('/') + 1);
  Found found;
  const auto take = [&](const auto& index, auto&& fits) {
    if (const auto at = index.find(last); found.positions.empty() && at != index.end())
      std::copy_if(at->second.begin(), at->second.end(), std::back_inserter(found.positions),
                   [&](std::int64_t i) { return fits(names_[static_cast<std::size_t>(i)]); });
  };
  take(by_name_, [&](const std::string& path) { return path == wanted; });
  take(by_name_, [&](const std::string& path) { return ends_as(path, wanted) || ends_as(wanted, path); });
  take(by_name_, [](const std::string&) { return true; });
  take(by_stem_, [&](const std::string& path) { return ends_as(path.substr(0, path.rfind('.')), wanted); });
  for (std::size_t k = 0; k < std::min<std::size_t>(2, found.positions.size()); ++k)
    found.some.push_back(names_[static_cast<std::size_t>(found.positions[k])]);
  return found;
}

}  // namespace akin
