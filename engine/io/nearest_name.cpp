#include "engine/io/nearest_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/io/path.hpp"
#include "engine/io/text.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

/// Letters to add, drop, replace, or to swap with their neighbour (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j - 1] + (a[i - 1] != b[j - 1]), last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, (name.size() + 1) / 2);
  for (const std::string& k : known)
    if (const std::size_t d = distance(name, k); d < least) {
      least = d;
      best = k;
    }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = nearest_name(name, known);
  return near.empty() ? "" : "; did you mean '" + near + "'?";
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = did_you_mean(name, known);
  return near.empty() ? fmt::format("; known are {}", fmt::join(known, ", ")) : near;
}

std::string nearest_file(const fs::path& path) {
  constexpr int kMost = 10000;  // names to look at
  const fs::path whole = whole_path(path), folder = path.parent_path();
  std::vector<std::string> known;
  std::error_code error;
  fs::directory_iterator at(whole.parent_path(), error);
  for (int n = 0; !error && at != fs::directory_iterator() && n < kMost; at.increment(error), ++n)
    if (const std::string name = at->path().filename().string(); !name.starts_with(".")) known.push_back(name);
  std::sort(known.begin(), known.end());
  const std::string near = nearest_name(whole.filename().string(), known);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", readable_text((folder / near).string()));
}

}  // namespace akin
