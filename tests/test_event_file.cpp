// tests/check_tensorboard.py reads whole files with a reader of its own.
#include "engine/io/event_file.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstring>

#include "engine/io/protobuf.hpp"

using namespace akin;

TEST_CASE("CRC-32C is that of RFC 3720's examples") {
  CHECK_EQ(crc32c("123456789"), 0xE3069283u);
  CHECK_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  CHECK_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  CHECK_EQ(crc32c(""), 0u);
}

TEST_CASE("an eight-byte field is tag and little-endian bits") {
  ProtoMessage m;
  m.real(1, -2.5);
  REQUIRE_EQ(m.str().size(), 9);
  CHECK_EQ(m.str()[0], '\x09');
  std::uint64_t bits = 0;
  std::memcpy(&bits, m.str().data() + 1, 8);
  CHECK_EQ(std::bit_cast<double>(bits), -2.5);
}

TEST_CASE("an event file is a record of its format and one a scalar, each with its length") {
  const ScalarEvent scalar{"loss/train", 300, 0.25, 1000.5};
  const std::string file = event_file({&scalar, 1});
  std::size_t at = 0, records = 0;
  for (; at < file.size(); ++records) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data() + at, 8);
    const std::string record = file.substr(at + 12, length);
    CHECK_EQ(record.find(records == 0 ? "brain.Event:2" : "loss/train") != std::string::npos, true);
    at += 16 + length;
  }
  CHECK_EQ(at, file.size());
  CHECK_EQ(records, 2);
}
