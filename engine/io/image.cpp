#include "engine/io/image.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#include "engine/io/bmp.hpp"
#include "engine/io/exif.hpp"
#include "engine/io/jpeg.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/picture_readers.hpp"
#include "engine/io/png.hpp"

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
// Memory that a damaged image leaves as it is holds zeros: the same image every time, and nothing of anybody's.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(p, size) std::realloc(p, size)
#define STBI_FREE(p) std::free(p)
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

/// What is known of an image before its pixels are decoded.
struct Header {
  ImageInfo shown;
  int height = 0, width = 0;  // as stored
  Orientation orientation;
  PngHeader png;
  bool alpha = false, cmyk = false;
  StoredPicture stored;                   // of the kinds that have a reader of their own
  const PictureReader* reader = nullptr;  // null: stb reads it
};

/// Sizes, within the limits, and which way up they are shown.
void settle(Header& header, const std::string& name, int channels, const ImageLimits& limits) {
  AKIN_CHECK(header.height > 0 && header.width > 0, "{}: image of {}x{} pixels", name, header.height, header.width);
  const std::uint64_t pixels = static_cast<std::uint64_t>(header.width) * static_cast<std::uint64_t>(header.height);
  AKIN_CHECK(pixels <= limits.max_pixels, "{}: {}x{} pixels are more than the limit of {} for an image", name,
             header.height, header.width, limits.max_pixels);
  const bool across = header.orientation.value >= 5;
  header.shown = {.height = across ? header.width : header.height,
                  .width = across ? header.height : header.width,
                  .channels = channels};
}

Header read_header(ByteView file, const std::string& name, const ImageLimits& limits) {
  AKIN_CHECK(file.size() <= limits.max_file_bytes && file.size() <= std::numeric_limits<int>::max(),
             "{}: {} bytes are more than the limit of {} for an image", name, file.size(), limits.max_file_bytes);
  const std::string_view kind = kind_by_content(file);
  AKIN_CHECK(kind.empty() || is_readable_kind(kind), "{}: not a {} image, but {} ({})", name, list_of_kinds(), kind,
             is_other_picture(kind) ? remedy_of(kind) + ", or remove it" : "convert it, or remove it");
  AKIN_CHECK(!kind.empty(), "{}: not a {} image ({}; fetch it again, or remove it)", name, list_of_kinds(),
             file.empty() ? "it is empty" : "it begins like none");
  Header header;
  if ((header.reader = reader_of(kind)) != nullptr) {
    header.stored = header.reader->header(file, name);
    header.height = header.stored.height;
    header.width = header.stored.width;
    header.orientation = header.stored.orientation;
    header.alpha = header.stored.alpha;
    header.cmyk = header.stored.cmyk;
    settle(header, name, header.stored.channels, limits);
    return header;
  }
  if (is_jpeg(file)) {
    const JpegHeader jpeg = read_jpeg_header(file, name);  // before stb, which reads tables even for the size alone
    header.orientation = jpeg.orientation;
    header.cmyk = jpeg.cmyk;
  } else if (is_png(file)) {
    header.png = read_png_header(file, name);
    header.orientation = header.png.orientation;
  } else {
    check_bmp(file, name);
  }
  Source source{file};
  int channels = 0;
  const bool ok = stbi_info_from_callbacks(&kCallbacks, &source, &header.width, &header.height, &channels) != 0;
  AKIN_CHECK(ok, "{}: this {} image cannot be read ({}; fetch it again, or convert it to another format)", name, kind,
             reason());
  header.height = std::abs(header.height);  // negative in a BMP whose first row is the upper one
  settle(header, name, channels >= 3 ? 3 : 1, limits);
  header.alpha = header.png.alpha || channels == 2 || channels == 4;
  return header;
}

Array without_last_channel(const Array& image);

