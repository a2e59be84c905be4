// SHA-256 (FIPS 180-4): names files, data sets and teachers by their content.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/io/file.hpp"

namespace akin {

class Sha256 {
 public:
  Sha256& update(ByteView bytes);
  Sha256& update(std::string_view text) { return update(bytes_of(text)); }
  /// 64 hexadecimal digits of everything so far; update() may go on afterwards.
  std::string hex() const;

 private:
  void block(const std::uint8_t* p);
  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t length_ = 0;
};

std::string sha256_hex(ByteView bytes);
std::string sha256_hex(std::string_view text);
std::string sha256_file(const std::filesystem::path& path);

/// Of a file that of its content; of a folder that of the names and contents of all files in it.
std::string sha256_of_path(const std::filesystem::path& path);

}  // namespace akin
