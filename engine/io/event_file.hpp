// Event files of TensorBoard: records of TFRecord (length, masked CRC-32C of it, message, masked CRC-32C of that), each
// an Event as a protocol buffer. Scalars only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace akin {

struct ScalarEvent {
  std::string tag;  ///< "loss/train"; a part before a slash groups charts
  std::int64_t step = 0;
  double value = 0;
  double time = 0;  ///< seconds since 1970
};

/// CRC-32C (Castagnoli), reflected, as iSCSI has it.
std::uint32_t crc32c(std::string_view bytes);

/// A whole event file: the record that tells the format, then one a scalar.
std::string event_file(std::span<const ScalarEvent> scalars);

}  // namespace akin
