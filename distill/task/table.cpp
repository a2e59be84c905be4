#include "distill/task/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>

#include "distill/task/row_names.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "engine/io/npy.hpp"
#include "engine/io/number_text.hpp"
#include "engine/io/sha256.hpp"

namespace akin {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kFewRows = 10;  // a feature may count by chance

void check_count(const std::vector<std::string>& cells, const char* what, std::int64_t rows, const std::string& file) {
  AKIN_CHECK(cells.empty() || static_cast<std::int64_t>(cells.size()) == rows, "{}: {} {} for {} rows of features",
             file, cells.size(), what, rows);
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.back().empty()) parts.pop_back();
  return parts;
}

/// UTF-8, a zero byte between two names; a new line where there is none, as another program may have written it.
std::vector<std::string> names_of(const Array& bytes, const std::string& file) {
  AKIN_CHECK(bytes.dtype() == DType::u8 && bytes.shape().rank() == 1,
             "{}: names are a u8 tensor of rank 1, found {} {}", file, name_of(bytes.dtype()), bytes.shape().str());
  const std::string text(reinterpret_cast<const char*>(bytes.bytes()), bytes.byte_size());
  return split(text, text.find('\0') != std::string::npos ? '\0' : '\n');
}

void take_metadata(TableRows& rows, const std::map<std::string, std::string>& metadata) {
  const auto said = [&](const char* key) {
    const auto it = metadata.find(key);
    return it == metadata.end() ? std::string() : it->second;
  };
  rows.images_sha256 = said("images_sha256");
  rows.images_size = said("images_size");
  rows.model_sha256 = said("model_sha256");
}

std::map<std::string, std::string> metadata_of(const TableRows& rows) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : {std::pair{"images_sha256", &rows.images_sha256},
                                   {"images_size", &rows.images_size},
                                   {"model_sha256", &rows.model_sha256}})
    if (!value->empty()) out[key] = *value;
  return out;
}

/// Every file of a table's folder that says something of its images; those of `akin features` first.
constexpr const char* kParts[] = {"features.npy", "logits.npy", "labels.npy",        "names.txt",        "names.npy",
                                  "features.csv", "logits.csv", "probabilities.npy", "probabilities.csv"};
constexpr std::size_t kOwnParts = 4;

/// Error where table.json was changed, or a file of the folder is another than it lists, or not in its list.
void check_parts(const fs::path& folder, const Json& about) {
  const std::string where = (folder / "table.json").string();
  AKIN_CHECK(seal_of(about) != Seal::broken,
             "{}: its content is not what akin wrote (its sha256 differs: damaged, or changed by hand); make the table "
             "again, or delete this file and its rows are taken on trust",
             where);
  const auto files = about.find("files");
  if (files == about.end() || !files->is_object()) return;
  for (const char* part : kParts) {
    const bool there = is_there(folder / part);
    if (const auto said = files->find(part); said != files->end())
      AKIN_CHECK(there && *said == sha256_file(folder / part),
                 "{}: is {} with which {} was written; make the table again, or delete {} and its rows are taken on "
                 "trust",
                 (folder / part).string(), there ? "not the file" : "missing,", where, where);
    else
      AKIN_CHECK(!there,
                 "{}: belongs to the table that {} describes no more than its other files do (left from an earlier "
                 "one?); remove it, or delete {} and the rows are taken on trust",
                 (folder / part).string(), where, where);
  }
}

bool unknown(const std::string& label) { return label.empty() || label == "-1"; }

/// "3" for "3.0".
std::string plain(const std::string& label) {
  double value = 0;
  return parse_number(label, value) && value == std::floor(value) && std::abs(value) < 1e9
             ? std::to_string(static_cast<long>(value))
             : label;
}

}  // namespace

TableRows rows_of(const ImageSet& set, const std::string& hash) {
  const Shape& s = set.images.shape();
  TableRows rows{.file = set.source.empty() ? set.name : set.source,
                 .images_sha256 = hash,
                 .images_size = fmt::format("{}x{}x{}", s[1], s[2], s[3]),
                 .names = set.names};
  for (const int label : set.labels) rows.labels.push_back(std::to_string(label));
  return rows;
}

