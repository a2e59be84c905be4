#include "distill/similarity/feature_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "distill/task/table_file.hpp"
#include "engine/io/csv.hpp"
#include "engine/io/file.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/io/number_text.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/text.hpp"
#include "nn/data/alike_names.hpp"

namespace akin {
namespace {

namespace fs = std::filesystem;

/// The tensor called `name`, or the only one there is.
const Array& tensor_or_only(const SafeTensors& file, const std::string& name) {
  if (const Array* found = file.find(name)) return *found;
  std::string names;
  for (const auto& [other, array] : file.tensors) names += (names.empty() ? "" : ", ") + other;
  AKIN_CHECK(file.tensors.size() == 1, "{}: holds no tensor called {} (but {})", file.source, name, names);
  return file.tensors[0].second;
}

int class_number(const std::string& cell, std::size_t row, const std::string& file) {
  constexpr double kMost = 1'000'000;
  double value = 0;
  parse_number(cell, value);
  AKIN_CHECK(!std::isnan(value),
             "{}: row {} has no label (\"{}\"); leave rows without a label out of labels and tables", file, row, cell);
  AKIN_CHECK(value == std::floor(value) && std::isfinite(value),
             "{}: label {} in row {} is no whole number; are these features or probabilities?", file, cell, row);
  AKIN_CHECK(value >= 0,
             "{}: label {} in row {}; labels are 0, 1, 2 ... Leave rows without a label out of labels and tables", file,
             cell, row);
  AKIN_CHECK(
      value < kMost,
      "{}: label {} in row {} is too large for a class number (below {} is possible); number the classes from 0, "
      "or give their names as text",
      file, cell, row, kMost);
  return static_cast<int>(value);
}

/// Texts are classes, too: 01 beside 1 may be one class or two.
void check_padding(const std::vector<std::string>& cells, const std::vector<int>& labels, const std::string& file) {
  const auto padded = [](const std::string& cell) { return cell.size() > 1 && cell[0] == '0' && only_digits(cell); };
  if (std::none_of(cells.begin(), cells.end(), padded)) return;
  std::map<int, std::size_t> first;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::size_t other = first.emplace(labels[i], i).first->second;
    AKIN_CHECK(cells[other] == cells[i] || !(padded(cells[other]) || padded(cells[i])),
               "{}: labels \"{}\" in row {} and \"{}\" in row {} are one number and two texts; write equal labels "
               "alike, or give the classes names that are no numbers",
               file, cells[other], other, cells[i], i);
  }
}

void check_named(const std::vector<std::string>& cells, const std::string& file) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    AKIN_CHECK(!cells[i].empty(), "{}: row {} has no label", file, i);
    double value = 0;
    AKIN_CHECK(
        !is_missing(cells[i]) && !(parse_number(cells[i], value) && !(value >= 0)),
        "{}: row {} has no label (\"{}\" stands for a missing one); leave rows without a label out of labels and "
        "tables, and call a class of this name otherwise",
        file, i, cells[i]);
  }
}

/// Names that people take for one: a line with the first two and the number of the others.
void tell_look_alikes(const std::vector<std::string>& classes, const std::string& file,
                      std::vector<std::string>& notes) {
  std::map<std::string, std::string> seen;
  std::string line;
  std::size_t more = 0;
  for (const std::string& name : classes) {
    const auto [at, fresh] = seen.emplace(alike_form(name), name);
    if (fresh) continue;
    if (line.empty())
      line = fmt::format(
          "{}: labels \"{}\" and \"{}\" differ only in case, blanks or the code of their letters, and are "
          "two classes",
          file, at->second, name);
    else
      ++more;
  }
  if (!line.empty()) notes.push_back(line + (more > 0 ? fmt::format(" ({} more such)", more) : ""));
}

