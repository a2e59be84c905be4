#include "engine/io/text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/common/error.hpp"

namespace akin {
namespace {

constexpr std::uint32_t kBeyond = 0x110000;

bool is_surrogate(std::uint32_t c) { return c >= 0xD800 && c < 0xE000; }

/// The character at the front of `text` and its length; length 0 where that is no UTF-8.
std::pair<std::uint32_t, std::size_t> first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {0, 0};
  std::uint32_t c = lead & (0xFF >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {0, 0};
    c = c << 6 | (byte(i) & 0x3F);
  }
  const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  return c < least || c >= kBeyond || is_surrogate(c) ? std::pair<std::uint32_t, std::size_t>{0, 0}
                                                      : std::pair{c, length};
}

std::string from_utf16(std::string_view text, bool big_endian, const std::string& name) {
  AKIN_CHECK(text.size() % 2 == 0, "{}: UTF-16 of an odd number of bytes (cut off?)", name);
  const auto unit = [&](std::size_t i) {
    const auto a = static_cast<std::uint8_t>(text[i]), b = static_cast<std::uint8_t>(text[i + 1]);
    return static_cast<std::uint32_t>(big_endian ? a << 8 | b : b << 8 | a);
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    std::uint32_t c = unit(i);
    if (is_surrogate(c)) {
      const std::uint32_t low = i + 3 < text.size() ? unit(i + 2) : 0;
      AKIN_CHECK(c < 0xDC00 && low >= 0xDC00 && low < 0xE000, "{}: broken UTF-16 at byte {}; save it as UTF-8", name,
                 i);
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      i += 2;
    }
    append_utf8(out, c);
  }
  return out;
}

}  // namespace

void append_utf8(std::string& to, std::uint32_t c) {
  AKIN_CHECK(c < kBeyond && !is_surrogate(c), "{:#x} is no character", c);
  if (c < 0x80) {
    to += static_cast<char>(c);
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr std::uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  to += static_cast<char>(kLead[more] | c >> (6 * more));
  for (int k = more - 1; k >= 0; --k) to += static_cast<char>(0x80 | (c >> (6 * k) & 0x3F));
}

std::size_t utf8_length(std::string_view text) { return first_of(text).second; }

std::size_t valid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::string readable_text(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = utf8_length(bytes.substr(at));
    out += length > 0 ? bytes.substr(at, length) : "\xEF\xBF\xBD";
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string spelled_controls(std::string_view text, bool lines) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto [c, length] = first_of(text.substr(at));
    // A byte that is part of no character is obeyed too, where a terminal knows eight bits.
    const std::uint32_t code = length > 0 ? c : static_cast<std::uint8_t>(text[at]);
    const bool kept = lines && (code == '\n' || code == '\t');
    const bool turns = (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);  // lines, directions
    if (!kept && (code < 0x20 || (code >= 0x7F && code < 0xA0) || turns))
      out += fmt::format("\\u{:04x}", code);
    else
      out += text.substr(at, std::max<std::size_t>(length, 1));
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

namespace {

constexpr std::uint32_t kRaw = 0xEF00;
bool stands_for_byte(std::uint32_t c) { return c >= kRaw + 0x80 && c <= kRaw + 0xFF; }

}  // namespace

std::string text_of_bytes(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto [c, length] = first_of(bytes.substr(at));
    if (length > 0 && !stands_for_byte(c)) {
      out += bytes.substr(at, length);
      at += length;
    } else {
      append_utf8(out, kRaw + static_cast<std::uint8_t>(bytes[at]));
      ++at;
    }
  }
  return out;
}

std::string raw_bytes(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto [c, length] = first_of(text.substr(at));
    if (length > 0 && stands_for_byte(c))
      out += static_cast<char>(c - kRaw);
    else
      out += text.substr(at, std::max<std::size_t>(length, 1));
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string decoded_text(std::string text, const std::string& name) {
  using namespace std::string_view_literals;
  AKIN_CHECK(!text.starts_with("\xFF\xFE\0\0"sv) && !text.starts_with("\0\0\xFE\xFF"sv),
             "{}: is text in UTF-32; save it as UTF-8", name);
  if (text.starts_with("\xFF\xFE")) return from_utf16(std::string_view(text).substr(2), false, name);
  if (text.starts_with("\xFE\xFF")) return from_utf16(std::string_view(text).substr(2), true, name);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  const std::size_t zero = text.find('\0');
  if (zero == std::string::npos) return text;
  // Plain characters in UTF-16 have a zero in every other byte.
  std::size_t zeros[2] = {0, 0};
  const std::size_t looked = std::min<std::size_t>(text.size(), 4096);
  for (std::size_t i = 0; i < looked; ++i) zeros[i % 2] += text[i] == 0;
  for (const bool big_endian : {false, true})
    if (zeros[big_endian ? 0 : 1] > looked / 4 && zeros[big_endian ? 1 : 0] == 0)
      return from_utf16(text, big_endian, name);
  fail("{}: is no text: byte {} is zero", name, zero);
}

}  // namespace akin
