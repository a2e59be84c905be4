#include "distill/similarity/feature_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "engine/io/csv.hpp"
#include "engine/io/file.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/number_text.hpp"
#include "engine/io/text.hpp"

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
  double value = 0;
  parse_number(cell, value);
  AKIN_CHECK(value == std::floor(value) && std::abs(value) < 1e9,
             "{}: label {} in row {} is no whole number; are these features or probabilities?", file, cell, row);
  return static_cast<int>(value);
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
      AKIN_CHECK(label >= 0,
                 "{}: label {} in row {}; labels are 0, 1, 2 ... Leave rows without a label out of labels and tables",
                 file, label, result.labels.size());
      AKIN_CHECK(classes == 0 || label < classes,
                 "{}: label {} in row {} is out of range, expected 0..{} (--classes {}); another label space?", file,
                 label, result.labels.size(), classes - 1, classes);
      AKIN_CHECK(label < 1'000'000, "{}: label {} in row {} is too large for a class number", file, label,
                 result.labels.size());
      most = std::max(most, label);
      result.labels.push_back(label);
    }
    for (int c = 0; c < std::max(most + 1, classes); ++c) result.classes.push_back(std::to_string(c));
    return result;
  }
  std::map<std::string, int> number;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    AKIN_CHECK(!cells[i].empty(), "{}: row {} has no label", file, i);
    number.emplace(cells[i], 0);
  }
  for (auto& [name, at] : number) {
    at = static_cast<int>(result.classes.size());
    result.classes.push_back(name);
  }
  AKIN_CHECK(classes == 0 || result.classes.size() <= static_cast<std::size_t>(classes),
             "{}: {} different labels, but --classes {}; another label space?", file, result.classes.size(), classes);
  for (int c = static_cast<int>(result.classes.size()); c < classes; ++c) result.classes.push_back(std::to_string(c));
  for (const std::string& cell : cells) result.labels.push_back(number.at(cell));
  return result;
}

void refuse_ending(const fs::path& file, const char* endings, const char* what) {
  if (!is_there(file)) return;  // the reader says that
  const std::string kind = foreign_kind_of(file, Wanted::table);
  fail("{}: is no {}{}{}; give {}", file.string(), what, kind.empty() ? "" : " but ", kind, endings);
}

/// Of logits of a table; `notes`: of the reading.
Array softmax_of(const Array& logits, FeatureTable& table) {
  return softmax_rows(table_numbers(logits, "logits", table.rows.file, {}, table.notes).cast(DType::f32));
}

/// The numbers of one file, with its names, labels and notes.
FeatureTable one_matrix(const fs::path& file) {
  FeatureTable table{.name = readable_text(file.stem().string()), .features = {}};
  table.rows.file = file.string();
  if (file.extension() == ".csv") {
    CsvMatrix csv = read_csv(file);
    table.notes = std::move(csv.notes);
    table.rows.labels = std::move(csv.labels);
    table.rows.names = std::move(csv.names);
    table.features = table_numbers(csv.values, "its numbers", table.rows.file, csv.columns, table.notes);
    return table;
  }
  if (file.extension() != ".npy" && file.extension() != ".safetensors")
    refuse_ending(file, ".npy, .csv or .safetensors", "table");
  if (file.extension() != ".safetensors") {
    table.features = table_numbers(read_npy(file), "its numbers", table.rows.file, {}, table.notes);
    return table;
  }
  const SafeTensors tensors = read_safetensors(file);
  table.features = table_numbers(tensor_or_only(tensors, "features"), "features", table.rows.file, {}, table.notes);
  table.rows = rows_of(tensors, table.features.shape()[0]);
  if (const Array* p = tensors.find("probabilities"))
    table.probabilities = table_numbers(*p, "probabilities", table.rows.file, {}, table.notes);
  else if (const Array* logits = tensors.find("logits"))
    table.probabilities = softmax_of(*logits, table);
  if (const auto layers = tensors.metadata.find("layers"); layers != tensors.metadata.end()) {
    const std::string& text = layers->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), table.layers);
    AKIN_CHECK(error == std::errc() && end == text.data() + text.size() && table.layers > 0,
               "{}: metadata layers is \"{}\", expected a whole number above 0", table.rows.file, text);
  }
  return table;
}

/// features.npy or features.csv of a folder, or an empty table.
FeatureTable part_of(const fs::path& folder, const std::string& name) {
  for (const char* ending : {".npy", ".csv"})
    if (is_there(folder / (name + ending))) return one_matrix(folder / (name + ending));
  return {};
}

