#include "distill/report/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string html_name(std::string_view text) {
  const auto lower = [&](std::size_t i) { return text[i] >= 'a' && text[i] <= 'z'; };
  std::string out;
  std::size_t begin = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const char c = text[i], before = text[i - 1];
    const bool mark = before == '_' || before == '/' || before == '.';
    const bool camel = c >= 'A' && c <= 'Z' && i >= 2 && lower(i - 1) && lower(i - 2);
    if (!mark && !camel) continue;
    out += html_escape(text.substr(begin, i - begin)) + "<wbr>";
    begin = i;
  }
  return out + html_escape(text.substr(begin));
}

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const char c = text[i];
    if (length == 0) {
      out += replacement;
      ++i;
      continue;
    }
    if (length > 1) {
      // U+0080..U+009F are control characters too.
      const bool control = length == 2 && c == '\xC2' && static_cast<unsigned char>(text[i + 1]) < 0xA0;
      out += control ? replacement : text.substr(i, length);
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == '\x7F') {
      out += replacement;
    } else {
      out += c;
    }
    i += length;
  }
  return out;
}

std::string base64_encode(std::span<const std::uint8_t> bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < have ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += k <= have ? alphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::vector<std::uint8_t> base64_decode(std::string_view text) {
  AKIN_CHECK(text.size() % 4 == 0, "base64: {} characters, expected a multiple of 4 (the text is cut)", text.size());
  std::array<int, 256> value{};
  value.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    value[static_cast<unsigned char>(alphabet[i])] = static_cast<int>(i);
  std::vector<std::uint8_t> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t have = 4;
    if (i + 4 == text.size()) have -= (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=');
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int v = k < have ? value[static_cast<unsigned char>(text[i + k])] : 0;
      AKIN_CHECK(v >= 0, "base64: character {} is not of the alphabet", i + k);
      group = group << 6 | static_cast<std::uint32_t>(v);
    }
    for (std::size_t k = 0; k + 1 < have; ++k) out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * k)));
  }
  return out;
}

std::string show_number(double value, int decimals) {
  if (!std::isfinite(value)) return "–";
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  // No minus before what rounds to zero.
  const bool zero = digits.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? "−" + digits : digits;
}

std::string show_percent(double fraction, int decimals) { return show_number(100 * fraction, decimals); }

std::string show_percent_spread(double mean, double std) {
  return std::isfinite(mean) && std::isfinite(std) ? show_percent(mean) + " ± " + show_percent(std)
                                                   : show_percent(mean);
}

std::string show_seconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "–";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds < 1e15) {
    const auto whole = static_cast<std::int64_t>(std::llround(seconds));
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    const std::int64_t minutes = (whole + 30) / 60;
    return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  }
  return fmt::format("{:.3g} s", seconds);
}

std::string show_count(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  if (size < 999.5) return show_number(value, 0);
  if (size < 9950) return show_number(value / 1e3, 1) + "k";
  if (size < 999500) return show_number(value / 1e3, 0) + "k";
  return show_number(value / 1e6, 1) + "M";
}

std::string show_integer(std::int64_t value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string class_name(std::span<const std::string> classes, int label) {
  if (label < 0) return "–";
  const auto i = static_cast<std::size_t>(label);
  return i < classes.size() ? classes[i] : fmt::format("class {}", label);
}

namespace {

/// Where the characters (code points) of a text begin, and its end.
std::vector<std::size_t> characters_of(std::string_view text) {
  std::vector<std::size_t> begins;
  std::size_t i = 0;
  while (i < text.size()) {
    begins.push_back(i);
    i += std::max<std::size_t>(1, utf8_length(text.substr(i)));
  }
  begins.push_back(text.size());
  return begins;
}

}  // namespace

std::size_t characters(std::string_view text) { return characters_of(text).size() - 1; }

std::string shorten(std::string_view text, std::size_t limit) {
  const std::vector<std::size_t> at = characters_of(text);
  return at.size() - 1 <= limit ? std::string(text) : std::string(text.substr(0, at[limit - 1])) + "…";
}

std::string shorten_middle(std::string_view text, std::size_t limit) {
  const std::vector<std::size_t> at = characters_of(text);
  const std::size_t n = at.size() - 1;
  if (n <= limit) return std::string(text);
  const std::size_t tail = (limit - 1) / 2, head = limit - 1 - tail;
  return std::string(text.substr(0, at[head])) + "…" + std::string(text.substr(at[n - tail]));
}

}  // namespace akin
