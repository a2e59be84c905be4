#include "engine/io/event_file.hpp"

#include <array>

#include "engine/io/protobuf.hpp"

namespace akin {

namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = crc;
  }
  return table;
}

void append(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

/// Of the bytes, turned so that a checksum of data that hold checksums stays one.
std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

void append_record(std::string& out, const ProtoMessage& event) {
  std::string length;
  append(length, event.str().size(), 8);
  out += length;
  append(out, masked(length), 4);
  out += event.str();
  append(out, masked(event.str()), 4);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

std::string event_file(std::span<const ScalarEvent> scalars) {
  // Event: wall_time 1, step 2, file_version 3, summary 5; Summary: value 1; its Value: tag 1, simple_value 2.
  std::string out;
  ProtoMessage format;
  format.real(1, scalars.empty() ? 0 : scalars.front().time);
  format.bytes(3, "brain.Event:2");
  append_record(out, format);
  for (const ScalarEvent& s : scalars) {
    ProtoMessage value, summary, event;
    value.bytes(1, s.tag);
    value.number(2, static_cast<float>(s.value));
    summary.message(1, value);
    event.real(1, s.time);
    event.integer(2, s.step);
    event.message(5, summary);
    append_record(out, event);
  }
  return out;
}

}  // namespace akin
