// Small text helpers of the report: escaping, base64, numbers as people read them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// Text for HTML content and quoted attributes: & < > " ' escaped, control characters and invalid UTF-8 made U+FFFD.
std::string html_escape(std::string_view text);

/// The same for names: with <wbr> where a long one may break, behind _ / . and before the capital of a camelCase word.
std::string html_name(std::string_view text);

/// RFC 4648, with padding.
std::string base64_encode(std::span<const std::uint8_t> bytes);
/// Throws Error on any character outside the alphabet or a wrong length.
std::vector<std::uint8_t> base64_decode(std::string_view text);

/// Fixed decimals with a true minus sign; "–" for NaN and infinities.
std::string show_number(double value, int decimals);
/// A fraction in [0, 1] as per cent without the sign: 0.8412 -> "84.1".
std::string show_percent(double fraction, int decimals = 1);
/// "84.1 ± 0.8" in per cent; without the spread where it was not measured.
std::string show_percent_spread(double mean, double std);
/// "4.2 s", "3 min 05 s", "2 h 10 min".
std::string show_seconds(double seconds);
/// "950", "4.1k", "1.2M".
std::string show_count(double value);
/// 10000 -> "10,000"
std::string show_integer(std::int64_t value);
/// The name of class `label`; "class 7" where it has none, "–" below 0.
std::string class_name(std::span<const std::string> classes, int label);
/// Code points of a text.
std::size_t characters(std::string_view text);
/// At most `limit` characters (code points), the last one an ellipsis where the text was cut.
std::string shorten(std::string_view text, std::size_t limit);
/// The same with the ellipsis in the middle: names that begin alike stay apart.
std::string shorten_middle(std::string_view text, std::size_t limit);

}  // namespace akin
