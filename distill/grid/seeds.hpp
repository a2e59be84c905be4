// Which numbers are seeds: those that every file which keeps one can hold.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace akin {

/// For messages.
inline constexpr const char* kSeedRange = "seeds are whole numbers from 0 to 9223372036854775807";
static_assert(std::numeric_limits<std::int64_t>::max() == 9223372036854775807);

/// Nothing where `text` is no seed.
inline std::optional<std::uint64_t> parse_seed(std::string_view text) {
  std::int64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size() || seed < 0) return {};
  return static_cast<std::uint64_t>(seed);
}

}  // namespace akin