/// The classes of rows.labels.
LabelList numbered(TableRows rows, int classes, std::vector<std::string> notes = {}) {
  const std::vector<std::string> cells = rows.labels;
  const std::string file = rows.file;
  LabelList result{{}, {}, std::move(rows), std::move(notes)};
  double value = 0;
  const bool numbers =
      std::all_of(cells.begin(), cells.end(), [&](const auto& cell) { return parse_number(cell, value); });
  if (numbers) {
    int most = 0;
    for (const std::string& cell : cells) {
      const int label = class_number(cell, result.labels.size(), file);
      AKIN_CHECK(classes == 0 || label < classes,
                 "{}: label {} in row {} is out of range, expected 0..{} (--classes {}); another label space?", file,
                 label, result.labels.size(), classes - 1, classes);
      most = std::max(most, label);
      result.labels.push_back(label);
    }
    check_padding(cells, result.labels, file);
    for (int c = 0; c < std::max(most + 1, classes); ++c) result.classes.push_back(std::to_string(c));
    return result;
  }
  check_named(cells, file);
  std::map<std::string, int> number;
  for (const std::string& cell : cells) number.emplace(cell, 0);
  for (auto& [name, at] : number) {
    at = static_cast<int>(result.classes.size());
    result.classes.push_back(name);
  }
  AKIN_CHECK(classes == 0 || result.classes.size() <= static_cast<std::size_t>(classes),
             "{}: {} different labels, but --classes {}; another label space?", file, result.classes.size(), classes);
  tell_look_alikes(result.classes, file, result.notes);
  for (int c = static_cast<int>(result.classes.size()); c < classes; ++c) result.classes.push_back(std::to_string(c));
  for (const std::string& cell : cells) result.labels.push_back(number.at(cell));
  return result;
}

void refuse_ending(const fs::path& file, const char* endings, const char* what) {
  if (!is_there(file)) return;  // the reader says that
  const std::string kind = foreign_kind_of(file, Wanted::table);
  fail("{}: is no {}{}{}; give {}", file.string(), what, kind.empty() ? "" : " but ", kind, endings);
}

/// Probabilities of `logits`.
Array softmax_of(const Array& logits, const std::string& file, std::vector<std::string>& notes) {
  if (sums_to_one(logits))
    notes.push_back(
        fmt::format("{}: its logits are at least 0 and sum to 1 in every row; are they probabilities? Then "
                    "give them as such",
                    file));
  return softmax_rows(logits.cast(DType::f32));
}

/// Of a file that may hold either, or both.
void take_predictions(const SafeTensors& file, FeatureTable& table) {
  const Array *p = file.find("probabilities"), *logits = file.find("logits");
  const auto numbers = [&](const Array& a, const char* what) {
    return table_numbers(a, what, file.source, {}, table.notes);
  };
  const Array raw = logits != nullptr ? numbers(*logits, "logits") : Array();
  if (p != nullptr) {
    table.probabilities = numbers(*p, "probabilities");
    if (logits != nullptr)
      compare_predictions(softmax_rows(raw.cast(DType::f32)), table.probabilities, file.source, table.notes);
  } else if (logits != nullptr) {
    table.probabilities = softmax_of(raw, file.source, table.notes);
  }
}

/// The numbers of one file, with its names, labels and notes.
FeatureTable one_matrix(const fs::path& file) {
  FeatureTable table{.name = readable_text(file.stem().string()), .features = {}};
  const std::string ending = lower_ending(file);
  if (ending != ".csv" && ending != ".npy" && ending != ".safetensors")
    refuse_ending(file, ".npy, .csv or .safetensors", "table");
  if (ending != ".safetensors") {
    TableFile numbers = read_table_file(file);
    table.rows = std::move(numbers.rows);
    table.notes = std::move(numbers.notes);
    table.features = table_numbers(numbers.values, "its numbers", table.rows.file, numbers.columns, table.notes);
    return table;
  }
  return feature_table_of(read_safetensors(file), table.name);
}

FeatureTable folder_table(const fs::path& folder) {
  const auto file = table_part(folder, "features");
  AKIN_CHECK(file, "{}: a folder of tables holds features.npy or features.csv", folder.string());
  TableFile features = read_table_file(*file);
  FeatureTable table{.name = source_name(folder), .features = {}, .notes = std::move(features.notes)};
  table.features = table_numbers(features.values, "its numbers", features.rows.file, features.columns, table.notes);
  table.rows = rows_of_part(folder, features, table.notes);
  tell_passed_over(folder, table.notes);
  const auto part = [&](const char* name) {
    const auto path = table_part(folder, name);
    if (!path) return std::optional<FeatureTable>();
    std::optional<FeatureTable> read = one_matrix(*path);
    take_rows_of_folder(read->rows, read->features.shape()[0], folder, table.rows, table.features.shape()[0]);
    return read;
  };
  std::optional<FeatureTable> probabilities = part("probabilities"), logits = part("logits");
  if (logits) {
    add_predictions(table, std::move(*logits), true);
    if (probabilities) {
      const Array softmax = table.probabilities;
      add_predictions(table, std::move(*probabilities), false);
      compare_predictions(softmax, table.probabilities, folder.string(), table.notes);
    }
  } else if (probabilities) {
    add_predictions(table, std::move(*probabilities), false);
  }
  return table;
}

