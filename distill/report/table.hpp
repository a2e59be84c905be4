// Results as text: aligned columns for a terminal, CSV and JSON for programs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/report/report.hpp"

namespace akin {

/// Columns aligned by the width that a terminal gives each character (2 for CJK, 0 for combining marks).
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Throws where the number of cells differs from the number of columns. Control characters become spaces.
  void add(std::vector<std::string> cells);
  /// Title line, rule, rows; no trailing blanks; every line ends with '\n'. Where that is wider than `columns` (0: any
  /// width will do), the columns that do not fit follow below in a table of their own, behind the first that is named;
  /// a last column of texts that is too wide by itself is shortened.
  std::string str(std::size_t columns = 0) const;

 private:
  std::string part(const std::vector<std::size_t>& shown, std::vector<std::size_t> widths, std::size_t columns) const;
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Cells a terminal uses for UTF-8 text.
std::size_t display_width(const std::string& text);

/// Lines of at most `columns` cells, broken at blanks and going on two blanks further in; a word that is longer stays
/// whole. 0: as it is.
std::string wrapped(const std::string& text, std::size_t columns);
/// A text that is too long keeps its beginning and its end: "imagenet…_u8".
std::string shortened(const std::string& text, std::size_t columns);
/// As much of the text as so many cells hold.
std::string first_columns(const std::string& text, std::size_t columns);

/// Of these tables `columns`: see TextTable::str. Method, test % after the last step, every seed, test % at the step
/// best on validation, validation, time.
std::string results_table(const ReportData& data, std::size_t columns = 0);
/// Source, classes, similarity with interval, chance, mapped, weight; nearest first.
std::string sources_table(const ReportData& data, std::size_t columns = 0);

/// RFC 4180 with '\n': quoted where needed; numbers in shortest form that reads back the same; empty = not measured.
/// method,seed,test_accuracy,val_accuracy,best_step,best_val_accuracy,best_test_accuracy,seconds,images_per_second
std::string results_csv(const ReportData& data);

/// Writes results.csv and the kept_tables of a run; of these, one that the run has not goes. Where the report kept
/// none, theirs are left alone. The names of what was written.
std::vector<std::string> write_tables(const ReportData& data, const std::filesystem::path& run_dir);

}  // namespace akin
