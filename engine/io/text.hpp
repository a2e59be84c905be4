// Text as programs leave it: byte order marks, UTF-16, and whether it is UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace akin {

/// Adds the character `c`. Error where there is no such one.
void append_utf8(std::string& to, std::uint32_t c);

/// The number of bytes of the character at the front of a text that is not empty; 0 where that is no UTF-8.
std::size_t utf8_length(std::string_view text);

/// The number of bytes at the front that are UTF-8; text.size() where all are.
std::size_t valid_utf8(std::string_view text);

/// The same with U+FFFD for each byte that is part of no character: for people, and for formats that take no other
/// text.
std::string readable_text(std::string_view bytes);

/// Control characters spelled out as JSON does ("\u001b"; JSON may pass through): names out of files may hold what a
/// terminal obeys, and what turns lines round. With `lines`, line breaks and tabs stay.
std::string spelled_controls(std::string_view text, bool lines);

/// UTF-8 for any bytes, such as a path may hold, and back: a byte that is part of none becomes one of the private
/// characters U+EF80 to U+EFFF (as in MirBSD's OPTU-8), and so does each byte of such a character itself.
std::string text_of_bytes(std::string_view bytes);
std::string raw_bytes(std::string_view text);

/// `text` without its byte order mark; UTF-16 (with a mark, or told by its zero bytes) as UTF-8. Error where it is
/// UTF-32, broken UTF-16, or holds zero bytes otherwise.
std::string decoded_text(std::string text, const std::string& name);

}  // namespace akin
