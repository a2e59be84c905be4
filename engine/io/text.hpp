// Text as programs leave it: byte order marks, UTF-16, and whether it is UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace akin {

/// Adds the character `c`. Error where there is no such one.
void append_utf8(std::string& to, std::uint32_t c);

/// The number of bytes at the front that are UTF-8; text.size() where all are.
std::size_t valid_utf8(std::string_view text);

/// `text` without its byte order mark; UTF-16 (with a mark, or told by its zero bytes) as UTF-8. Error where it is
/// UTF-32, broken UTF-16, or holds zero bytes otherwise.
std::string decoded_text(std::string text, const std::string& name);

}  // namespace akin
