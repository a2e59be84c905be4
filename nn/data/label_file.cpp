#include "nn/data/label_file.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>

#include "engine/io/csv.hpp"
#include "engine/io/picture_kind.hpp"
#include "nn/data/image_folder.hpp"
#include "nn/data/picture_finder.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 28;  // a million paths

/// What a list says, a line a picture.
struct Lines {
  std::vector<std::string> names, labels, splits;  // splits: empty where no column says it
  std::vector<std::string> notes;
};

/// The lines that hold something, without blanks at their ends.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string::npos) out.push_back(line.substr(first, line.find_last_not_of(" \t\r") + 1 - first));
  }
  return out;
}

/// Each picture's folder is its class.
Lines of_paths(std::vector<std::string> names) {
  Lines out;
  out.names = std::move(names);
  for (const std::string& name : out.names)
    out.labels.push_back(fs::path(plain_path(name)).parent_path().filename().string());
  return out;
}

/// `folder`: from which the paths are seen.
Lines read_lines(const fs::path& list, const fs::path& folder) {
  const std::string text = read_table_text(list, kMaxBytes);
  std::vector<std::string> whole = lines_of(text);
  const auto there = [&](const std::string& line) {
    std::error_code ignored;
    return fs::is_regular_file(folder / plain_path(line), ignored);
  };
  // A name may hold commas: cells are looked for where no line as it stands names a file.
  if (all_called_pictures(whole) && std::any_of(whole.begin(), whole.end(), there)) return of_paths(std::move(whole));
  CsvLabels read = parse_csv_labels(text, list.string(), true);
  Lines out{std::move(read.names), std::move(read.labels), std::move(read.splits), std::move(read.notes)};
  if (!out.names.empty()) return out;
  AKIN_CHECK(all_called_pictures(out.labels),
             "{}: names no pictures; expected a line with the columns file,label, and a line for each picture",
             list.string());
  Lines paths = of_paths(std::move(out.labels));
  paths.notes = std::move(out.notes);
  return paths;
}

/// In byte order, but whole numbers by their value.
std::vector<std::string> sorted_classes(const std::set<std::string>& names) {
  std::vector<std::string> out(names.begin(), names.end());
  const auto number = [](const std::string& text) {
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : -1;
  };
  if (std::all_of(out.begin(), out.end(), [&](const std::string& name) { return number(name) >= 0; }))
    std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return number(a) < number(b); });
  return out;
}

/// The split that a cell says; training where it is empty.
std::optional<Split> split_of(const std::string& cell) {
  const std::string word = split_word(cell);
  if (cell.empty() || word == "train") return Split::train;
  if (word == "unlabeled") return Split::unlabeled;
  if (word == "test" || word == "validation") return Split::test;
  return {};
}

std::vector<fs::path> named_files(const std::vector<std::string>& names, const fs::path& folder, Faults& faults,
                                  const fs::path& list) {
  std::set<fs::path> files;
  for (const std::string& name : names) {
    std::error_code ignored;
    const fs::path direct = (folder / plain_path(name)).lexically_normal();
    if (fs::is_regular_file(direct, ignored))
      files.insert(direct);
    else
      faults.push_back(fmt::format("{}: {}: no such file in {}", list.string(), name, folder.string()));
  }
  return {files.begin(), files.end()};
}

}  // namespace

std::vector<std::string> label_files(const std::vector<std::string>& files) {
  static const std::set<std::string> known{"labels", "label", "train", "trainlabels", "annotations", "metadata"};
  std::vector<std::string> found;
  for (const std::string& name : files) {
    std::string stem;
    for (const char c : fs::path(name).stem().string())
      if (c != '_' && c != '-' && c != ' ') stem += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::string ending = lower_ending(name);
    if (known.contains(stem) && (ending == ".csv" || ending == ".tsv" || (ending == ".txt" && stem == "labels")))
      found.push_back(name);
  }
  return found;
}

bool is_label_file(const fs::path& path) {
  std::error_code ignored;
  const std::string ending = lower_ending(path);
  return (ending == ".csv" || ending == ".tsv" || ending == ".txt" || ending == ".lst") &&
         fs::is_regular_file(path, ignored);
}

ListedPictures read_label_file(const fs::path& list, const fs::path& folder, bool alone) {
  const Lines lines = read_lines(list, folder);
  ListedPictures out;
  for (const std::string& note : lines.notes) out.account.note("list of labels", note);
  Listing listing{folder};
  const std::vector<fs::path> files =
      alone ? named_files(lines.names, folder, out.faults, list) : list_images(folder, listing);
  std::vector<std::string> relative;
  for (const fs::path& file : files) relative.push_back(file.lexically_relative(folder).generic_string());
  const PictureFinder finder(relative);
  std::vector<bool> used(files.size());
  out.account.merge(listing.account);
  out.faults.insert(out.faults.end(), listing.faults.begin(), listing.faults.end());
  // Which picture each line means.
  struct Line {
    fs::path file;
    std::string label;
    Split split;
  };
  std::vector<Line> found;
  std::set<std::string> classes;
  for (std::size_t i = 0; i < lines.names.size(); ++i) {
    const std::string cell = i < lines.splits.size() ? lines.splits[i] : "";
    const PictureFinder::Found at = finder.find(lines.names[i]);
    std::string why = at.one()               ? ""
                      : at.positions.empty() ? "names no picture below the folder"
                                             : at.why() + "; write the path from the folder";
    std::optional<Split> split = split_of(cell);
    if (!split) why = fmt::format("split \"{}\" is none of train, test, validation and unlabelled", cell);
    if (at.one() && split && used[at.first()]) why = "is named twice";
    if (at.one() && split) used[at.first()] = true;
    if (!why.empty()) {
      if (!alone || at.one()) out.faults.push_back(fmt::format("{}: {}: {}", list.string(), lines.names[i], why));
      continue;
    }
    if (lines.labels[i].empty()) split = Split::unlabeled;
    if (split == Split::train) classes.insert(lines.labels[i]);
    found.push_back({files[at.first()], lines.labels[i], *split});
  }
  std::vector<fs::path> rest;
  for (std::size_t i = 0; i < files.size(); ++i)
    if (!used[i]) rest.push_back(files[i]);
  if (!alone && !rest.empty()) {
    out.account.add(fmt::format("pictures that {} does not name, taken for unlabelled ones", list.filename().string()),
                    Account::Tone::note, rest.front().lexically_relative(folder).string(), std::ssize(rest));
    for (const fs::path& file : rest) found.push_back({file, "", Split::unlabeled});
  }
  if (found.empty()) throw_faults(out.faults, list.string());  // there is no split to read, of which they would be told
  out.classes = sorted_classes(classes);
  std::vector<std::tuple<int, fs::path, Split>> sorted;
  for (const Line& line : found) {
    const auto at = std::find(out.classes.begin(), out.classes.end(), line.label);
    const int label = line.split == Split::unlabeled ? -1 : static_cast<int>(at - out.classes.begin());
    if (label == std::ssize(out.classes))
      out.faults.push_back(fmt::format("{}: {}: class \"{}\" is not among those of the training pictures",
                                       list.string(), line.file.string(), line.label));
    sorted.emplace_back(label, line.file, line.split);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [label, file, split] : sorted) {
    SplitFiles& own = out.splits[split];
    own.files.push_back(file);
    if (split != Split::unlabeled) own.labels.push_back(label);
  }
  return out;
}

}  // namespace akin