/// u8 [H,W,channels] as stored, with all channels of the file where `channels` is 0.
Array load(ByteView file, const std::string& name, const Header& header, int channels) {
  if (header.reader != nullptr) {
    Array image = header.reader->pixels(file, name, header.stored);
    if (channels == 0) return image;
    return convert_channels(header.alpha ? without_last_channel(image) : image, channels);
  }
  Source source{file};
  int width = 0, height = 0, stored = 0;
  std::unique_ptr<stbi_uc, Free> pixels;
  try {
    pixels.reset(stbi_load_from_callbacks(&kCallbacks, &source, &width, &height, &stored, channels));
  } catch (const Error& e) {
    fail("{}: image is damaged ({}; fetch it again)", name, e.what());
  }
  AKIN_CHECK(pixels != nullptr, "{}: image is damaged ({}; fetch it again)", name, reason());
  AKIN_CHECK(!source.beyond, "{}: image ends too early (truncated; fetch it again)", name);
  AKIN_CHECK(width == header.width && height == header.height, "{}: image is damaged (it contradicts its header)",
             name);
  Array image(DType::u8, {height, width, channels == 0 ? stored : channels});
  std::memcpy(image.bytes(), pixels.get(), image.byte_size());
  return image;
}

Array without_last_channel(const Array& image) {
  const Shape& s = image.shape();
  Array out(DType::u8, {s[0], s[1], s[2] - 1});
  const auto from = static_cast<std::size_t>(s[2]), to = from - 1;
  for (std::size_t p = 0; p < static_cast<std::size_t>(s[0] * s[1]); ++p)
    std::memcpy(out.as<std::uint8_t>().data() + p * to, image.as<std::uint8_t>().data() + p * from, to);
  return out;
}

