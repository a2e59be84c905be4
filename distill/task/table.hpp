// What a table says of its rows beside their numbers: which images they are, by digest, names and labels. A table of
// the right length for other images, or of the same in another order, would rank and teach nonsense in silence.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/io/safetensors.hpp"
#include "nn/data/image_set.hpp"
#include "nn/evaluate.hpp"

namespace akin {

/// Each part may be empty: not said.
struct TableRows {
  std::string file;                       ///< for messages
  std::string images_sha256 = {};         ///< content_hash of the images
  std::string images_size = {};           ///< "32x32x3": the digest is that of images brought to this size
  std::string model_sha256 = {};          ///< of the model's file
  std::vector<std::string> names = {};    ///< of the images' files, one a row
  std::vector<std::string> labels = {};   ///< numbers or names of classes, one a row; "" and "-1": unknown
  std::vector<std::string> numbers = {};  ///< cells of a column that numbers the rows, where there are no names

  /// Whether anything tells which row is which image.
  bool keyed() const { return !images_sha256.empty() || !names.empty(); }
};

/// Of a set of images; `hash`: its content_hash.
TableRows rows_of(const ImageSet& set, const std::string& hash);

/// Of a table: tensors `names` (UTF-8 with a zero byte between two) and `labels`, and metadata. `rows`: of its
/// features. Error where another number is named or labelled, or where its digest is not that of its content.
TableRows rows_of(const SafeTensors& table, std::int64_t rows);
/// The same of a folder: names.npy (text) or names.txt, labels.npy, and the metadata in table.json.
TableRows rows_of(const std::filesystem::path& folder, std::int64_t rows);
void add_rows(SafeTensors& table, const TableRows& rows);
/// Names of all files of a table's folder; those of `akin features` first, table.json is none of them.
std::span<const char* const> table_parts();
/// Of every file of a folder that decides what a source is: features and logits, and what says which images they are.
std::string table_hash(const std::filesystem::path& folder);
/// Error where the folder holds a file of a table that `akin features` does not write, and so would not replace.
void refuse_other_parts(const std::filesystem::path& folder);
/// After the folder's .npy files: table.json holds their digests. False where the names cannot be kept, for one of them
/// has two lines.
bool write_rows(const std::filesystem::path& folder, const TableRows& rows);

/// One whole number a row, or a text, as text. Error on anything else.
std::vector<std::string> label_cells(const Array& values, const std::string& file);
std::vector<std::string> label_cells_of_npy(const std::filesystem::path& file, std::uint64_t max_bytes = kMaxFileBytes);

/// Finite numbers [N, D] as f32 or f64. Error, with row and column, on NaN and infinity, and where a column numbers the
/// rows; with fewer than ten rows that may be chance, and is told in `notes`. `columns`: their names, or empty.
Array table_numbers(const Array& values, const std::string& what, const std::string& file,
                    const std::vector<std::string>& columns, std::vector<std::string>& notes);

/// The row of the table for each row of `wanted` by names, where both have them, else all rows as they are. Error where
/// the table lacks some (named), or the images' digest is another. What was put right or cannot be told goes to
/// `notes`.
Indices match_rows(const TableRows& table, std::int64_t table_rows, const TableRows& wanted,
                   std::vector<std::string>& notes);

/// A note where a table names its rows, and neither a name nor a digest of the images can be compared with that.
void tell_unused_names(const TableRows& table, const TableRows& images, std::vector<std::string>& notes);

/// Error where the labels of rows `order` contradict those of `wanted`; a note where only the numbers differ. Nothing
/// where either has none.
void compare_labels(const TableRows& table, const Indices& order, const TableRows& wanted,
                    std::vector<std::string>& notes);

/// Rows `index` of a matrix [N, D].
Array pick_rows(const Array& table, const Indices& index);

}  // namespace akin