void reorder(FeatureTable& table, const Indices& order, const Indices& predictions) {
  table.features = pick_rows(table.features, order);
  if (table.probabilities.numel() > 0) table.probabilities = pick_rows(table.probabilities, predictions);
  for (std::vector<std::string>* cells : {&table.rows.names, &table.rows.labels}) {
    std::vector<std::string> moved;
    for (const std::int64_t row : order)
      if (!cells->empty()) moved.push_back((*cells)[static_cast<std::size_t>(row)]);
    *cells = std::move(moved);
  }
}

}  // namespace

FeatureTable feature_table_of(const SafeTensors& tensors, const std::string& name) {
  FeatureTable table{.name = name, .features = {}};
  table.features = table_numbers(tensor_or_only(tensors, "features"), "features", tensors.source, {}, table.notes);
  table.rows = rows_of(tensors, table.features.shape()[0]);
  take_predictions(tensors, table);
  if (tensors.find("features") != nullptr) tell_passed_over(tensors, table.notes);
  if (const auto layers = tensors.metadata.find("layers"); layers != tensors.metadata.end()) {
    const std::string& text = layers->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), table.layers);
    AKIN_CHECK(
        error == std::errc() && end == text.data() + text.size() && table.layers > 0 && table.layers <= kMostLayers,
        "{}: metadata layers is \"{}\", expected a whole number from 1 to {}", table.rows.file, text, kMostLayers);
  }
  return table;
}

constexpr std::uint64_t kMaxLabelBytes = std::uint64_t{1} << 30;  // ten million paths

LabelList read_labels(const fs::path& file, int classes) {
  TableRows rows{.file = file.string()};
  std::vector<std::string> notes;
  const std::string ending = lower_ending(file);
  if (ending == ".npy") {
    rows.labels = label_cells_of_npy(file, kMaxLabelBytes);
  } else if (ending == ".safetensors") {
    const SafeTensors tensors = read_safetensors(file, kMaxLabelBytes);
    rows.labels = label_cells(tensor_or_only(tensors, "labels"), rows.file);
    if (tensors.find("names") != nullptr) rows.names = rows_of(tensors, std::ssize(rows.labels)).names;
  } else {
    if (ending != ".csv" && ending != ".txt")
      refuse_ending(file, ".npy, .safetensors, .csv or .txt with one label a row", "list of labels");
    CsvLabels list = parse_csv_labels(read_table_text(file, kMaxLabelBytes), rows.file);
    rows.labels = std::move(list.labels);
    rows.names = std::move(list.names);
    rows.numbers = std::move(list.numbers);
    notes = std::move(list.notes);
  }
  return numbered(std::move(rows), classes, std::move(notes));
}

FeatureTable read_feature_table(const fs::path& file) {
  FeatureTable table = is_folder(file) ? folder_table(file) : one_matrix(file);
  const std::int64_t rows = table.features.shape()[0];
  AKIN_CHECK(table.probabilities.numel() == 0 || table.probabilities.shape()[0] == rows,
             "{}: {} rows of features, {} of probabilities", table.rows.file, rows, table.probabilities.shape()[0]);
  return table;
}

void add_predictions(FeatureTable& table, FeatureTable given, bool are_logits) {
  const bool both = given.probabilities.numel() > 0;  // of a file that holds features as well
  const Array& values = both ? given.probabilities : given.features;
  const Indices order = rows_beside(table.rows, table.features.shape()[0], given.rows, values.shape()[0], given.notes);
  table.probabilities = pick_rows(values, order);
  if (are_logits && !both) table.probabilities = softmax_of(table.probabilities, given.rows.file, given.notes);
  table.prediction_rows = table.rows.keyed() ? TableRows{} : std::move(given.rows);
  table.notes.insert(table.notes.end(), given.notes.begin(), given.notes.end());
}

