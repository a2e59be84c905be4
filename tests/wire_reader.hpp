// Protocol buffer messages by the published wire format; shares no code with engine/io/protobuf.hpp.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/error.hpp"

namespace akin::test {

/// One message: number -> its values in order. Varints and four-byte values are kept as numbers, the rest as bytes.
struct Wire {
  std::map<std::uint32_t, std::vector<std::uint64_t>> numbers;
  std::map<std::uint32_t, std::vector<std::string_view>> bytes;

  explicit Wire(std::string_view text) {
    std::size_t at = 0;
    const auto varint = [&] {
      std::uint64_t v = 0;
      for (int shift = 0;; shift += 7) {
        AKIN_CHECK(at < text.size() && shift < 64, "wire: cut off");
        const auto b = static_cast<std::uint8_t>(text[at++]);
        v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
        if (b < 0x80) return v;
      }
    };
    while (at < text.size()) {
      const std::uint64_t tag = varint();
      const auto field = static_cast<std::uint32_t>(tag >> 3);
      AKIN_CHECK(field > 0, "wire: field 0");
      if ((tag & 7) == 0) {
        numbers[field].push_back(varint());
      } else if ((tag & 7) == 5) {
        AKIN_CHECK(text.size() - at >= 4, "wire: cut off");
        std::uint32_t v = 0;
        std::memcpy(&v, text.data() + at, 4);
        at += 4;
        numbers[field].push_back(v);
      } else {
        AKIN_CHECK((tag & 7) == 2, "wire: type {}", tag & 7);
        const std::uint64_t n = varint();
        AKIN_CHECK(n <= text.size() - at, "wire: cut off");
        bytes[field].push_back(text.substr(at, n));
        at += n;
      }
    }
  }
  std::string text(std::uint32_t field) const {
    return bytes.contains(field) ? std::string(bytes.at(field)[0]) : std::string();
  }
  std::int64_t number(std::uint32_t field) const { return static_cast<std::int64_t>(numbers.at(field)[0]); }
  std::vector<Wire> messages(std::uint32_t field) const {
    std::vector<Wire> out;
    if (bytes.contains(field))
      for (const std::string_view b : bytes.at(field)) out.emplace_back(b);
    return out;
  }
};

}  // namespace akin::test