TableRows rows_of(const SafeTensors& table, std::int64_t count) {
  check_seal(table, "make the table again; who changed it on purpose takes \"sha256\" out of its metadata");
  TableRows rows{.file = table.source};
  take_metadata(rows, table.metadata);
  if (const Array* names = table.find("names")) rows.names = names_of(*names, table.source);
  if (const Array* labels = table.find("labels")) rows.labels = label_cells(*labels, table.source);
  check_count(rows.names, "names", count, rows.file);
  check_count(rows.labels, "labels", count, rows.file);
  return rows;
}

TableRows rows_of(const fs::path& folder, std::int64_t count) {
  TableRows rows{.file = folder.string()};
  if (const fs::path about = folder / "table.json"; is_there(about)) {
    const Json j = parse_json(read_text(about), about.string());
    std::map<std::string, std::string> metadata;
    if (j.is_object()) check_parts(folder, j);
    if (j.is_object())
      for (const auto& [key, value] : j.items())
        if (value.is_string()) metadata[key] = value.get<std::string>();
    take_metadata(rows, metadata);
  }
  if (const fs::path names = folder / "names.npy"; is_there(names)) {
    const auto text = parse_npy_text(read_file(names), names.string());
    AKIN_CHECK(text.has_value(), "{}: holds numbers; names of images were expected", names.string());
    rows.names = *text;
  }
  if (const fs::path lines = folder / "names.txt"; is_there(lines)) {
    const std::vector<std::string> names = split(read_text(lines, kMaxFileBytes), '\n');
    AKIN_CHECK(rows.names.empty() || rows.names == names,
               "{}: names.npy and names.txt name the rows differently; keep the right one", folder.string());
    rows.names = names;
  }
  if (is_there(folder / "labels.npy")) rows.labels = label_cells_of_npy(folder / "labels.npy");
  check_count(rows.names, "names", count, rows.file);
  check_count(rows.labels, "labels", count, rows.file);
  return rows;
}

std::string table_hash(const fs::path& folder) {
  std::string text;
  for (const char* part : {"features.npy", "logits.npy"})
    if (is_there(folder / part)) text += sha256_file(folder / part);
  for (const char* part : {"features.csv", "logits.csv"})
    if (is_there(folder / part)) text += fmt::format("|{} {}", part, sha256_file(folder / part));
  for (const char* part : {"names.npy", "names.txt", "labels.npy", "table.json"})
    if (is_there(folder / part)) text += fmt::format("|{} {}", part, sha256_file(folder / part));
  return sha256_hex(text);
}

void refuse_other_parts(const fs::path& folder) {
  for (const char* part : std::span(kParts).subspan(kOwnParts))
    AKIN_CHECK(!is_there(folder / part),
               "{}: is a file of another table, which would be taken for the new one's; remove it, or choose another "
               "folder",
               (folder / part).string());
}

void add_rows(SafeTensors& table, const TableRows& rows) {
  if (!rows.names.empty()) {
    std::vector<std::uint8_t> bytes;
    for (const std::string& name : rows.names) {
      bytes.insert(bytes.end(), name.begin(), name.end());
      bytes.push_back(0);
    }
    table.add("names", Array::from(bytes, {static_cast<std::int64_t>(bytes.size())}));
  }
  table.metadata.merge(metadata_of(rows));
}

bool write_rows(const fs::path& folder, const TableRows& rows) {
  std::string lines;
  bool one_line = true;
  for (const std::string& name : rows.names) {
    lines += name + "\n";
    one_line = one_line && name.find('\n') == std::string::npos;
  }
  const bool names = !rows.names.empty() && one_line;
  if (names)
    write_file_atomic(folder / "names.txt", std::string_view(lines));
  else
    remove_file(folder / "names.txt");  // of an older table
  Json about = Json::object();
  for (const auto& [key, value] : metadata_of(rows)) about[key] = value;
  for (const char* part : std::span(kParts).first(kOwnParts))
    if (is_there(folder / part)) about["files"][part] = sha256_file(folder / part);
  write_sealed(folder / "table.json", about);
  return names || rows.names.empty();
}

