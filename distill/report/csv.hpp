// Cells of a comma-separated table (RFC 4180).
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// Quoted where it must be, and where blanks at an end would be taken off by whoever reads it.
inline std::string csv_text(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const bool bare = text.empty() || (!blank(text.front()) && !blank(text.back()));
  if (bare && text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

/// The shortest text that reads back as the same number; empty for NaN, which means "not measured".
inline std::string csv_number(double value) { return std::isnan(value) ? std::string() : fmt::format("{}", value); }

inline std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) line += (i > 0 ? "," : "") + cells[i];
  return line + '\n';
}

}  // namespace akin
