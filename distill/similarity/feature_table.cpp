#include "distill/similarity/feature_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "engine/io/csv.hpp"
#include "engine/io/npy.hpp"

namespace akin {
namespace {

namespace fs = std::filesystem;

/// Numbers as f32 or f64, finite, in two dimensions.
Array checked(const Array& values, const std::string& what, const std::string& file) {
  AKIN_CHECK(values.shape().rank() == 2 && values.shape()[0] > 0 && values.shape()[1] > 0,
             "{}: {} have shape {}, expected [rows, columns]", file, what, values.shape().str());
  const bool wide = values.dtype() == DType::f64 || values.dtype() == DType::i64 || values.dtype() == DType::i32;
  Array result = values.cast(wide ? DType::f64 : DType::f32);
  check_finite(result, what, file);
  return result;
}

/// The tensor called `name`, or the only one there is.
const Array& tensor_or_only(const SafeTensors& file, const std::string& name) {
  if (const Array* found = file.find(name)) return *found;
  std::string names;
  for (const auto& [other, array] : file.tensors) names += (names.empty() ? "" : ", ") + other;
  AKIN_CHECK(file.tensors.size() == 1, "{}: holds no tensor called {} (but {})", file.source, name, names);
  return file.tensors[0].second;
}

std::string whole_number(double value, const std::string& file, std::size_t row) {
  AKIN_CHECK(std::isfinite(value) && value == std::floor(value) && std::abs(value) < 1e9,
             "{}: label {} in row {} is no whole number; are these features or probabilities?", file, value, row);
  return std::to_string(static_cast<long>(value));
}

/// [N] or [N, 1] of numbers, as text.
std::vector<std::string> label_cells(const Array& values, const std::string& file) {
  const Shape& s = values.shape();
  AKIN_CHECK(s.numel() > 0 && (s.rank() == 1 || (s.rank() == 2 && s[1] == 1)),
             "{}: labels have shape {}, expected one whole number a row", file, s.str());
  const Array numbers = values.cast(DType::f64);
  std::vector<std::string> cells;
  for (const double value : numbers.as<double>()) cells.push_back(whole_number(value, file, cells.size()));
  return cells;
}

std::vector<std::string> label_lines(const std::string& text, const std::string& file) {
  CsvRows rows(text, file);
  std::vector<std::string> cells, labels;
  for (bool first = true; rows.next(cells); first = false) {
    AKIN_CHECK(cells.size() == 1, "{}: line {} has {} cells, expected one label a line", file, rows.line(),
               cells.size());
    if (first && (cells[0] == "label" || cells[0] == "labels" || cells[0] == "class")) continue;
    labels.push_back(cells[0]);
  }
  AKIN_CHECK(!labels.empty(), "{}: holds no label", file);
  return labels;
}

LabelList numbered(const std::vector<std::string>& cells, int classes, const std::string& file) {
  LabelList result{{}, {}, file};
  double value = 0;
  const bool numbers =
      std::all_of(cells.begin(), cells.end(), [&](const auto& cell) { return parse_number(cell, value); });
  if (numbers) {
    int most = 0;
    for (const std::string& cell : cells) {
      parse_number(cell, value);
      const int label = std::stoi(whole_number(value, file, result.labels.size()));
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

std::vector<std::string> label_cells_of(const fs::path& file) {
  const std::string name = file.string();
  if (file.extension() == ".npy") return label_cells(read_npy(file), name);
  if (file.extension() == ".safetensors") {
    const SafeTensors tensors = read_safetensors(file);
    return label_cells(tensor_or_only(tensors, "labels"), name);
  }
  AKIN_CHECK(file.extension() == ".csv" || file.extension() == ".txt" || !fs::exists(file),
             "{}: is no list of labels; give .npy, .safetensors, .csv or .txt with one label a row", name);
  return label_lines(read_text(file), name);
}

Array softmax_of(const Array& logits, const std::string& file) {
  return softmax_rows(checked(logits, "logits", file).cast(DType::f32));
}

/// features.npy or features.csv of a folder, or an empty array.
Array part_of(const fs::path& folder, const std::string& name) {
  for (const char* ending : {".npy", ".csv"})
    if (fs::exists(folder / (name + ending))) return read_matrix(folder / (name + ending));
  return {};
}

}  // namespace

LabelList read_labels(const fs::path& file, int classes) {
  return numbered(label_cells_of(file), classes, file.string());
}

Array read_matrix(const fs::path& file) {
  const std::string name = file.string();
  if (file.extension() == ".npy") return checked(read_npy(file), "its numbers", name);
  if (file.extension() == ".csv") return checked(read_csv(file).values, "its numbers", name);
  AKIN_CHECK(file.extension() == ".safetensors" || !fs::exists(file),
             "{}: is no table; give .npy, .csv or .safetensors", name);
  const SafeTensors tensors = read_safetensors(file);
  return checked(tensor_or_only(tensors, "features"), "its numbers", name);
}

FeatureTable read_feature_table(const fs::path& file) {
  FeatureTable table{.name = file.stem().string(), .features = {}, .file = file.string()};
  if (fs::is_directory(file)) {
    table.name = file.filename().empty() ? file.parent_path().filename().string() : file.filename().string();
    table.features = part_of(file, "features");
    AKIN_CHECK(table.features.numel() > 0, "{}: a folder of tables holds features.npy or features.csv", table.file);
    table.probabilities = part_of(file, "probabilities");
    if (const Array logits = part_of(file, "logits"); table.probabilities.numel() == 0 && logits.numel() > 0)
      table.probabilities = softmax_of(logits, table.file);
  } else if (file.extension() == ".safetensors") {
    const SafeTensors tensors = read_safetensors(file);
    table.features = checked(tensor_or_only(tensors, "features"), "features", table.file);
    if (const Array* p = tensors.find("probabilities"))
      table.probabilities = checked(*p, "probabilities", table.file);
    else if (const Array* logits = tensors.find("logits"))
      table.probabilities = softmax_of(*logits, table.file);
    if (const Array* labels = tensors.find("labels")) table.labels = label_cells(*labels, table.file);
    if (const auto layers = tensors.metadata.find("layers"); layers != tensors.metadata.end()) {
      const std::string& text = layers->second;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), table.layers);
      AKIN_CHECK(error == std::errc() && end == text.data() + text.size() && table.layers > 0,
                 "{}: metadata layers is \"{}\", expected a whole number above 0", table.file, text);
    }
  } else if (file.extension() == ".csv") {
    CsvMatrix csv = read_csv(file);
    table.features = checked(csv.values, "its numbers", table.file);
    table.labels = std::move(csv.labels);
  } else {
    table.features = read_matrix(file);
  }
  const std::int64_t rows = table.features.shape()[0];
  AKIN_CHECK(table.probabilities.numel() == 0 || table.probabilities.shape()[0] == rows,
             "{}: {} rows of features, {} of probabilities", table.file, rows, table.probabilities.shape()[0]);
  return table;
}

LabelList labels_of(const std::vector<FeatureTable>& tables, int classes) {
  const FeatureTable* first = nullptr;
  for (const FeatureTable& table : tables) {
    if (table.labels.empty()) continue;
    if (first == nullptr) first = &table;
    AKIN_CHECK(table.labels == first->labels,
               "{} and {} hold different labels; tables of one probe have the same rows in the same order", first->file,
               table.file);
  }
  AKIN_CHECK(first != nullptr,
             "no table holds labels: give them as --label-file FILE (.npy, .csv, .txt or .safetensors, one a row)");
  return numbered(first->labels, classes, first->file);
}

std::vector<Candidate> candidates_of(const std::vector<FeatureTable>& tables, const LabelList& labels,
                                     const Indices& probe, const Array& reference) {
  const auto rows = static_cast<std::int64_t>(labels.labels.size());
  AKIN_CHECK(reference.numel() == 0 || reference.shape()[0] == rows, "the reference has {} rows, {} has {} labels",
             reference.shape()[0], labels.file, rows);
  std::vector<Candidate> bank;
  for (const FeatureTable& table : tables) {
    AKIN_CHECK(table.features.shape()[0] == rows,
               "{}: {} rows, but {} has {} labels; one row a label, in the same order", table.file,
               table.features.shape()[0], labels.file, rows);
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
