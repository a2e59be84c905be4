#include "engine/io/png.hpp"

#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

namespace akin {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";
constexpr std::size_t kAround = 12;  // length, name and check sum of a chunk

struct Chunk {
  ByteView data;
  const std::uint8_t* kind;
  bool is(const char* name) const { return std::memcmp(kind, name, 4) == 0; }
};

std::uint32_t big_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

/// The chunk that begins at `at`, which moves behind it.
Chunk next_chunk(ByteView file, std::size_t& at, const std::string& name) {
  AKIN_CHECK(file.size() - at >= kAround, "{}: image ends too early (truncated; fetch it again)", name);
  const std::uint32_t length = big_endian(file.data() + at);
  AKIN_CHECK(length <= file.size() - at - kAround, "{}: image ends too early (truncated; fetch it again)", name);
  const Chunk chunk{file.subspan(at + 8, length), file.data() + at + 4};
  at += kAround + std::size_t{length};
  return chunk;
}

constexpr std::size_t kMaxText = 1 << 18;  // of EXIF data, which fit 64 KiB elsewhere, in hexadecimal digits

/// EXIF data in the way of ImageMagick, which is older than the eXIf chunk: a text of this name that holds, a line
/// each, nothing, "exif", the length, and hexadecimal digits. Empty where the text is another one.
Bytes exif_in_text(const Chunk& chunk) {
  const std::string_view data(reinterpret_cast<const char*>(chunk.data.data()), chunk.data.size());
  const std::size_t end = data.find('\0');
  const std::string_view key = data.substr(0, end);
  if (end == std::string_view::npos || (key != "Raw profile type exif" && key != "Raw profile type APP1")) return {};
  std::string text(data.substr(end + 1));
  if (chunk.is("zTXt")) {
    std::string unpacked(kMaxText, '\0');
    uLongf size = kMaxText;
    if (text.empty() || ::uncompress(reinterpret_cast<Bytef*>(unpacked.data()), &size,
                                     reinterpret_cast<const Bytef*>(text.data()) + 1, text.size() - 1) != Z_OK)
      return {'?'};  // broken, as EXIF data go
    unpacked.resize(size);
    text = unpacked;
  }
  std::size_t at = 0;
  for (int line = 0; line < 3 && at != std::string::npos; ++line) at = text.find('\n', at + (line > 0 ? 1 : 0));
  Bytes out;
  int half = -1;
  for (; at < text.size(); ++at) {
    if (std::isspace(static_cast<unsigned char>(text[at]))) continue;
    const std::string_view digits = "0123456789abcdef";
    const std::size_t digit = digits.find(static_cast<char>(std::tolower(static_cast<unsigned char>(text[at]))));
    if (digit == std::string_view::npos) return {'?'};
    if (half >= 0) out.push_back(static_cast<std::uint8_t>(half << 4 | static_cast<int>(digit)));
    half = half >= 0 ? -1 : static_cast<int>(digit);
  }
  return out.empty() ? Bytes{'?'} : out;
}

void append(Bytes& out, const char* kind, ByteView data) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(data.size() >> shift));
  out.insert(out.end(), kind, kind + 4);
  out.insert(out.end(), data.begin(), data.end());
  out.insert(out.end(), 4, std::uint8_t{0});
}

}  // namespace

bool is_png(ByteView file) {
  return file.size() >= 8 && std::memcmp(file.data(), kSignature.data(), kSignature.size()) == 0;
}

PngHeader read_png_header(ByteView file, const std::string& name) {
  PngHeader header;
  bool exif = false;
  for (std::size_t at = kSignature.size();;) {
    const Chunk chunk = next_chunk(file, at, name);
    const auto sum = static_cast<std::uint32_t>(::crc32(0, chunk.kind, static_cast<uInt>(chunk.data.size() + 4)));
    AKIN_CHECK(sum == big_endian(chunk.kind + 4 + chunk.data.size()),
               "{}: image is damaged (wrong check sum; fetch it again)", name);
    AKIN_CHECK(!chunk.is("CgBI"), "{}: a PNG of Apple's own kind (CgBI) cannot be read; convert it to plain PNG", name);
    if (chunk.is("IEND")) return header;
    if (chunk.is("IHDR") && chunk.data.size() >= 10) {
      header.bits = chunk.data[8];
      header.palette = chunk.data[9] == 3;
      header.alpha = chunk.data[9] == 4 || chunk.data[9] == 6;
    } else if (chunk.is("PLTE")) {
      header.colours = static_cast<int>(chunk.data.size() / 3);
    } else if (chunk.is("tRNS")) {
      header.alpha = true;
    } else if (chunk.is("acTL")) {
      header.animated = true;
    } else if (chunk.is("eXIf")) {
      exif = true;
      header.orientation = exif_orientation(chunk.data);
    } else if (!exif && (chunk.is("tEXt") || chunk.is("zTXt"))) {
      if (const Bytes data = exif_in_text(chunk); !data.empty()) header.orientation = exif_orientation(data);
    }
  }
}

Bytes with_full_palette(ByteView file) {
  Bytes out(file.begin(), file.begin() + kSignature.size());
  Bytes colours, opacity;
  const auto flush = [&] {  // both stand before the pixels
    if (colours.empty()) return;
    const std::size_t n = std::min<std::size_t>(colours.size() / 3, 256);
    colours.resize(3 * 256);
    opacity.resize(n, 255);
    std::replace(opacity.begin(), opacity.end(), std::uint8_t{0}, std::uint8_t{1});
    opacity.resize(256, 0);
    append(out, "PLTE", colours);
    append(out, "tRNS", opacity);
    colours.clear();
  };
  for (std::size_t at = kSignature.size();;) {
    const Chunk chunk = next_chunk(file, at, "image");
    if (chunk.is("IDAT")) flush();
    if (chunk.is("PLTE") && colours.empty())
      colours.assign(chunk.data.begin(), chunk.data.end());
    else if (chunk.is("tRNS"))
      opacity.assign(chunk.data.begin(), chunk.data.end());
    else
      append(out, reinterpret_cast<const char*>(chunk.kind), chunk.data);
    if (chunk.is("IEND")) return out;
  }
}

}  // namespace akin
