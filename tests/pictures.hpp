// Drawn pictures as image files, and what such files may say of themselves besides.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "engine/dtype.hpp"
#include "engine/io/image.hpp"
#include "kernels/common/rng.hpp"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace akin::test {

inline Array picture(int h, int w, int c, std::uint64_t seed) {
  Array a(DType::u8, {h, w, c});
  Rng rng(seed);
  std::size_t i = 0;
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      for (int k = 0; k < c; ++k) {
        const double v = 127 + 90 * std::sin(0.35 * x + k) * std::cos(0.25 * y) + rng.uniform(-20.0f, 20.0f);
        a.as<std::uint8_t>()[i++] = static_cast<std::uint8_t>(v);
      }
    }
  }
  return a;
}

inline void append(void* to, void* data, int n) {
  auto& bytes = *static_cast<Bytes*>(to);
  const auto* p = static_cast<const std::uint8_t*>(data);
  bytes.insert(bytes.end(), p, p + n);
}

inline Bytes encode(const Array& a, const std::string& kind) {
  const int h = static_cast<int>(a.shape()[0]), w = static_cast<int>(a.shape()[1]), c = static_cast<int>(a.shape()[2]);
  Bytes out;
  const std::uint8_t* p = a.as<std::uint8_t>().data();
  if (kind == "jpg") stbi_write_jpg_to_func(append, &out, w, h, c, p, 95);
  if (kind == "bmp") stbi_write_bmp_to_func(append, &out, w, h, c, p);
  if (kind == "png") out = to_png(a);
  return out;
}

inline int max_difference(const Array& a, const Array& b) {
  if (!(a.shape() == b.shape())) return 1000;
  int worst = 0;
  for (std::size_t i = 0; i < a.byte_size(); ++i) {
    worst = std::max(worst, std::abs(int{a.as<std::uint8_t>()[i]} - int{b.as<std::uint8_t>()[i]}));
  }
  return worst;
}

/// EXIF data with one entry, the orientation: a TIFF file of one directory.
inline Bytes exif_of(std::uint32_t orientation, bool little, std::uint16_t type = 3) {
  Bytes out = little ? Bytes{'I', 'I'} : Bytes{'M', 'M'};
  const auto number = [&](std::uint32_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      out.push_back(static_cast<std::uint8_t>(value >> 8 * (little ? i : size - 1 - i)));
  };
  number(42, 2);
  number(8, 4);
  number(1, 2);
  number(0x0112, 2);
  number(type, 2);
  number(1, 4);
  const std::size_t size = type == 4 ? 4 : type == 3 ? 2 : 1;
  number(orientation, size);
  out.resize(out.size() + 4 - size + 4);
  return out;
}

/// The JPEG file with a segment put in behind its first mark.
inline Bytes with_segment(const Bytes& jpeg, std::uint8_t marker, const Bytes& data) {
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  const std::size_t length = data.size() + 2;
  out.insert(out.end(), {0xFF, marker, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
  out.insert(out.end(), data.begin(), data.end());
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

/// The JPEG file with EXIF data.
inline Bytes with_exif(const Bytes& jpeg, const Bytes& exif) {
  Bytes data{'E', 'x', 'i', 'f', 0, 0};
  data.insert(data.end(), exif.begin(), exif.end());
  return with_segment(jpeg, 0xE1, data);
}

/// A chunk of a PNG file with its check sum.
inline Bytes png_chunk(const std::string& kind, const Bytes& data) {
  Bytes out;
  const auto number = [&](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
  };
  number(static_cast<std::uint32_t>(data.size()));
  out.insert(out.end(), kind.begin(), kind.end());
  out.insert(out.end(), data.begin(), data.end());
  std::uint32_t sum = 0xFFFFFFFF;  // bit by bit, by the definition (ISO/IEC 15948, annex D)
  for (std::size_t i = 4; i < out.size(); ++i) {
    sum ^= out[i];
    for (int bit = 0; bit < 8; ++bit) sum = sum & 1 ? sum >> 1 ^ 0xEDB88320 : sum >> 1;
  }
  number(~sum);
  return out;
}

/// The PNG file with a chunk put in behind its header.
inline Bytes with_chunk(const Bytes& png, const std::string& kind, const Bytes& data) {
  constexpr std::ptrdiff_t kHeaderEnd = 8 + 25;
  Bytes out(png.begin(), png.begin() + kHeaderEnd);
  const Bytes chunk = png_chunk(kind, data);
  out.insert(out.end(), chunk.begin(), chunk.end());
  out.insert(out.end(), png.begin() + kHeaderEnd, png.end());
  return out;
}

}  // namespace akin::test