std::vector<std::string> label_cells(const Array& values, const std::string& file) {
  const Shape& s = values.shape();
  AKIN_CHECK(s.numel() > 0 && (s.rank() == 1 || (s.rank() == 2 && s[1] == 1)),
             "{}: labels have shape {}, expected one whole number a row", file, s.str());
  const Array numbers = values.cast(DType::f64);
  std::vector<std::string> cells;
  for (const double value : numbers.as<double>()) {
    AKIN_CHECK(std::isfinite(value) && value == std::floor(value),
               "{}: label {} in row {} is no whole number; are these features or probabilities?", file, value,
               cells.size());
    AKIN_CHECK(std::abs(value) < 0x1p53,
               "{}: label {:.0f} in row {} is too large to be told from its neighbours; "
               "number the classes from 0, or give their names as text",
               file, value, cells.size());
    cells.push_back(std::to_string(static_cast<long>(value)));
  }
  return cells;
}

std::vector<std::string> label_cells_of_npy(const fs::path& file, std::uint64_t max_bytes) {
  const Bytes bytes = read_file(file, max_bytes);
  if (auto text = parse_npy_text(bytes, file.string())) {
    check_text(*text, "label", file.string());
    return *text;
  }
  return label_cells(parse_npy(bytes, file.string()), file.string());
}

Array table_numbers(const Array& values, const std::string& what, const std::string& file,
                    const std::vector<std::string>& columns, std::vector<std::string>& notes) {
  AKIN_CHECK(values.shape().rank() == 2 && values.shape()[0] > 0 && values.shape()[1] > 0,
             "{}: {} have shape {}, expected [rows, columns]", file, what, values.shape().str());
  const bool wide = values.dtype() == DType::f64 || values.dtype() == DType::i64 || values.dtype() == DType::i32;
  const Array result = values.cast(wide ? DType::f64 : DType::f32);
  const auto D = static_cast<std::size_t>(values.shape()[1]), N = static_cast<std::size_t>(values.shape()[0]);
  const auto at = [&](std::size_t i) {
    return wide ? result.as<double>()[i] : static_cast<double>(result.as<float>()[i]);
  };
  for (std::size_t i = 0; i < N * D; ++i)
    AKIN_CHECK(std::isfinite(at(i)), "{}: {} hold {} in row {}, {} (rows from 0); finite numbers are needed", file,
               what, at(i), i / D, column_of(columns, i % D));
  std::vector<double> column(N);
  std::vector<std::size_t> even, permuted;
  for (std::size_t c = 0; c < D; ++c) {
    const double a = at(c), b = N > 1 ? at(D + c) : a, d = N > 2 ? at(2 * D + c) : a;
    const bool may_step = N < 3 || std::abs(d - b - (b - a)) <= 0.1 * std::abs(b - a);
    if (!may_step && (a != std::floor(a) || b != std::floor(b) || d != std::floor(d))) continue;
    for (std::size_t i = 0; i < N; ++i) column[i] = at(i * D + c);
    const RowCount kind = row_count_of(column);
    if (kind == RowCount::none || (kind != RowCount::numbers && N < kFewRows)) continue;
    if (kind == RowCount::even) even.push_back(c);
    if (kind == RowCount::permuted) permuted.push_back(c);
    if (kind == RowCount::even || kind == RowCount::permuted) continue;
    const std::string line =
        fmt::format("{}: {} of {} is {}, {}, {} ... in the order of the rows", file, column_of(columns, c), what,
                    column[0], column[1], N > 2 ? column[2] : column[1]);
    const char* remedy = columns.empty() ? "In Python: x[:, 1:], where it is the first"
                                         : "Leave it out, or call it index, and akin does";
    AKIN_CHECK(N < kFewRows, "{}: a row number is no feature. {}", line, remedy);
    if (N > 2) notes.push_back(line + "; is it a row number?");
  }
  if (!even.empty())
    notes.push_back(
        fmt::format("{}: {} of {} goes by one step from row to row, as a time or an axis; leave it out "
                    "where it is no feature",
                    file, columns_of(columns, even), what));
  if (!permuted.empty())
    notes.push_back(
        fmt::format("{}: {} of {} holds every whole number between its smallest and its largest once; are "
                    "these numbers of rows in another order?",
                    file, columns_of(columns, permuted), what));
  return result;
}

