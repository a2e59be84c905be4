// The wire format of protocol buffers, writing only: tag, then varint, four or eight bytes, or a length and bytes.
// Enough for the messages of ONNX (nn/export/onnx_graph.cpp) and of TensorBoard (event_file.hpp); docs/decisions.md
// says why no library does this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace akin {

/// Builds one message; fields come out in the order of the calls. A field may be repeated.
class ProtoMessage {
 public:
  /// int32, int64, bool or an enumeration.
  void integer(std::uint32_t field, std::int64_t value);
  void number(std::uint32_t field, float value);
  void real(std::uint32_t field, double value);
  /// bytes or string.
  void bytes(std::uint32_t field, std::string_view value);
  void message(std::uint32_t field, const ProtoMessage& value) { bytes(field, value.bytes_); }
  const std::string& str() const { return bytes_; }

 private:
  void varint(std::uint64_t value);
  void tag(std::uint32_t field, std::uint32_t wire) { varint(std::uint64_t{field} << 3 | wire); }
  std::string bytes_;
};

}  // namespace akin