FeatureTable folder_table(const fs::path& folder) {
  FeatureTable table = part_of(folder, "features");
  table.name = source_name(folder);
  AKIN_CHECK(table.features.numel() > 0, "{}: a folder of tables holds features.npy or features.csv", folder.string());
  TableRows rows = rows_of(folder, table.features.shape()[0]);
  if (rows.names.empty()) rows.names = std::move(table.rows.names);
  if (rows.labels.empty()) rows.labels = std::move(table.rows.labels);
  table.rows = std::move(rows);
  FeatureTable probabilities = part_of(folder, "probabilities"), logits = part_of(folder, "logits");
  table.probabilities = std::move(probabilities.features);
  if (table.probabilities.numel() == 0 && logits.features.numel() > 0)
    table.probabilities = softmax_rows(logits.features.cast(DType::f32));
  for (const FeatureTable* part : {&probabilities, &logits})
    table.notes.insert(table.notes.end(), part->notes.begin(), part->notes.end());
  return table;
}

void reorder(FeatureTable& table, const Indices& order) {
  table.features = pick_rows(table.features, order);
  if (table.probabilities.numel() > 0) table.probabilities = pick_rows(table.probabilities, order);
  for (std::vector<std::string>* cells : {&table.rows.names, &table.rows.labels}) {
    std::vector<std::string> moved;
    for (const std::int64_t row : order)
      if (!cells->empty()) moved.push_back((*cells)[static_cast<std::size_t>(row)]);
    *cells = std::move(moved);
  }
}

}  // namespace

LabelList read_labels(const fs::path& file, int classes) {
  TableRows rows{.file = file.string()};
  std::vector<std::string> notes;
  if (file.extension() == ".npy") {
    rows.labels = label_cells_of_npy(file);
  } else if (file.extension() == ".safetensors") {
    const SafeTensors tensors = read_safetensors(file);
    rows.labels = label_cells(tensor_or_only(tensors, "labels"), rows.file);
    if (tensors.find("names") != nullptr) rows.names = rows_of(tensors, std::ssize(rows.labels)).names;
  } else {
    if (file.extension() != ".csv" && file.extension() != ".txt")
      refuse_ending(file, ".npy, .safetensors, .csv or .txt with one label a row", "list of labels");
    CsvLabels list = parse_csv_labels(read_table_text(file), rows.file);
    rows.labels = std::move(list.labels);
    rows.names = std::move(list.names);
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

std::vector<std::string> align_tables(std::vector<FeatureTable>& tables, const LabelList* labels,
                                      const std::vector<FeatureTable*>& more) {
  std::vector<FeatureTable*> all;
  for (FeatureTable& table : tables) all.push_back(&table);
  all.insert(all.end(), more.begin(), more.end());
  TableRows wanted;
  if (labels != nullptr && !labels->rows.names.empty())
    wanted = {.file = labels->rows.file, .names = labels->rows.names};
  for (const FeatureTable* table : all) {
    if (wanted.names.empty() && !table->rows.names.empty()) {
      wanted.names = table->rows.names;
      wanted.file = table->rows.file;
    }
    if (wanted.images_sha256.empty() && !table->rows.images_sha256.empty()) {
      wanted.images_sha256 = table->rows.images_sha256;
      wanted.images_size = table->rows.images_size;
      if (wanted.file.empty()) wanted.file = table->rows.file;
    }
  }
  std::vector<std::string> notes;
  for (FeatureTable* table : all) {
    const Indices order = match_rows(table->rows, table->features.shape()[0], wanted, notes);
    if (labels != nullptr) compare_labels(table->rows, order, labels->rows, notes);
    reorder(*table, order);
  }
  return notes;
}

std::vector<std::string> columns_of_labels(const std::vector<FeatureTable>& tables, const LabelList& labels) {
  std::vector<std::string> lines;
  for (const FeatureTable& table : tables) {
    const Array wide = table.features.cast(DType::f64);
    const auto x = wide.as<double>();
    const auto D = static_cast<std::size_t>(wide.shape()[1]);
    for (std::size_t c = 0; c < D; ++c) {
      const double shift = x[c] - labels.labels[0];
      bool same = shift == 0 || shift == 1;
      for (std::size_t i = 0; same && i < labels.labels.size(); ++i) same = x[i * D + c] == labels.labels[i] + shift;
      if (same)
        lines.push_back(
            fmt::format("{}: column {} of its features is the label itself; leave it out", table.rows.file, c + 1));
    }
  }
  return lines;
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
