// Image files: header and pixels agree, sizes stay within the limits, and what is written as PNG is read equal.
#include <zlib.h>

#include "engine/io/image.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace akin::fuzz {

namespace {

constexpr ImageLimits kLimits{.max_file_bytes = 1 << 16, .max_pixels = 1 << 14};

std::uint32_t big_endian(ByteView b) {
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

/// The check sums of a PNG made right, so that what lies behind them is reached.
Bytes with_sums(ByteView file) {
  Bytes out(file.begin(), file.end());
  for (std::size_t at = 8; at + 12 <= out.size();) {
    const std::size_t n = big_endian(ByteView(out).subspan(at, 4));
    if (n > out.size() - at - 12) break;
    const auto sum = static_cast<std::uint32_t>(::crc32(0, out.data() + at + 4, static_cast<uInt>(n + 4)));
    for (std::size_t i = 0; i < 4; ++i) out[at + 8 + n + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += n + 12;
  }
  return out;
}

void check(ByteView file) {
  const auto info = accepted([&] { return image_info(file, "input", kLimits); });
  if (info)
    require(
        info->height > 0 && info->width > 0 && (info->channels == 1 || info->channels == 3) &&
            static_cast<std::uint64_t>(info->height) * static_cast<std::uint64_t>(info->width) <= kLimits.max_pixels,
        "a size out of the limits");
  for (const int channels : {0, 1, 3}) {
    const auto image = accepted([&] { return decode_image(file, "input", channels, kLimits); });
    if (!image) continue;
    require(info.has_value(), "pixels without a header");
    const Shape& s = image->shape();
    require(s.rank() == 3 && s[2] == (channels == 0 ? info->channels : channels) &&
                s[0] * s[1] == std::int64_t{info->height} * info->width,
            "another size than the header's");
    if (channels == 1) continue;
    const Bytes png = must("writing what was read", [&] { return to_png(*image); });
    require(
        same_bits(*image, must("reading what was written", [&] { return decode_image(png, "written", 0, kLimits); })),
        "read again it is another picture");
    const Array small = must("resizing", [&] { return resize_and_crop(*image, 5, 7); });
    require(small.shape() == Shape{5, 7, s[2]}, "resized to another size");
    must("changing the channels", [&] { return convert_channels(small, s[2] == 1 ? 3 : 1); });
  }
}

void run(ByteView input) {
  check(input);
  if (input.size() > 8 && input[0] == 0x89) check(with_sums(input));
}

/// A JPEG of one grey or colour block, from the standard's own tables.
Bytes jpeg(int components, bool progressive) {
  Bytes out = {0xff, 0xd8};
  const auto segment = [&](std::uint8_t mark, Bytes body) {
    const std::size_t n = body.size() + 2;
    out.insert(out.end(), {0xff, mark, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)});
    out.insert(out.end(), body.begin(), body.end());
  };
  segment(0xe1, {'E',  'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
                 0x12, 1,   3,   0,   1, 0, 0,   0,   6,  0, 0, 0, 0, 0, 0, 0});
  Bytes table(65, 1);
  table[0] = 0;
  segment(0xdb, table);
  const auto c = static_cast<std::uint8_t>(components);
  Bytes frame = {8, 0, 8, 0, 8, c}, scan = {c};
  for (std::uint8_t i = 1; i <= c; ++i) {
    frame.insert(frame.end(), {i, 0x11, 0});
    scan.insert(scan.end(), {i, 0});
  }
  segment(progressive ? 0xc2 : 0xc0, frame);
  segment(0xc4, {0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  scan.insert(scan.end(), {0, static_cast<std::uint8_t>(progressive ? 0 : 63), 0});
  segment(0xda, scan);
  out.insert(out.end(), {0, 0, 0xff, 0xd9});
  return out;
}

Bytes bmp(std::uint8_t bits, std::size_t palette, std::size_t data) {
  Bytes out = {'B', 'M', 0, 0,  0, 0, 0,    0, 0, 0, static_cast<std::uint8_t>(54 + 4 * palette),
               0,   0,   0, 40, 0, 0, 0,    2, 0, 0, 0,
               2,   0,   0, 0,  1, 0, bits, 0};
  out.resize(54);
  for (std::size_t i = 0; i < 4 * palette + data; ++i) out.push_back(static_cast<std::uint8_t>(i * 11));
  return out;
}

/// 2x2 grey, in a strip of its own kind: photometric, bits and packing are for the fuzzer to change.
Bytes tiff(std::uint8_t bits, std::uint8_t photometric, std::uint8_t samples) {
  Bytes out = {'I', 'I', 42, 0, 8, 0, 0, 0, 10, 0};
  const auto entry = [&](std::uint16_t tag, std::uint8_t type, std::uint8_t value) {
    out.insert(out.end(), {static_cast<std::uint8_t>(tag), static_cast<std::uint8_t>(tag >> 8), type, 0, 1, 0, 0, 0,
                           value, 0, 0, 0});
  };
  constexpr std::uint8_t kPixelsAt = 8 + 2 + 10 * 12 + 4;
  entry(256, 3, 2);
  entry(257, 3, 2);
  entry(258, 3, bits);
  entry(259, 3, 1);
  entry(262, 3, photometric);
  entry(273, 4, kPixelsAt);
  entry(274, 3, 6);
  entry(277, 3, samples);
  entry(278, 3, 2);
  entry(279, 4, static_cast<std::uint8_t>(2 * ((2 * bits * samples + 7) / 8)));
  out.resize(kPixelsAt);
  for (std::uint8_t i = 0; i < 32; ++i) out.push_back(static_cast<std::uint8_t>(i * 7));
  return out;
}

Bytes gif() {
  return {'G', 'I',  'F', '8', '9', 'a', 3, 0, 3,   0, 0x81, 0, 0, 0, 0, 0, 80, 80, 80, 160, 160,  160,  255, 255, 255,
          '!', 0xF9, 4,   1,   0,   0,   1, 0, ',', 0, 0,    0, 0, 2, 0, 2, 0,  0,  2,  3,   0x44, 0x54, 5,   0,   ';'};
}

/// 3x5, lossless.
Bytes webp() {
  return {0x52, 0x49, 0x46, 0x46, 0x6a, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x4c, 0x5e,
          0x00, 0x00, 0x00, 0x2f, 0x04, 0x80, 0x00, 0x00, 0x77, 0xa0, 0x28, 0x92, 0xa4, 0xe6, 0x72, 0x00, 0xfc,
          0x1b, 0xc1, 0x13, 0x5f, 0x14, 0xc0, 0xda, 0x50, 0x1a, 0x00, 0x68, 0x42, 0xa2, 0x91, 0xf8, 0x3f, 0x71,
          0xa0, 0xce, 0x55, 0x41, 0xdb, 0x36, 0x4c, 0xbb, 0x0b, 0x72, 0xe8, 0xc7, 0xe3, 0xcd, 0x7f, 0x6c, 0xa9,
          0xcf, 0x03, 0x7c, 0xf0, 0x4d, 0xf8, 0x64, 0xe3, 0x29, 0x1b, 0x00, 0x05, 0xa9, 0x4f, 0x02, 0x08, 0xf7,
          0x8f, 0x19, 0x69, 0x55, 0x75, 0xb4, 0x41, 0x31, 0x23, 0x49, 0x50, 0xe6, 0x79, 0x70, 0x8c, 0xce, 0x48,
          0x0c, 0xcf, 0x72, 0xad, 0x62, 0x44, 0xff, 0xa3, 0x70, 0x5e, 0x3b, 0x02};
}

Seeds seeds() {
  Array grey(DType::u8, {3, 5}), colour(DType::u8, {4, 4, 3}), alpha(DType::u8, {2, 2, 4});
  for (Array* a : {&grey, &colour, &alpha})
    for (std::uint8_t v = 0; std::uint8_t & p : a->as<std::uint8_t>()) p = v += 13;
  Seeds all{{"grey.png", to_png(grey)},         {"colour.png", to_png(colour)},
            {"alpha.png", to_png(alpha)},       {"grey.jpg", jpeg(1, false)},
            {"colour.jpg", jpeg(3, false)},     {"four.jpg", jpeg(4, false)},
            {"progressive.jpg", jpeg(1, true)}, {"bits24.bmp", bmp(24, 0, 16)},
            {"bits32.bmp", bmp(32, 0, 16)},     {"bits8.bmp", bmp(8, 16, 8)},
            {"bits4.bmp", bmp(4, 16, 8)},       {"bits1.bmp", bmp(1, 2, 8)},
            {"bits16.bmp", bmp(16, 0, 8)},      {"two.gif", gif()},
            {"lossless.webp", webp()},          {"grey.tif", tiff(8, 1, 1)},
            {"bits1.tif", tiff(1, 0, 1)},       {"bits16.tif", tiff(16, 1, 1)},
            {"rgb.tif", tiff(8, 2, 3)},         {"inks.tif", tiff(8, 5, 4)},
            {"palette.tif", tiff(4, 3, 1)},     text_seed("psd", "8BPS\0\1"),
            text_seed("pnm", "P6 2 2 255\n")};
  // Other kinds of PNG: their header's depth and colour type, behind which the fuzzer finds the rest.
  for (const auto& [depth, type] :
       {std::pair{1, 0}, {2, 0}, {4, 0}, {16, 0}, {16, 2}, {4, 3}, {8, 3}, {8, 4}, {16, 6}}) {
    Bytes png = to_png(grey);
    png[24] = static_cast<std::uint8_t>(depth);
    png[25] = static_cast<std::uint8_t>(type);
    all.push_back({fmt::format("depth{}_type{}.png", depth, type), with_sums(png)});
  }
  return all;
}

}  // namespace

const Target target{
    .run = run, .seeds = seeds, .words = {"IHDR",     "PLTE",     "tRNS",     "IDAT",     "IEND",
                                          "CgBI",     "acTL",     "eXIf",     "iCCP",     "\x89PNG\r\n\x1a\n",
                                          "Exif",     "JFIF",     "Adobe",    "BM",       "\xff\xd8",
                                          "GIF89a",   "RIFF",     "WEBPVP8X", "VP8L",     "ANMF",
                                          "ALPH",     "\xff\xd9", "\xff\xda", "\xff\xc4", "\xff\xc0",
                                          "\xff\xc2", "\xff\xdb", "\xff\xdd", "\xff\xe1"}};

}  // namespace akin::fuzz
