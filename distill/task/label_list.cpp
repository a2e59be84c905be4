#include "distill/task/label_list.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "distill/report/csv.hpp"
#include "engine/io/csv.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/csv_layout.hpp"
#include "engine/io/nearest_name.hpp"
#include "nn/data/picture_finder.hpp"
#include "nn/data/split_files.hpp"

namespace akin {

namespace fs = std::filesystem;

namespace {

/// "keep" as people and spreadsheets write it; nothing for other texts.
std::optional<bool> yes_or_no(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* yes : {"yes", "y", "1", "true", "x"})
    if (text == yes) return true;
  for (const char* no : {"no", "n", "0", "false", ""})
    if (text == no) return false;
  return {};
}

struct Columns {
  std::size_t file = 0, label = 0;
  std::optional<std::size_t> keep;
};

Columns columns_of_list(const Cells& titles, const std::string& name) {
  std::vector<ColumnRole> roles;
  for (const std::string& title : titles) roles.push_back(column_role(title));
  const auto file = chosen(roles, titles, ColumnRole::name), label = chosen(roles, titles, ColumnRole::label);
  if (!file || !label)
    fail_usage(
        "{}: its first line is '{}', expected the names of its columns, among them file and label; `akin label` writes "
        "such a list",
        name, fmt::join(titles, ","));
  Columns out{*file, *label, {}};
  for (std::size_t c = 0; c < titles.size(); ++c)
    if (titles[c] == "keep" || titles[c] == "Keep" || titles[c] == "KEEP") out.keep = c;
  return out;
}

}  // namespace

std::string label_list(const std::vector<LabelLine>& lines) {
  std::string text = "file,label,probability,keep\n";
  for (const LabelLine& line : lines)
    text += csv_line(
        {csv_text(line.file), csv_text(line.label), fmt::format("{:.4f}", line.probability), line.keep ? "yes" : "no"});
  return text;
}

LabelManifest read_label_list(const fs::path& file, const SplitOptions& defaults) {
  const std::string text = read_table_text(file), name = file.string();
  const DeclaredSeparator declared = declared_separator(text);
  const std::string_view body = std::string_view(text).substr(declared.length);
  CsvRows rows(body, name, declared.length > 0 ? declared.separator : separator_of_labels(body, name));
  LabelManifest out;
  out.draw = defaults;
  out.source = name;
  Cells cells;
  if (!rows.next(cells)) fail_usage("{}: is empty, expected a list of files and labels", name);
  const Columns columns = columns_of_list(cells, name);
  const std::size_t width = cells.size();
  std::map<std::string, std::size_t> seen;
  while (rows.next(cells)) {
    if (cells.size() != width)
      fail_usage("{}: line {}: has {} cells, the first line {} (a comma in a name? put the name into quotes)", name,
                 rows.line(), cells.size(), width);
    if (columns.keep) {
      const std::optional<bool> keep = yes_or_no(cells[*columns.keep]);
      if (!keep) fail_usage("{}: line {}: keep is '{}', expected yes or no", name, rows.line(), cells[*columns.keep]);
      if (!*keep) continue;
    }
    if (cells[columns.file].empty() || cells[columns.label].empty())
      fail_usage("{}: line {}: has no {}; fill it in, or take the line out", name, rows.line(),
                 cells[columns.file].empty() ? "file" : "label");
    const auto [first, fresh] = seen.emplace(cells[columns.file], rows.line());
    if (!fresh)
      fail_usage("{}: line {}: {} is in line {}, too; keep one of the two", name, rows.line(), cells[columns.file],
                 first->second);
    out.named.push_back({cells[columns.file], cells[columns.label], rows.line()});
  }
  if (out.named.empty()) fail_usage("{}: lists no label that is to be kept", name);
  return out;
}

void check_class_names(const LabelManifest& manifest, const std::vector<std::string>& classes) {
  const auto known = [&](const std::string& name) {
    return std::find(classes.begin(), classes.end(), name) != classes.end();
  };
  for (const NamedLabel& line : manifest.named)
    AKIN_CHECK(known(line.class_name), "{}: line {}: label '{}' is not one of the data set's classes{}",
               manifest.source, line.line, line.class_name, suggestion(line.class_name, classes));
  for (const auto* part : {&manifest.labelled, &manifest.validation})
    for (const ListedImages& list : *part)
      AKIN_CHECK(known(list.class_name), "{}: class '{}' is not one of the data set's{}", manifest.source,
                 list.class_name, suggestion(list.class_name, classes));
}

void check_class_names(const LabelManifest& manifest, const fs::path& data) {
  if (const std::vector<std::string> known = classes_there(data); !known.empty()) check_class_names(manifest, known);
}

LabelManifest with_positions(const LabelManifest& manifest, const ImageSet& pool) {
  LabelManifest out = manifest;
  if (manifest.named.empty()) return out;
  AKIN_CHECK(
      std::ssize(pool.names) == pool.images.shape()[0],
      "{}: names files, but the images of {} have no names (IDX and CIFAR files hold none, but for what `akin data "
      "pack` wrote)",
      manifest.source, pool.source);
  check_class_names(manifest, pool.classes);
  const PictureFinder finder(pool.names);
  std::map<std::string, std::size_t> lists;
  std::map<std::int64_t, std::size_t> taken;
  for (const NamedLabel& line : manifest.named) {
    const PictureFinder::Found found = finder.find(line.file);
    AKIN_CHECK(!found.positions.empty(), "{}: line {}: {}: {} has no training or unlabelled image of this name",
               manifest.source, line.line, line.file, pool.source);
    AKIN_CHECK(found.one(), "{}: line {}: {}: {} images of {} are called so: it {}; give more of the path",
               manifest.source, line.line, line.file, found.positions.size(), pool.source, found.why());
    const std::int64_t image = found.positions.front();
    const auto [first, fresh] = taken.emplace(image, line.line);
    AKIN_CHECK(fresh, "{}: lines {} and {} are of one image, {}", manifest.source, first->second, line.line,
               pool.names[static_cast<std::size_t>(image)]);
    const auto [at, is_new] = lists.emplace(line.class_name, out.labelled.size());
    if (is_new) out.labelled.push_back({line.class_name, {}});
    out.labelled[at->second].images.push_back(image);
  }
  out.named.clear();
  return out;
}

}  // namespace akin
