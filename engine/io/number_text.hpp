// Numbers as programs and spreadsheets of any country write them.
#pragma once

#include <string>
#include <string_view>

namespace akin {

struct NumberFormat {
  char decimal = '.';
  char thousands = 0;  ///< between groups of three digits; 0: none
  bool operator==(const NumberFormat&) const = default;
};

/// The number that a whole cell is; false where it is none. "nan" and "inf" are numbers; what is below the smallest
/// double is 0, what is beyond the largest infinite. TRUE and FALSE are not.
bool parse_number(std::string_view cell, double& value, const NumberFormat& format = {});

/// A whole number without any sign or mark.
bool only_digits(std::string_view cell);

/// "true" or "false" in any case.
bool parse_truth(std::string_view cell, double& value);

/// Why a cell is no number, for a message: `is empty`, `"NA" stands for a missing value`, ...
std::string why_no_number(std::string_view cell);
/// Empty, or what programs write where there is no value: NA, null, ?
bool is_missing(std::string_view cell);

/// Tells the format from many cells.
class NumberFormatEvidence {
 public:
  void add(std::string_view cell);
  /// Error, quoting a cell, where the cells contradict each other, or may be read in two ways. `where`: of the file;
  /// `separator`: between its cells.
  NumberFormat settle(const std::string& where, char separator = ',') const;

 private:
  std::string decimal_comma_, decimal_point_;        // a cell that can be nothing else
  std::string grouped_by_comma_, grouped_by_point_;  // likewise, of marks between thousands
  std::string either_comma_, either_point_;          // 1,234 and 1.234
  std::string below_thousand_, from_thousand_;       // without marks: 976 and 1976
};

}  // namespace akin
