#include "engine/io/image.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

// stb checks itself with assert(), which is either an abort or nothing; here a broken image is an error like any other.
namespace akin {
static void stb_check(bool ok) { AKIN_CHECK(ok, "inconsistent image data"); }
/// But for one that is wrong: the weights of a pixel, which are divided by their sum, sum to 0.889 .. 1.125 and not to
/// 0.9 .. 1.1; sound pictures of 300 pixels could not be made 224 wide.
static void stbir_check(bool ok, std::string_view what) {
  if (!what.starts_with("total ")) stb_check(ok);
}
static unsigned char* deflate_rows(unsigned char* data, int length, int* packed_length, int level);
}  // namespace akin

#define STBI_ASSERT(x) akin::stb_check(x)
#define STBIR_ASSERT(x) akin::stbir_check(x, #x)
#define STBIW_ASSERT(x) akin::stb_check(x)
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS akin::deflate_rows
#define STB_IMAGE_STATIC
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace akin {
namespace {

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

/// Feeds stb and notes when it asks for bytes beyond the end: stb itself goes on with zeros.
struct Source {
  ByteView file;
  std::size_t at = 0;
  const char* window = nullptr;  // stb's small buffer, which it fills ahead of need; other targets are exact requests
  bool beyond = false;

  static int read(void* self, char* to, int n) {
    auto& s = *static_cast<Source*>(self);
    if (s.window == nullptr) s.window = to;
    const std::size_t give = std::min(static_cast<std::size_t>(std::max(n, 0)), s.file.size() - s.at);
    if (give > 0) std::memcpy(to, s.file.data() + s.at, give);
    s.at += give;
    if (to == s.window ? give == 0 : give < static_cast<std::size_t>(std::max(n, 0))) s.beyond = true;
    return static_cast<int>(give);
  }
  static void skip(void* self, int n) {
    auto& s = *static_cast<Source*>(self);
    if (n < 0) {
      s.at -= std::min(s.at, static_cast<std::size_t>(-static_cast<std::int64_t>(n)));
    } else if (static_cast<std::size_t>(n) > s.file.size() - s.at) {
      s.at = s.file.size();
      s.beyond = true;
    } else {
      s.at += static_cast<std::size_t>(n);
    }
  }
  static int eof(void* self) {
    const auto& s = *static_cast<Source*>(self);
    return s.at == s.file.size() ? 1 : 0;
  }
};
constexpr stbi_io_callbacks kCallbacks{Source::read, Source::skip, Source::eof};

bool is_png(ByteView f) { return f.size() >= 8 && std::memcmp(f.data(), kPngSignature.data(), 8) == 0; }

bool is_jpeg(ByteView f) { return f.size() >= 2 && f[0] == 0xFF && f[1] == 0xD8; }

std::uint32_t big_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

/// stb ignores PNG's check sums; a damaged file must not pass as an image.
void check_png_sums(ByteView file, const std::string& name) {
  for (std::size_t at = 8;;) {
    AKIN_CHECK(file.size() - at >= 12, "{}: image ends too early (truncated; fetch it again)", name);
    const std::uint32_t length = big_endian(file.data() + at);
    AKIN_CHECK(length <= file.size() - at - 12, "{}: image ends too early (truncated; fetch it again)", name);
    const std::uint8_t* kind = file.data() + at + 4;
    const auto sum = static_cast<std::uint32_t>(::crc32(0, kind, length + 4));
    AKIN_CHECK(sum == big_endian(kind + 4 + length), "{}: image is damaged (wrong check sum; fetch it again)", name);
    if (std::memcmp(kind, "IEND", 4) == 0) return;
    at += 12 + std::size_t{length};
  }
}

/// A Huffman table says how many codes it has of each length; stb stores up to 256 and writes on beyond that. Walks the
/// segments up to the first scan as stb does, then looks at every FF C4, which compressed data never contains.
void check_jpeg_tables(ByteView file, const std::string& name) {
  const auto table_at = [&](std::size_t at, std::size_t length) {
    for (std::size_t end = std::min(at + length, file.size()); at < end;) {
      std::size_t codes = 0;
      for (std::size_t i = at + 1; i < std::min(at + 17, file.size()); ++i) codes += file[i];
      AKIN_CHECK(codes <= 256, "{}: image is damaged (Huffman table of {} codes; fetch it again)", name, codes);
      at += 17 + codes;
    }
  };
  bool scan = false;
  for (std::size_t at = 2; at + 3 < file.size();) {
    if (file[at] != 0xFF || file[at + 1] == 0xFF) {
      ++at;
      continue;
    }
    const std::uint8_t marker = file[at + 1];
    const std::size_t length = std::size_t{file[at + 2]} << 8 | file[at + 3];
    if (marker == 0xC4 && length > 2) table_at(at + 4, length - 2);
    scan = scan || marker == 0xDA;
    at += scan ? 1 : 2 + std::max<std::size_t>(length, 2);
  }
  AKIN_CHECK(scan, "{}: image ends before its pixels begin (truncated; fetch it again)", name);
}

const char* reason() {
  const char* text = stbi_failure_reason();
  return text != nullptr ? text : "unknown fault";
}

std::size_t index(int i) { return static_cast<std::size_t>(i); }

void check_image(const Array& image, std::size_t rank, const char* what) {
  AKIN_CHECK(image.dtype() == DType::u8 && image.shape().rank() == rank && image.numel() > 0,
             "{}: u8 of rank {} that is not empty was expected, found {} {}", what, rank, name_of(image.dtype()),
             image.shape().str());
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

Array resize_region(const Array& image, int y, int x, int h, int w, int height, int width) {
  AKIN_CHECK(height >= 1 && width >= 1 && height <= 1 << 16 && width <= 1 << 16,
             "resize: {}x{} is not a size for an image", height, width);
  const int channels = static_cast<int>(image.shape()[2]), row = static_cast<int>(image.shape()[1]) * channels;
  Array out(DType::u8, {height, width, channels});
  const std::uint8_t* from = image.as<std::uint8_t>().data() + index(y) * index(row) + index(x) * index(channels);
  const int ok = stbir_resize_uint8_generic(from, w, h, row, out.as<std::uint8_t>().data(), width, height, 0, channels,
                                            STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE,
                                            STBIR_COLORSPACE_LINEAR, nullptr);
  AKIN_CHECK(ok == 1, "resize: {} to {}x{} failed (not enough memory?)", image.shape().str(), height, width);
  return out;
}

}  // namespace

/// zlib for stb's PNG writer, which wants memory it can free().
static unsigned char* deflate_rows(unsigned char* data, int length, int* packed_length, int /*level*/) {
  uLongf packed = compressBound(static_cast<uLong>(length));
  std::unique_ptr<unsigned char, Free> out(static_cast<unsigned char*>(std::malloc(packed)));
  if (out == nullptr || compress2(out.get(), &packed, data, static_cast<uLong>(length), 9) != Z_OK) return nullptr;
  *packed_length = static_cast<int>(packed);
  return out.release();
}

ImageInfo image_info(ByteView file, const std::string& name, const ImageLimits& limits) {
  AKIN_CHECK(file.size() <= limits.max_file_bytes && file.size() <= std::numeric_limits<int>::max(),
             "{}: {} bytes are more than the limit of {} for an image", name, file.size(), limits.max_file_bytes);
  if (is_jpeg(file)) check_jpeg_tables(file, name);  // stb reads tables even when asked for the size alone
  Source source{file};
  ImageInfo info;
  const bool ok = stbi_info_from_callbacks(&kCallbacks, &source, &info.width, &info.height, &info.channels) != 0;
  AKIN_CHECK(ok && info.width > 0 && info.height > 0, "{}: not a PNG, JPEG or BMP image ({})", name, reason());
  const std::uint64_t pixels = static_cast<std::uint64_t>(info.width) * static_cast<std::uint64_t>(info.height);
  AKIN_CHECK(pixels <= limits.max_pixels, "{}: {}x{} pixels are more than the limit of {} for an image", name,
             info.height, info.width, limits.max_pixels);
  info.channels = info.channels >= 3 ? 3 : 1;
  return info;
}

Array decode_image(ByteView file, const std::string& name, int channels, const ImageLimits& limits) {
  AKIN_CHECK(channels == 0 || channels == 1 || channels == 3, "{}: {} channels were asked for, 1 or 3 are possible",
             name, channels);
  const ImageInfo info = image_info(file, name, limits);
  if (is_png(file)) check_png_sums(file, name);
  const int wanted = channels == 0 ? info.channels : channels;
  Source source{file};
  int width = 0, height = 0, ignored = 0;
  std::unique_ptr<stbi_uc, Free> pixels;
  try {
    pixels.reset(stbi_load_from_callbacks(&kCallbacks, &source, &width, &height, &ignored, wanted));
  } catch (const Error& e) {
    fail("{}: image is damaged ({}; fetch it again)", name, e.what());
  }
  AKIN_CHECK(pixels != nullptr, "{}: image is damaged ({}; fetch it again)", name, reason());
  AKIN_CHECK(!source.beyond, "{}: image ends too early (truncated; fetch it again)", name);
  AKIN_CHECK(width == info.width && height == info.height, "{}: image is damaged (it contradicts its header)", name);
  Array image(DType::u8, {height, width, wanted});
  std::memcpy(image.bytes(), pixels.get(), image.byte_size());
  return image;
}

Array read_image(const std::filesystem::path& path, int channels, const ImageLimits& limits) {
  return decode_image(read_file(path, limits.max_file_bytes), path.string(), channels, limits);
}

Bytes to_png(const Array& image) {
  const std::size_t rank = image.shape().rank();
  check_image(image, rank == 2 ? 2 : 3, "to_png");
  const std::int64_t channels = rank == 3 ? image.shape()[2] : 1;
  AKIN_CHECK((channels == 1 || channels == 3 || channels == 4) && image.numel() < std::int64_t{1} << 30,
             "to_png: {} is not an image of 1, 3 or 4 channels and less than 2^30 bytes", image.shape().str());
  const int height = static_cast<int>(image.shape()[0]), width = static_cast<int>(image.shape()[1]);
  int length = 0;
  const std::unique_ptr<unsigned char, Free> png(stbi_write_png_to_mem(image.as<std::uint8_t>().data(),
                                                                       width * static_cast<int>(channels), width,
                                                                       height, static_cast<int>(channels), &length));
  AKIN_CHECK(png != nullptr, "to_png: no memory for {}", image.shape().str());
  return {png.get(), png.get() + length};
}

void write_png(const std::filesystem::path& path, const Array& image) { write_file_atomic(path, to_png(image)); }

Array resize_and_crop(const Array& image, int height, int width) {
  check_image(image, 3, "resize_and_crop");
  AKIN_CHECK(height >= 1 && width >= 1, "resize: {}x{} is not a size for an image", height, width);
  const std::int64_t h = image.shape()[0], w = image.shape()[1];
  if (h == height && w == width) return image;
  // Rounded to the nearest whole pixel; cutting before resizing gives the same picture and never a huge one.
  const std::int64_t ch = std::clamp<std::int64_t>((2 * w * height + width) / (2 * width), 1, h);
  const std::int64_t cw = std::clamp<std::int64_t>((2 * h * width + height) / (2 * height), 1, w);
  return resize_region(image, static_cast<int>((h - ch) / 2), static_cast<int>((w - cw) / 2), static_cast<int>(ch),
                       static_cast<int>(cw), height, width);
}

Array convert_channels(const Array& images, int channels) {
  const std::size_t rank = images.shape().rank();
  AKIN_CHECK(images.dtype() == DType::u8 && rank >= 1, "convert_channels: u8 images were expected");
  const std::int64_t from = images.shape()[-1];
  if (from == channels) return images;
  AKIN_CHECK((from == 1 && channels == 3) || (from == 3 && channels == 1),
             "convert_channels: {} channels to {}; only 1 to 3 "
             "and 3 to 1 are possible",
             from, channels);
  std::vector<std::int64_t> dims = images.shape().dims();
  dims.back() = channels;
  Array out(DType::u8, Shape(dims));
  const auto in = images.as<std::uint8_t>();
  const auto to = out.as<std::uint8_t>();
  for (std::size_t p = 0; p < std::max(in.size(), to.size()) / 3; ++p) {
    if (channels == 3) {
      to[3 * p] = to[3 * p + 1] = to[3 * p + 2] = in[p];
    } else {
      to[p] = static_cast<std::uint8_t>((77 * in[3 * p] + 150 * in[3 * p + 1] + 29 * in[3 * p + 2]) >> 8);
    }
  }
  return out;
}

Array resize_images(const Array& images, int height, int width) {
  AKIN_CHECK(images.dtype() == DType::u8 && images.shape().rank() == 4,
             "resize_images: u8 [N,H,W,C] was expected, found {} {}", name_of(images.dtype()), images.shape().str());
  const std::int64_t n = images.shape()[0], h = images.shape()[1], w = images.shape()[2], c = images.shape()[3];
  if (h == height && w == width) return images;
  Array out(DType::u8, {n, height, width, c});
  Array one(DType::u8, {h, w, c});
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(one.bytes(), images.bytes() + static_cast<std::size_t>(i) * one.byte_size(), one.byte_size());
    const Array small = resize_and_crop(one, height, width);
    std::memcpy(out.bytes() + static_cast<std::size_t>(i) * small.byte_size(), small.bytes(), small.byte_size());
  }
  return out;
}

}  // namespace akin
