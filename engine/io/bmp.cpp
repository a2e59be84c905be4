#include "engine/io/bmp.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace akin {
namespace {

constexpr std::size_t kFileHeader = 14, kOs2Header = 12, kHeader = 40;

std::uint32_t number(ByteView file, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint32_t{file[at + i]} << (8 * i);
  return value;
}

void append(Bytes& out, std::uint32_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace

bool is_bmp(ByteView file) {
  if (file.size() < kFileHeader + kOs2Header || file[0] != 'B' || file[1] != 'M') return false;
  constexpr std::uint32_t kSizes[] = {12, 16, 40, 52, 56, 64, 108, 124};
  return std::find(std::begin(kSizes), std::end(kSizes), number(file, kFileHeader, 4)) != std::end(kSizes);
}

void check_bmp(ByteView file, const std::string& name) {
  const auto cannot = [&](const std::string& what) {
    fail("{}: a BMP {} cannot be read; convert it to PNG", name, what);
  };
  const std::uint32_t header = number(file, kFileHeader, 4);
  if (header == 16 || header == 52 || header == 64) cannot(fmt::format("with a header of {} bytes", header));
  if (header == kOs2Header || file.size() < kFileHeader + kHeader) return;
  const std::uint32_t packed = number(file, 30, 4);
  if (packed == 1 || packed == 2) cannot("packed by run lengths (RLE)");
  if (packed == 4 || packed == 5) cannot("that holds a JPEG or PNG");
  if (packed > 3) cannot(fmt::format("packed in way {}", packed));
}

Bytes with_full_bmp_palette(ByteView file, const std::string& name) {
  if (!is_bmp(file)) return {};
  const std::size_t header = number(file, kFileHeader, 4), start = number(file, 10, 4);
  const bool os2 = header == kOs2Header;
  if (!os2 && file.size() < kFileHeader + kHeader) return {};
  const auto width = static_cast<std::int32_t>(number(file, 18, os2 ? 2 : 4));
  const auto height = static_cast<std::int32_t>(number(file, os2 ? 20 : 22, os2 ? 2 : 4));
  const std::uint32_t bits = number(file, os2 ? 24 : 28, 2), packed = os2 ? 0 : number(file, 30, 4);
  if ((bits != 1 && bits != 4 && bits != 8) || packed != 0 || width <= 0) return {};
  const auto pixels = static_cast<std::size_t>(width), rows = static_cast<std::size_t>(std::abs(std::int64_t{height}));
  const std::size_t row = (pixels * bits + 31) / 32 * 4, entry = os2 ? 3 : 4;
  if (start < kFileHeader + header || start > file.size() || rows > (file.size() - start) / row) return {};
  std::size_t colours = std::min<std::size_t>((start - kFileHeader - header) / entry, std::size_t{1} << bits);
  if (const std::uint32_t used = os2 ? 0 : number(file, 46, 4); used > 0)
    colours = std::min<std::size_t>(colours, used);
  for (std::size_t y = 0; y < rows; ++y) {
    const std::uint8_t* line = file.data() + start + y * row;
    for (std::size_t x = 0; x < pixels; ++x) {
      const unsigned at = static_cast<unsigned>(x) * bits, shift = 8 - bits - at % 8;
      const unsigned colour = line[at / 8] >> shift & ((1u << bits) - 1);
      AKIN_CHECK(colour < colours, "{}: image is damaged (a pixel of colour {} in a palette of {}; fetch it again)",
                 name, colour, colours);
    }
  }
  Bytes out{'B', 'M'};
  const std::size_t pixels_at = kFileHeader + kHeader + 4 * 256;
  append(out, static_cast<std::uint32_t>(pixels_at + rows * row), 4);
  append(out, 0, 4);
  append(out, static_cast<std::uint32_t>(pixels_at), 4);
  append(out, kHeader, 4);
  append(out, static_cast<std::uint32_t>(width), 4);
  append(out, static_cast<std::uint32_t>(height), 4);
  append(out, 1, 2);
  append(out, bits, 2);
  for (int field = 0; field < 6; ++field) append(out, 0, 4);
  for (std::size_t c = 0; c < 256; ++c)
    append(out, c < colours ? number(file, kFileHeader + header + c * entry, 3) : 0, 4);
  const auto first = file.begin() + static_cast<std::ptrdiff_t>(start);
  out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(rows * row));
  return out;
}

}  // namespace akin
