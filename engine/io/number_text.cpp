#include "engine/io/number_text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "kernels/common/error.hpp"

namespace akin {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// Whether the digits before `end` stand in groups of three between `mark`s, at least two groups of them.
bool grouped(std::string_view digits, char mark) {
  std::size_t run = 0, groups = 0;
  for (const char c : digits) {
    if (c == mark) {
      if (run == 0 || run > 3 || (groups > 0 && run != 3)) return false;
      ++groups;
      run = 0;
    } else if (!digit(c)) {
      return false;
    } else {
      ++run;
    }
  }
  return groups > 0 && run == 3;
}

/// Without sign, and without an exponent at the end.
std::string_view mantissa(std::string_view cell) {
  if (!cell.empty() && (cell[0] == '+' || cell[0] == '-')) cell.remove_prefix(1);
  return cell.substr(0, cell.find_first_of("eE"));
}

bool only(std::string_view cell, std::string_view allowed) {
  return !cell.empty() && cell.find_first_not_of(allowed) == std::string_view::npos;
}

bool looks_like_date(std::string_view cell) {
  const auto count = [&](char c) { return std::count(cell.begin(), cell.end(), c); };
  if (!std::any_of(cell.begin(), cell.end(), digit)) return false;
  if (only(cell, "0123456789-/.: TZ") && (count('-') == 2 || count('/') == 2 || count('.') == 2 || count(':') > 0))
    return true;
  const std::string text = lower(cell);
  for (const char* month :
       {"jan", "feb", "mar", "apr", "may", "mai", "jun", "jul", "aug", "sep", "oct", "okt", "nov", "dec", "dez"})
    if (text.find(month) != std::string::npos && text.size() <= 12) return true;
  return false;
}

}  // namespace

bool parse_number(std::string_view cell, double& value, const NumberFormat& format) {
  if (cell.starts_with('+')) {
    cell.remove_prefix(1);
    if (cell.starts_with('-')) return false;
  }
  std::string plain;
  if (!(format == NumberFormat{}) && only(cell, "+-0123456789.,eE")) {
    const std::string_view whole = mantissa(cell).substr(0, mantissa(cell).find(format.decimal));
    const bool marked = format.thousands != 0 && whole.find(format.thousands) != std::string_view::npos;
    if (marked && !grouped(whole, format.thousands)) return false;
    for (const char c : cell) {
      if (marked && c == format.thousands) continue;
      if (c != format.decimal && (c == '.' || c == ',')) return false;
      plain += c == format.decimal ? '.' : c;
    }
    cell = plain;
  }
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (cell.empty() || end != cell.data() + cell.size()) return false;
  if (error == std::errc::result_out_of_range) {
    const std::size_t exponent = cell.find_first_of("eE");
    const bool small = exponent == std::string_view::npos ? cell.find('.') < 3 : cell[exponent + 1] == '-';
    value = small ? 0.0 : std::numeric_limits<double>::infinity();
    if (cell[0] == '-') value = -value;
    return true;
  }
  return error == std::errc();
}

bool only_digits(std::string_view cell) { return only(cell, "0123456789"); }

bool parse_truth(std::string_view cell, double& value) {
  const std::string text = lower(cell);
  value = text == "true";
  return value == 1 || text == "false";
}

bool is_missing(std::string_view cell) {
  const std::string text = lower(cell);
  for (const char* missing :
       {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "<na>", "missing"})
    if (text == missing) return true;
  return false;
}

std::string why_no_number(std::string_view cell) {
  if (cell.empty()) return "is empty";
  const std::string text = fmt::format("\"{}\"", cell.substr(0, 60));
  if (is_missing(cell)) return text + " stands for a missing value";
  if (cell[0] == '#' && cell.back() == '!') return text + " is a spreadsheet's error";
  if (cell[0] == '=') return text + " is a spreadsheet's formula (save its values)";
  if (looks_like_date(cell))
    return text + " is no number but looks like a date (a spreadsheet may have made it of one)";
  if (std::count(cell.begin(), cell.end(), ',') + std::count(cell.begin(), cell.end(), '.') > 0 &&
      only(cell, "+-0123456789.,eE"))
    return text + " is no number with the decimal mark of the others";
  return text + " is no number";
}

void NumberFormatEvidence::add(std::string_view cell) {
  const std::string_view digits = mantissa(cell);
  if (!only(digits, "0123456789.,")) return;
  const auto commas = std::count(digits.begin(), digits.end(), ','),
             points = std::count(digits.begin(), digits.end(), '.');
  const auto keep = [&](std::string& in) {
    if (in.empty()) in = cell;
  };
  if (commas > 0 && points > 0) {
    const bool comma_last = digits.rfind(',') > digits.rfind('.');
    keep(comma_last ? decimal_comma_ : decimal_point_);
    keep(comma_last ? grouped_by_point_ : grouped_by_comma_);
  } else if (commas + points > 1) {
    keep(commas > 0 ? grouped_by_comma_ : grouped_by_point_);
  } else if (commas + points == 1) {
    const char mark = commas > 0 ? ',' : '.';
    // 0,123 has no thousands.
    const bool either =
        grouped(digits, mark) && digits[0] != '0' && digits.size() == cell.size() - (digit(cell[0]) ? 0 : 1);
    keep(commas > 0 ? (either ? either_comma_ : decimal_comma_) : (either ? either_point_ : decimal_point_));
  } else if (digits.size() == cell.size() - (digit(cell[0]) ? 0 : 1)) {
    keep(digits.size() > 3 ? from_thousand_ : below_thousand_);
  }
}

NumberFormat NumberFormatEvidence::settle(const std::string& where, char separator) const {
  const bool comma = !decimal_comma_.empty() || !grouped_by_point_.empty();
  const bool point = !decimal_point_.empty() || !grouped_by_comma_.empty();
  if (comma && point)
    fail("{}: \"{}\" and \"{}\" have different decimal marks; write all with a point", where,
         decimal_comma_.empty() ? grouped_by_point_ : decimal_comma_,
         decimal_point_.empty() ? grouped_by_comma_ : decimal_point_);
  if (comma) {
    AKIN_CHECK(
        either_point_.empty() || !grouped_by_point_.empty(),
        "{}: \"{}\" may be a thousand or a number below it where \"{}\" has a decimal comma; write it with one mark "
        "less",
        where, either_point_, decimal_comma_);
    return {',', grouped_by_point_.empty() ? '\0' : '.'};
  }
  if (point) return {'.', grouped_by_comma_.empty() && either_comma_.empty() ? '\0' : ','};
  AKIN_CHECK(either_comma_.empty(),
             "{}: \"{}\" may have a decimal comma or one between thousands; write it with a point, "
             "or without a mark",
             where, either_comma_);
  // Where points stand between thousands, numbers below 1000 have none, and there are no larger ones without.
  AKIN_CHECK(either_point_.empty() || below_thousand_.empty() || !from_thousand_.empty() || separator == ',',
             "{}: \"{}\" beside \"{}\" may have a decimal point or one between thousands; write it without marks, or "
             "all numbers with as many decimals",
             where, either_point_, below_thousand_);
  return {};
}

}  // namespace akin