std::vector<std::string> align_tables(std::vector<FeatureTable>& tables, const LabelList* labels,
                                      const std::vector<FeatureTable*>& more) {
  std::vector<FeatureTable*> all;
  for (FeatureTable& table : tables) all.push_back(&table);
  all.insert(all.end(), more.begin(), more.end());
  TableRows list = labels != nullptr ? labels->rows : TableRows{};
  std::vector<TableRows*> every{&list};
  for (FeatureTable* table : all) every.push_back(&table->rows);
  for (FeatureTable* table : all) every.push_back(&table->prediction_rows);
  take_numbers_for_names(every);

  // The list's names lead, then those of rows whose labels can be compared with the list's, then the first there are.
  TableRows wanted;
  const auto lead = [&](const TableRows& rows) {
    if (!wanted.names.empty() || rows.names.empty()) return;
    wanted.names = rows.names;
    wanted.file = rows.file;
  };
  lead(list);
  for (const TableRows* rows : every)
    if (labels != nullptr && !rows->labels.empty()) lead(*rows);
  const bool verified = labels == nullptr || !wanted.names.empty();
  for (const TableRows* rows : every) lead(*rows);
  for (const FeatureTable* table : all) {
    if (!wanted.images_sha256.empty() || table->rows.images_sha256.empty()) continue;
    wanted.images_sha256 = table->rows.images_sha256;
    wanted.images_size = table->rows.images_size;
    if (wanted.file.empty()) wanted.file = table->rows.file;
  }
  std::vector<std::string> notes;
  if (!verified && !wanted.names.empty())
    notes.push_back(
        fmt::format("{}: names no images; its labels are taken to be in the order of the rows of {}, on "
                    "trust",
                    list.file, wanted.file));
  const auto matched = [&](const TableRows& rows, std::int64_t count) {
    Indices order = match_rows(rows, count, wanted, notes);
    AKIN_CHECK(verified || std::is_sorted(order.begin(), order.end()),
               "{} names no images, and the rows of {} are in another order than those of {}: whose order its labels "
               "follow cannot be told. Give a list with a column of names, or tables in one order",
               list.file, rows.file, wanted.file);
    return order;
  };
  for (FeatureTable* table : all) {
    const Indices order = matched(table->rows, table->features.shape()[0]);
    const TableRows& own = table->prediction_rows;
    const Indices predictions = own.names.empty() ? order : matched(own, table->probabilities.shape()[0]);
    if (labels != nullptr) compare_labels(table->rows, order, list, notes);
    if (labels != nullptr) compare_labels(own, predictions, list, notes);
    AKIN_CHECK(predictions.size() == order.size(), "{}: {} rows, {} of probabilities in {}", table->rows.file,
               order.size(), predictions.size(), own.file);
    reorder(*table, order, predictions);
  }
  return notes;
}

LabelList labels_of(const std::vector<FeatureTable>& tables, int classes) {
  const FeatureTable* first = nullptr;
  for (const FeatureTable& table : tables) {
    if (table.rows.labels.empty()) continue;
    if (first == nullptr) first = &table;
    AKIN_CHECK(table.rows.labels == first->rows.labels,
               "{} and {} hold different labels; tables of one probe have the same rows in the same order",
               first->rows.file, table.rows.file);
  }
  AKIN_CHECK(first != nullptr,
             "no table holds labels: give them as --label-file FILE (.npy, .csv, .txt or .safetensors, one a row)");
  return numbered(first->rows, classes);
}

std::vector<Candidate> candidates_of(const std::vector<FeatureTable>& tables, const LabelList& labels,
                                     const Indices& probe, const Array& reference) {
  const auto rows = static_cast<std::int64_t>(labels.labels.size());
  AKIN_CHECK(reference.numel() == 0 || reference.shape()[0] == rows, "the reference has {} rows, {} has {} labels",
             reference.shape()[0], labels.rows.file, rows);
  std::vector<Candidate> bank;
  for (const FeatureTable& table : tables) {
    AKIN_CHECK(table.features.shape()[0] == rows,
               "{}: {} rows, but {} has {} labels; one row a label, in the same order", table.rows.file,
               table.features.shape()[0], labels.rows.file, rows);
    Candidate candidate{table.name, {}, table.layers};
    candidate.probe.features = pick_rows(table.features, probe);
    if (table.probabilities.numel() > 0) candidate.probe.probabilities = pick_rows(table.probabilities, probe);
    if (reference.numel() > 0) candidate.probe.reference = pick_rows(reference, probe);
    for (const std::int64_t i : probe) candidate.probe.labels.push_back(labels.labels[static_cast<std::size_t>(i)]);
    candidate.probe.classes = static_cast<int>(labels.classes.size());
    bank.push_back(std::move(candidate));
  }
  return bank;
}

}  // namespace akin
