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

Seeds seeds() {
  Array grey(DType::u8, {3, 5}), colour(DType::u8, {4, 4, 3}), alpha(DType::u8, {2, 2, 4});
  for (Array* a : {&grey, &colour, &alpha})
    for (std::uint8_t v = 0; std::uint8_t & p : a->as<std::uint8_t>()) p = v += 13;
  Seeds all{{"grey.png", to_png(grey)},         {"colour.png", to_png(colour)},     {"alpha.png", to_png(alpha)},
            {"grey.jpg", jpeg(1, false)},       {"colour.jpg", jpeg(3, false)},     {"four.jpg", jpeg(4, false)},
            {"progressive.jpg", jpeg(1, true)}, {"bits24.bmp", bmp(24, 0, 16)},     {"bits32.bmp", bmp(32, 0, 16)},
            {"bits8.bmp", bmp(8, 16, 8)},       {"bits4.bmp", bmp(4, 16, 8)},       {"bits1.bmp", bmp(1, 2, 8)},
            {"bits16.bmp", bmp(16, 0, 8)},      text_seed("gif", "GIF89a\2\0\2\0"), text_seed("psd", "8BPS\0\1"),
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
                                          "\xff\xd9", "\xff\xda", "\xff\xc4", "\xff\xc0", "\xff\xc2",
                                          "\xff\xdb", "\xff\xdd", "\xff\xe1"}};

}  // namespace akin::fuzz
