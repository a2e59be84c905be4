#include "engine/io/protobuf.hpp"

#include <bit>

namespace akin {

namespace {

// Wire types of the format.
constexpr std::uint32_t kVarint = 0, kEightBytes = 1, kLengthPrefixed = 2, kFourBytes = 5;

}  // namespace

void ProtoMessage::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
  bytes_ += static_cast<char>(value);
}

void ProtoMessage::integer(std::uint32_t field, std::int64_t value) {
  tag(field, kVarint);
  varint(static_cast<std::uint64_t>(value));  // a negative one takes ten bytes
}

void ProtoMessage::number(std::uint32_t field, float value) {
  tag(field, kFourBytes);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift);
}

void ProtoMessage::real(std::uint32_t field, double value) {
  tag(field, kEightBytes);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) bytes_ += static_cast<char>(bits >> shift);
}

void ProtoMessage::bytes(std::uint32_t field, std::string_view value) {
  tag(field, kLengthPrefixed);
  varint(value.size());
  bytes_ += value;
}

}  // namespace akin
