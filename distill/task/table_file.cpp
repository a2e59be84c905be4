#include "distill/task/table_file.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/io/csv.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/file.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/number_text.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/text.hpp"

namespace akin {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kRepeats = 16;  // images beyond the first of each class that show a column to be no chance

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool all_digits(const std::vector<std::string>& names) {
  return !names.empty() && std::all_of(names.begin(), names.end(), [](const auto& name) { return only_digits(name); });
}

}  // namespace

TableFile read_table_file(const fs::path& file) {
  TableFile table;
  table.rows.file = file.string();
  if (lower_ending(file) != ".csv") {
    table.values = read_npy(file);
    return table;
  }
  CsvMatrix csv = read_csv(file);
  table.values = std::move(csv.values);
  table.columns = std::move(csv.columns);
  table.notes = std::move(csv.notes);
  table.rows.labels = std::move(csv.labels);
  table.rows.names = std::move(csv.names);
  table.rows.numbers = std::move(csv.numbers);
  return table;
}

std::optional<fs::path> table_part(const fs::path& folder, const std::string& name) {
  static const std::set<std::string> endings{".npy", ".csv", ".safetensors", ".npz", ".tsv", ".parquet"};
  std::vector<fs::path> found;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (lower(it->path().stem().string()) == name && endings.contains(lower_ending(it->path())))
      found.push_back(it->path());
  AKIN_CHECK(!error, "{}: folder cannot be read: {} (check the permissions)", folder.string(), error.message());
  std::sort(found.begin(), found.end());
  if (found.empty()) return std::nullopt;
  AKIN_CHECK(found.size() == 1, "{} and {}: which one holds the {}? Remove or rename one", found[0].string(),
             found[1].string(), name);
  const std::string ending = lower_ending(found[0]);
  AKIN_CHECK(ending == ".npy" || ending == ".csv", "{}: in a folder {} are {}.npy or {}.csv", found[0].string(), name,
             name, name);
  return found[0];
}

void take_rows_of_folder(TableRows& other, std::int64_t other_rows, const fs::path& folder, const TableRows& features,
                         std::int64_t feature_rows) {
  if (!other.names.empty() || !other.labels.empty() || other_rows != feature_rows) return;
  for (const char* name : {"names.txt", "names.npy", "labels.npy", "table.json"}) {
    if (!is_there(folder / name)) continue;
    const std::string file = other.file;
    other = features;
    other.file = file;
    return;
  }
}

TableRows rows_of_part(const fs::path& folder, const TableFile& features, std::vector<std::string>& notes) {
  const Shape& s = features.values.shape();
  const std::int64_t count = s.rank() > 0 ? s[0] : 0;
  TableRows rows = rows_of(folder, count);
  const TableRows& own = features.rows;
  if (rows.names.empty()) rows.names = own.names;
  AKIN_CHECK(own.names.empty() || rows.names == own.names,
             "{}: names its rows otherwise than the list of names beside it; keep the right one", own.file);
  if (rows.labels.empty()) rows.labels = own.labels;
  compare_labels(own, all_indices(count), rows, notes);
  rows.numbers = own.numbers;
  return rows;
}

Indices rows_beside(const TableRows& features, std::int64_t feature_rows, const TableRows& other,
                    std::int64_t other_rows, std::vector<std::string>& notes) {
  TableRows a = features, b = other;
  take_numbers_for_names({&a, &b});
  const Indices order = match_rows(b, other_rows, a, notes);
  compare_labels(b, order, a, notes);
  AKIN_CHECK(std::ssize(order) == feature_rows, "{}: {} rows, {} has {}; one row an image", other.file, order.size(),
             features.file, feature_rows);
  const bool told = (!a.names.empty() && !b.names.empty()) || (!a.images_sha256.empty() && !b.images_sha256.empty()) ||
                    (!a.labels.empty() && !b.labels.empty());
  if (!told && a.keyed())
    notes.push_back(
        fmt::format("{}: does not say of which images its rows are, as {} does; their order is taken on "
                    "trust",
                    other.file, features.file));
  return order;
}

void take_numbers_for_names(const std::vector<TableRows*>& all) {
  std::vector<std::set<std::string>> names;
  for (const TableRows* rows : all)
    if (all_digits(rows->names)) names.emplace_back(rows->names.begin(), rows->names.end());
  for (TableRows* rows : all) {
    if (!rows->names.empty() || rows->numbers.empty()) continue;
    const std::set<std::string> own(rows->numbers.begin(), rows->numbers.end());
    for (const auto& other : names)
      if (std::includes(other.begin(), other.end(), own.begin(), own.end()) ||
          std::includes(own.begin(), own.end(), other.begin(), other.end()))
        rows->names = rows->numbers;
  }
}

bool sums_to_one(const Array& rows) {
  const Shape& s = rows.shape();
  if (s.rank() != 2 || s[1] < 2 || s[0] == 0) return false;
  const Array wide = rows.cast(DType::f64);
  const auto x = wide.as<double>();
  const auto columns = static_cast<std::size_t>(s[1]);
  for (std::size_t i = 0; i < x.size(); i += columns) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) {
      if (x[i + c] < 0) return false;
      sum += x[i + c];
    }
    constexpr double kRounded = 0.02;  // shares of two decimals
    if (std::abs(sum - 1) > kRounded && std::abs(sum - 100) > 100 * kRounded) return false;
  }
  return true;
}