Array resize_region(const Array& image, int y, int x, int h, int w, int height, int width, Filter filter) {
  AKIN_CHECK(height >= 1 && width >= 1 && height <= 1 << 16 && width <= 1 << 16,
             "resize: {}x{} is not a size for an image", height, width);
  const int channels = static_cast<int>(image.shape()[2]), row = static_cast<int>(image.shape()[1]) * channels;
  Array out(DType::u8, {height, width, channels});
  const std::uint8_t* from = image.as<std::uint8_t>().data() + index(y) * index(row) + index(x) * index(channels);
  const int ok = stbir_resize_uint8_generic(from, w, h, row, out.as<std::uint8_t>().data(), width, height, 0, channels,
                                            STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP,
                                            filter == Filter::bicubic ? STBIR_FILTER_CATMULLROM : STBIR_FILTER_TRIANGLE,
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
  return read_header(file, name, limits).shown;
}

Array decode_image(ByteView file, const std::string& name, int channels, const ImageLimits& limits, ImageNotes* notes) {
  AKIN_CHECK(channels == 0 || channels == 1 || channels == 3, "{}: {} channels were asked for, 1 or 3 are possible",
             name, channels);
  const Header header = read_header(file, name, limits);
  const bool padded = header.png.palette && header.png.colours < 1 << header.png.bits;
  Bytes changed;
  if (header.reader == nullptr) changed = padded ? with_full_palette(file) : with_full_bmp_palette(file, name);
  if (!changed.empty()) file = changed;
  const int wanted = channels == 0 ? header.shown.channels : channels;
  ImageNotes found{.shown = header.shown,
                   .turned = header.orientation.value != 1,
                   .broken_exif = header.orientation.broken,
                   .animated = header.png.animated || header.stored.frames,
                   .pages = header.stored.pages,
                   .sixteen_bit = std::max(header.png.bits, header.stored.bits) == 16,
                   .cmyk = header.cmyk};
  Array image;
  if (header.alpha || padded) {
    image = load(file, name, header, 0);
    const std::size_t all = static_cast<std::size_t>(image.shape()[2]);
    const auto pixels = image.as<std::uint8_t>();
    std::uint8_t least = 255;
    for (std::size_t i = all - 1; i < pixels.size(); i += all) least = std::min(least, pixels[i]);
    AKIN_CHECK(!padded || least > 0,
               "{}: image is damaged (a pixel whose colour is not in the palette; fetch it again)", name);
    found.transparent = header.alpha && least < 255;
    if (static_cast<int>(all) == wanted + 1)
      image = without_last_channel(image);
    else
      image = header.reader != nullptr ? convert_channels(without_last_channel(image), wanted)
                                       : load(file, name, header, wanted);
  } else {
    image = load(file, name, header, wanted);
  }
  if (found.sixteen_bit) {
    const auto pixels = image.as<std::uint8_t>();
    found.dark = *std::max_element(pixels.begin(), pixels.end()) < 64;
  }
  if (notes != nullptr) *notes = found;
  return upright(image, header.orientation.value);
}

Array read_image(const std::filesystem::path& path, int channels, const ImageLimits& limits, ImageNotes* notes) {
  return decode_image(read_file(path, limits.max_file_bytes), path.string(), channels, limits, notes);
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

Bytes to_jpeg(const Array& image, int quality) {
  const std::size_t rank = image.shape().rank();
  check_image(image, rank == 2 ? 2 : 3, "to_jpeg");
  const std::int64_t channels = rank == 3 ? image.shape()[2] : 1;
  AKIN_CHECK(
      (channels == 1 || channels == 3) && image.numel() < std::int64_t{1} << 30 && quality >= 1 && quality <= 100,
      "to_jpeg: {} with quality {} is not an image of 1 or 3 channels and less than 2^30 bytes, quality 1 to 100",
      image.shape().str(), quality);
  Bytes out;
  const auto add = [](void* to, void* data, int size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    static_cast<Bytes*>(to)->insert(static_cast<Bytes*>(to)->end(), bytes, bytes + size);
  };
  stbi_write_jpg_to_func(add, &out, static_cast<int>(image.shape()[1]), static_cast<int>(image.shape()[0]),
                         static_cast<int>(channels), image.as<std::uint8_t>().data(), quality);
  return out;
}

void write_png(const std::filesystem::path& path, const Array& image) { write_file_atomic(path, to_png(image)); }

Array resize_and_crop(const Array& image, int height, int width, const Fit& fit) {
  check_image(image, 3, "resize_and_crop");
  AKIN_CHECK(height >= 1 && width >= 1, "resize: {}x{} is not a size for an image", height, width);
  const std::int64_t h = image.shape()[0], w = image.shape()[1];
  AKIN_CHECK(fit.crop > 0 && fit.crop <= 1, "resize: a crop of {} is no share of a picture, above 0 and at most 1",
             fit.crop);
  if (h == height && w == width && fit.keeps_size()) return image;
  if (fit.stretch)
    return resize_region(image, 0, 0, static_cast<int>(h), static_cast<int>(w), height, width, fit.filter);
  // Rounded to the nearest whole pixel; cutting before resizing gives the same picture and never a huge one.
  std::int64_t ch = std::clamp<std::int64_t>((2 * w * height + width) / (std::int64_t{2} * width), 1, h);
  std::int64_t cw = std::clamp<std::int64_t>((2 * h * width + height) / (std::int64_t{2} * height), 1, w);
  if (fit.crop < 1) {
    ch = std::max<std::int64_t>(1, std::llround(static_cast<double>(ch) * fit.crop));
    cw = std::max<std::int64_t>(1, std::llround(static_cast<double>(cw) * fit.crop));
  }
  return resize_region(image, static_cast<int>((h - ch) / 2), static_cast<int>((w - cw) / 2), static_cast<int>(ch),
                       static_cast<int>(cw), height, width, fit.filter);
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

Array resize_images(const Array& images, int height, int width, const Fit& fit) {
  AKIN_CHECK(images.dtype() == DType::u8 && images.shape().rank() == 4,
             "resize_images: u8 [N,H,W,C] was expected, found {} {}", name_of(images.dtype()), images.shape().str());
  const std::int64_t n = images.shape()[0], h = images.shape()[1], w = images.shape()[2], c = images.shape()[3];
  if (h == height && w == width && fit.keeps_size()) return images;
  Array out(DType::u8, {n, height, width, c});
  Array one(DType::u8, {h, w, c});
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(one.bytes(), images.bytes() + static_cast<std::size_t>(i) * one.byte_size(), one.byte_size());
    const Array small = resize_and_crop(one, height, width, fit);
    std::memcpy(out.bytes() + static_cast<std::size_t>(i) * small.byte_size(), small.bytes(), small.byte_size());
  }
  return out;
}

}  // namespace akin