void compare_labels(const TableRows& table, const Indices& order, const TableRows& wanted,
                    std::vector<std::string>& notes) {
  if (table.labels.empty() || wanted.labels.empty() || order.size() != wanted.labels.size()) return;
  std::map<std::string, std::string> there, here;
  std::size_t compared = 0, different = 0, first = 0;
  bool one_to_one = true;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string a = plain(wanted.labels[i]), b = plain(table.labels[static_cast<std::size_t>(order[i])]);
    if (unknown(a) || unknown(b)) continue;
    ++compared;
    if (a != b && different++ == 0) first = i;
    one_to_one = one_to_one && there.emplace(a, b).first->second == b && here.emplace(b, a).first->second == a;
  }
  if (different == 0) return;
  std::vector<std::string> names_here, names_there;
  for (const auto& [a, b] : there) names_here.push_back(a);
  for (const auto& [b, a] : here) names_there.push_back(b);
  const std::string example = fmt::format("row {} is \"{}\" there and \"{}\" here", first,
                                          table.labels[static_cast<std::size_t>(order[first])], wanted.labels[first]);
  double number = 0;
  const bool numbers = parse_number(names_here[0], number) && parse_number(names_there[0], number);
  AKIN_CHECK(
      one_to_one && (numbers || names_here != names_there),
      "{}: its labels are not those of {}: {} ({} of {} differ). Are its rows of other images, or in another order?",
      table.file, wanted.file, example, different, compared);
  if (numbers)
    notes.push_back(fmt::format("{}: numbers the classes otherwise than {} ({})", table.file, wanted.file, example));
}

Indices match_rows(const TableRows& table, std::int64_t table_rows, const TableRows& wanted,
                   std::vector<std::string>& notes) {
  Indices order = all_indices(table_rows);
  const bool by_names = !table.names.empty() && !wanted.names.empty() && match_names(table, wanted, order, notes);
  const bool moved = by_names && (!std::is_sorted(order.begin(), order.end()) || std::ssize(order) != table_rows);
  if (table.images_sha256.empty() || wanted.images_sha256.empty()) return order;
  if (table.images_sha256 == wanted.images_sha256) {
    AKIN_CHECK(!moved,
               "{}: was made of the images of {} in their order, and its names tell another one; are the names of "
               "another table?",
               table.file, wanted.file);
    return order;
  }
  const bool other_size =
      !table.images_size.empty() && !wanted.images_size.empty() && table.images_size != wanted.images_size;
  if (moved) {  // a digest is of all images in one order
    notes.push_back(fmt::format(
        "{}: its images_sha256 is that of other images, or of these in another order{}; that "
        "its rows are these pictures is told by their names alone",
        table.file, other_size ? fmt::format(" and at {}, not {}", table.images_size, wanted.images_size) : ""));
    return order;
  }
  AKIN_CHECK(other_size,
             "{}: was made of other images than those of {}{}, or of the same in another order (its images_sha256 is "
             "another); make it again",
             table.file, wanted.file, by_names ? ", under the same names" : "");
  if (!by_names)
    notes.push_back(
        fmt::format("{}: was made of images of {}, those of {} are {}; whether they are the same cannot be told",
                    table.file, table.images_size, wanted.file, wanted.images_size));
  return order;
}

void tell_unused_names(const TableRows& table, const TableRows& images, std::vector<std::string>& notes) {
  if (table.names.empty() || !images.names.empty()) return;
  if (!table.images_sha256.empty() && table.images_sha256 == images.images_sha256) return;
  notes.push_back(
      fmt::format("{}: names its rows, and {} does not say of which files its images were made: its rows are taken in "
                  "their order, on trust (`akin data pack` keeps the names of files)",
                  table.file, images.file));
}

std::span<const char* const> table_parts() { return kParts; }

Array pick_rows(const Array& table, const Indices& index) {
  const std::int64_t D = table.shape()[1];
  Array out(table.dtype(), {static_cast<std::int64_t>(index.size()), D});
  if (out.numel() == 0) return out;
  const auto row = static_cast<std::size_t>(D) * size_of(table.dtype());
  for (std::size_t i = 0; i < index.size(); ++i)
    std::memcpy(out.bytes() + i * row, table.bytes() + static_cast<std::size_t>(index[i]) * row, row);
  return out;
}

}  // namespace akin
