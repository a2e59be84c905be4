#include "distill/task/row_names.hpp"

#include <algorithm>
#include <unordered_map>

#include "engine/io/csv_columns.hpp"
#include "engine/io/number_text.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {
namespace {

/// The last `parts` parts of a path, without the ending of the last one where not `ending`.
std::string key_of(const std::string& name, std::size_t parts, bool ending) {
  std::string path = name;
  std::replace(path.begin(), path.end(), '\\', '/');
  while (path.starts_with("./")) path.erase(0, 2);
  std::size_t begin = path.size();
  for (std::size_t k = 0; k < parts && begin > 0; ++k) {
    const std::size_t slash = path.rfind('/', begin - 1);
    begin = slash == std::string::npos ? 0 : slash;
  }
  std::string key = path.substr(begin > 0 && begin < path.size() ? begin + 1 : begin);
  const std::size_t dot = key.rfind('.');
  const std::size_t slash = key.rfind('/');
  if (!ending && dot != std::string::npos && dot > 0 && (slash == std::string::npos || dot > slash + 1))
    key.resize(dot);
  return key;
}

/// The split that the folders before the last `parts` parts of a path name; empty where they name none.
std::string split_before(const std::string& name, std::size_t parts) {
  std::string path = name, found;
  std::replace(path.begin(), path.end(), '\\', '/');
  path.resize(path.size() - std::min(path.size(), key_of(path, parts, true).size()));
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (const std::string word = split_word(path.substr(begin, end - begin)); !word.empty()) found = word;
    begin = end + 1;
  }
  return found;
}

/// Error where names agree but for the split: 0.png of val/ is no 0.png of train/.
void check_splits(const TableRows& table, const TableRows& wanted, const Indices& order, std::size_t parts) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string& here = wanted.names[i];
    const std::string& there = table.names[static_cast<std::size_t>(order[i])];
    const std::string a = split_before(here, parts), b = split_before(there, parts);
    AKIN_CHECK(
        a.empty() || b.empty() || a == b,
        "{}: its row \"{}\" is of a {} split, \"{}\" of {} of a {} split; give a table of the same images, or take "
        "the folders before {} off its names where they are the same",
        table.file, there, b, here, wanted.file, a, key_of(there, parts, true));
  }
}

std::size_t parts_of(const std::string& name) {
  return 1 + static_cast<std::size_t>(
                 std::count_if(name.begin(), name.end(), [](char c) { return c == '/' || c == '\\'; }));
}

/// The table's row for each wanted one, -1 where it has none; nothing where keys are not unique on either side.
Indices rows_by(const TableRows& table, const TableRows& wanted, std::size_t parts, bool ending) {
  std::unordered_map<std::string, std::int64_t> row;
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    const auto [at, fresh] = row.emplace(key_of(table.names[i], parts, ending), static_cast<std::int64_t>(i));
    if (!fresh) at->second = -2;  // several
  }
  Indices order;
  std::vector<bool> taken(table.names.size(), false);
  for (const std::string& name : wanted.names) {
    const auto it = row.find(key_of(name, parts, ending));
    const std::int64_t at = it == row.end() ? -1 : it->second;
    if (at == -2 || (at >= 0 && taken[static_cast<std::size_t>(at)])) return {};
    if (at >= 0) taken[static_cast<std::size_t>(at)] = true;
    order.push_back(at);
  }
  return order;
}

bool all_numbers(const std::vector<std::string>& names) {
  double ignored = 0;
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) { return parse_number(name, ignored); });
}

}  // namespace

bool match_names(const TableRows& table, const TableRows& wanted, Indices& order, std::vector<std::string>& notes) {
  std::size_t most = 1;
  for (const std::string& name : wanted.names) most = std::max(most, parts_of(name));
  Indices best;
  std::size_t best_parts = most;
  std::ptrdiff_t found = 0;
  const auto wanted_rows = static_cast<std::ptrdiff_t>(wanted.names.size());
  for (const bool ending : {true, false}) {
    for (std::size_t parts = most; parts >= 1 && found < wanted_rows; --parts) {
      Indices rows = rows_by(table, wanted, parts, ending);
      const auto hits = std::count_if(rows.begin(), rows.end(), [](std::int64_t row) { return row >= 0; });
      if (hits <= found) continue;
      found = hits;
      best_parts = parts;
      best = std::move(rows);
    }
  }
  if (found == 0 && all_numbers(table.names) && !all_numbers(wanted.names)) {
    notes.push_back(
        fmt::format("{}: its rows are named by numbers, not by files; they are taken in their order", table.file));
    return false;
  }
  if (found < wanted_rows) {
    for (const TableRows* rows : {&table, &wanted})
      if (const auto [first, second] = repeated(rows->names); second > 0)
        fail("{}: rows {} and {} (from 0) are both called \"{}\"; names tell images apart and all differ", rows->file,
             first, second, rows->names[first]);
    std::string missing;
    std::size_t shown = 0;
    for (std::size_t i = 0; i < wanted.names.size() && shown < 3; ++i) {
      if (!best.empty() && best[i] >= 0) continue;
      missing += fmt::format("{}\"{}\"", shown++ > 0 ? ", " : "", wanted.names[i]);
    }
    fail("{}: has no row for {} of the {} images of {}: {}{} (its names are like \"{}\")", table.file,
         wanted_rows - found, wanted_rows, wanted.file, missing,
         static_cast<std::size_t>(wanted_rows - found) > shown ? ", ..." : "", table.names[0]);
  }
  const bool same_images = !table.images_sha256.empty() && table.images_sha256 == wanted.images_sha256;
  if (!same_images) check_splits(table, wanted, best, best_parts);
  const std::size_t extra = table.names.size() - wanted.names.size();
  if (extra > 0)
    notes.push_back(
        fmt::format("{}: {} of its rows are of no image of {} and left out", table.file, extra, wanted.file));
  if (!std::is_sorted(best.begin(), best.end()))
    notes.push_back(
        fmt::format("{}: its rows are in another order than {}; put right by their names", table.file, wanted.file));
  order = std::move(best);
  return true;
}

}  // namespace akin
