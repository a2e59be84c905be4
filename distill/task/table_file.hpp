// Files that hold one matrix of a source's table: its features, its logits. Where each says which images its rows are,
// they are matched; where one does not, that is told.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "distill/task/table.hpp"

namespace akin {

/// Numbers of one file, as it holds them, and what it says of its rows.
struct TableFile {
  Array values;
  TableRows rows;                    ///< of a .csv: its columns of names and labels
  std::vector<std::string> columns;  ///< names; empty where it has none
  std::vector<std::string> notes;
};

/// .npy, or .csv (engine/io/csv.hpp).
TableFile read_table_file(const std::filesystem::path& file);

/// NAME.npy or NAME.csv of a folder, in any case; nothing where there is none. Error where there are several, or one
/// that no reader of folders takes.
std::optional<std::filesystem::path> table_part(const std::filesystem::path& folder, const std::string& name);

/// What a folder says of its rows (names.txt, names.npy, labels.npy, table.json) it says of another matrix in it, too,
/// such as logits.npy, unless that says something itself or has other rows. `features`: rows_of_part.
void take_rows_of_folder(TableRows& other, std::int64_t other_rows, const std::filesystem::path& folder,
                         const TableRows& features, std::int64_t feature_rows);

/// What a folder (rows_of) and its matrix of features say. Error where they contradict each other.
TableRows rows_of_part(const std::filesystem::path& folder, const TableFile& features, std::vector<std::string>& notes);

/// For each row of a source's features its row in another matrix of the same images, such as its logits: by names where
/// both have them, else as they are. Error where digests, labels or numbers of rows contradict; a note where one says
/// which images its rows are and the other does not.
Indices rows_beside(const TableRows& features, std::int64_t feature_rows, const TableRows& other,
                    std::int64_t other_rows, std::vector<std::string>& notes);

/// Where one numbers its rows and another has the same numbers as names: then those are names, too. Without this
/// a list 0, 1, 2 ... would be taken as it stands beside a table 2, 0, 1 ...
void take_numbers_for_names(const std::vector<TableRows*>& all);

/// Whether every row holds shares of a whole, 1 or 100: probabilities.
bool sums_to_one(const Array& rows);
/// Error where `probabilities` are not of the same classes as `softmax` (of logits) or prefer other ones; a note where
/// they prefer the same ones and are not equal.
void compare_predictions(const Array& softmax, const Array& probabilities, const std::string& file,
                         std::vector<std::string>& notes);

/// A line where columns of features [N, D] tell the classes: the label itself, or the same for all images of a class
/// and another for other classes. `labels`: [N], -1 where unknown.
std::vector<std::string> columns_of_labels(const Array& features, const std::vector<int>& labels,
                                           const std::string& file);

/// A note on tensors, or files of a folder, that are no part of a table: one that is called by another name is missing.
void tell_passed_over(const SafeTensors& table, std::vector<std::string>& notes);
void tell_passed_over(const std::filesystem::path& folder, std::vector<std::string>& notes);

}  // namespace akin