void compare_predictions(const Array& softmax, const Array& probabilities, const std::string& file,
                         std::vector<std::string>& notes) {
  AKIN_CHECK(softmax.shape() == probabilities.shape(),
             "{}: its logits have shape {}, its probabilities {}; keep those of this source", file,
             softmax.shape().str(), probabilities.shape().str());
  const Array given = probabilities.cast(DType::f32);
  const auto a = softmax.as<float>(), b = given.as<float>();
  const auto columns = static_cast<std::size_t>(softmax.shape()[1]);
  constexpr float kSame = 0.01f;
  bool same = true;
  for (std::size_t i = 0; i < a.size(); i += columns) {
    const auto best = [&](std::span<const float> x) {
      return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
    };
    for (std::size_t c = 0; c < columns; ++c) same = same && std::abs(a[i + c] - b[i + c]) <= kSame;
    const std::size_t by_logits = best(a.subspan(i, columns)), by_shares = best(b.subspan(i, columns));
    AKIN_CHECK(
        b[i + by_shares] - b[i + by_logits] <= kSame || a[i + by_logits] - a[i + by_shares] <= kSame,
        "{}: its logits and its probabilities contradict each other: in row {} (from 0) class {} has the largest "
        "logit, class {} the largest probability; keep those of this source",
        file, i / columns, by_logits, by_shares);
  }
  if (!same)
    notes.push_back(
        fmt::format("{}: its probabilities are not the softmax of its logits; the probabilities are taken", file));
}

std::vector<std::string> columns_of_labels(const Array& features, const std::vector<int>& labels,
                                           const std::string& file) {
  const Array wide = features.cast(DType::f64);
  const auto x = wide.as<double>();
  const auto D = static_cast<std::size_t>(wide.shape()[1]);
  std::vector<std::size_t> known;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0) known.push_back(i);
  std::vector<std::size_t> label_itself, of_classes;
  for (std::size_t c = 0; c < D && !known.empty(); ++c) {
    const double shift = x[known[0] * D + c] - labels[known[0]];
    if ((shift == 0 || shift == 1) &&
        std::all_of(known.begin(), known.end(), [&](std::size_t i) { return x[i * D + c] == labels[i] + shift; })) {
      label_itself.push_back(c);
      continue;
    }
    std::map<int, double> of;
    const bool told = std::all_of(known.begin(), known.end(), [&](std::size_t i) {
      return of.emplace(labels[i], x[i * D + c]).first->second == x[i * D + c];
    });
    const double first = of.begin()->second;
    if (told && known.size() - of.size() >= kRepeats &&
        std::any_of(of.begin(), of.end(), [&](const auto& entry) { return entry.second != first; }))
      of_classes.push_back(c);
  }
  std::vector<std::string> lines;
  const bool one = label_itself.size() == 1;
  if (!label_itself.empty())
    lines.push_back(fmt::format("{}: {} of its features {} the label itself; leave {} out", file,
                                columns_of({}, label_itself), one ? "is" : "are", one ? "it" : "them"));
  if (!of_classes.empty())
    lines.push_back(fmt::format(
        "{}: {} of its features: one value for all images of a class, and others for other classes. Made of the "
        "labels? Then leave {} out",
        file, columns_of({}, of_classes), of_classes.size() == 1 ? "it" : "them"));
  return lines;
}

namespace {

void tell_passed_over(const std::string& where, std::vector<std::string> names, const char* parts,
                      std::vector<std::string>& notes) {
  if (names.empty()) return;
  constexpr std::size_t kFew = 5;
  const std::size_t all = names.size();
  names.resize(std::min(all, kFew));
  for (std::string& name : names) name = "\"" + readable_text(name) + "\"";
  notes.push_back(fmt::format("{}: passed over {}{}; the parts of a table are called {}", where, fmt::join(names, ", "),
                              all > kFew ? fmt::format(" and {} more", all - kFew) : "", parts));
}

}  // namespace

void tell_passed_over(const SafeTensors& table, std::vector<std::string>& notes) {
  static const std::set<std::string> known{"features", "logits", "probabilities", "names", "labels"};
  std::vector<std::string> others;
  for (const auto& [name, array] : table.tensors)
    if (!known.contains(name)) others.push_back(name);
  tell_passed_over(table.source, std::move(others), "features, logits, probabilities, names, labels", notes);
}

void tell_passed_over(const fs::path& folder, std::vector<std::string>& notes) {
  static const std::set<std::string> tables{".npy", ".npz",  ".csv",         ".tsv",
                                            ".txt", ".json", ".safetensors", ".parquet"};
  const auto parts = table_parts();
  std::vector<std::string> others;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string(), form = lower(name);
    const bool known = form == "table.json" || name.starts_with('.') || form.starts_with("readme") ||
                       std::find(parts.begin(), parts.end(), form) != parts.end();
    if (!known && tables.contains(lower_ending(it->path()))) others.push_back(name);
  }
  std::sort(others.begin(), others.end());
  tell_passed_over(folder.string(), std::move(others),
                   "features, logits, probabilities (.npy or .csv), names (.txt or "
                   ".npy), labels.npy and table.json",
                   notes);
}

}  // namespace akin
