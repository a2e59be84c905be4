#include "engine/io/tiff.hpp"

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

namespace akin {
namespace {

/// A file in memory, as libtiff sees it, and the first thing that it complains of.
struct Memory {
  ByteView file;
  std::uint64_t at = 0;
  bool beyond = false;
  std::string complaint = {};

  static Memory& of(thandle_t self) { return *static_cast<Memory*>(self); }
  static tmsize_t read(thandle_t self, void* to, tmsize_t n) {
    Memory& m = of(self);
    const std::uint64_t left = m.at < m.file.size() ? m.file.size() - m.at : 0;
    const std::uint64_t give = std::min(left, static_cast<std::uint64_t>(std::max<tmsize_t>(n, 0)));
    m.beyond = m.beyond || give < static_cast<std::uint64_t>(std::max<tmsize_t>(n, 0));
    if (give > 0) std::memcpy(to, m.file.data() + m.at, static_cast<std::size_t>(give));
    m.at += give;
    return static_cast<tmsize_t>(give);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t seek(thandle_t self, toff_t to, int whence) {
    Memory& m = of(self);
    m.at = whence == SEEK_SET ? to : whence == SEEK_CUR ? m.at + to : m.file.size() + to;
    return m.at;
  }
  static int close(thandle_t) { return 0; }
  static toff_t size(thandle_t self) { return of(self).file.size(); }
  static int complain(TIFF*, void* self, const char*, const char* format, std::va_list values) {
    Memory& m = of(self);
    char text[200];
    if (m.complaint.empty() && std::vsnprintf(text, sizeof text, format, values) > 0) m.complaint = text;
    return 1;
  }
  static int pass_over(TIFF*, void*, const char*, const char*, std::va_list) { return 1; }
};

struct Close {
  void operator()(TIFF* t) const { TIFFClose(t); }
  void operator()(TIFFOpenOptions* o) const { TIFFOpenOptionsFree(o); }
};

/// What the first page says of its samples.
struct Page {
  std::uint32_t width = 0, height = 0;
  std::uint16_t bits = 1, samples = 1, photometric = 0, planes = PLANARCONFIG_CONTIG;
  int colours = 1;          ///< samples of a pixel that are no alpha
  bool alpha = false;       ///< the sample behind them
  bool multiplied = false;  ///< the colours are, by alpha
};

class Tiff {
 public:
  Tiff(ByteView file, const std::string& name) : memory_{file}, name_(name) {
    const std::unique_ptr<TIFFOpenOptions, Close> options(TIFFOpenOptionsAlloc());
    AKIN_CHECK(options != nullptr, "{}: not enough memory to read it", name);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t{1} << 30);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), Memory::complain, &memory_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), Memory::pass_over, &memory_);
    tiff_.reset(TIFFClientOpenExt(name.c_str(), "rm", &memory_, Memory::read, Memory::write, Memory::seek,
                                  Memory::close, Memory::size, nullptr, nullptr, options.get()));
    if (tiff_ == nullptr) refuse();
  }

  [[noreturn]] void refuse() const {
    if (memory_.beyond) fail("{}: image ends too early (truncated; fetch it again)", name_);
    fail("{}: image is damaged (libtiff: {}; fetch it again)", name_,
         memory_.complaint.empty() ? "unknown fault" : memory_.complaint);
  }
  [[noreturn]] void cannot(const std::string& what) const {
    fail("{}: a TIFF {} cannot be read; convert it to PNG", name_, what);
  }

  TIFF* get() const { return tiff_.get(); }
  template <class T>
  T field(std::uint32_t tag, T otherwise) const {
    T value{};
    return TIFFGetFieldDefaulted(tiff_.get(), tag, &value) == 1 ? value : otherwise;
  }
  bool is_dng() const {
    const void* version = nullptr;  // four bytes: libtiff gives no count
    return TIFFGetField(tiff_.get(), TIFFTAG_DNGVERSION, &version) == 1;
  }

 private:
  Memory memory_;
  const std::string& name_;
  std::unique_ptr<TIFF, Close> tiff_;
};

void check_compression(const Tiff& tiff) {
  static constexpr std::uint16_t kRead[] = {COMPRESSION_NONE,      COMPRESSION_CCITTRLE,      COMPRESSION_CCITTFAX3,
                                            COMPRESSION_CCITTFAX4, COMPRESSION_LZW,           COMPRESSION_JPEG,
                                            COMPRESSION_DEFLATE,   COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS,
                                            COMPRESSION_LZMA,      COMPRESSION_ZSTD,          COMPRESSION_WEBP};
  const auto packed = tiff.field<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (std::find(std::begin(kRead), std::end(kRead), packed) == std::end(kRead) || TIFFIsCODECConfigured(packed) == 0)
    tiff.cannot(fmt::format("packed in way {}", packed));
}

/// The first page; throws on kinds that are not read.
Page page_of(const Tiff& tiff, const std::string& name) {
  Page p;
  p.width = tiff.field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
  p.height = tiff.field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
  constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
  AKIN_CHECK(p.width > 0 && p.height > 0 && p.width <= kMost && p.height <= kMost, "{}: image of {}x{} pixels", name,
             p.height, p.width);
  p.bits = tiff.field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
  p.samples = tiff.field<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
  p.planes = tiff.field<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  p.photometric = tiff.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, 0xFFFF);
  const auto sort = tiff.field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  constexpr std::uint16_t kLinearRaw = 34892;
  if (p.photometric == PHOTOMETRIC_CFA || p.photometric == kLinearRaw || tiff.is_dng() ||
      (tiff.field<std::uint32_t>(TIFFTAG_SUBFILETYPE, 0) & FILETYPE_REDUCEDIMAGE) != 0)
    tiff.cannot("of raw camera data, or with a thumbnail for its first page,");
  if (p.bits > 16 || sort == SAMPLEFORMAT_IEEEFP) tiff.cannot(fmt::format("of {} bits a sample", p.bits));
  if (sort != SAMPLEFORMAT_UINT && sort != SAMPLEFORMAT_VOID) tiff.cannot("of numbers with a sign");
  check_compression(tiff);
  switch (p.photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_PALETTE:
      p.colours = 1;
      break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR:
      p.colours = 3;
      break;
    case PHOTOMETRIC_SEPARATED:
      p.colours = 4;
      break;
    default:
      tiff.cannot(p.photometric == 0xFFFF ? "that does not say what its colours are"
                                          : fmt::format("of colours of kind {}", p.photometric));
  }
  const bool whole = p.bits == 8 || p.bits == 16;
  if (!whole && (p.colours != 1 || p.samples != 1 || (p.bits != 1 && p.bits != 2 && p.bits != 4)))
    tiff.cannot(fmt::format("of {} samples of {} bits", p.samples, p.bits));
  if (p.samples < p.colours || p.samples > p.colours + 1 || (p.photometric == PHOTOMETRIC_PALETTE && p.bits > 8) ||
      (p.photometric == PHOTOMETRIC_YCBCR && (p.samples != 3 || p.bits != 8)))
    tiff.cannot(fmt::format("of colours of kind {} in {} samples of {} bits", p.photometric, p.samples, p.bits));
  std::uint16_t extras = 0;
  const std::uint16_t* kinds = nullptr;
  if (p.samples > p.colours && TIFFGetField(tiff.get(), TIFFTAG_EXTRASAMPLES, &extras, &kinds) == 1 && extras > 0)
    p.alpha = kinds[0] != EXTRASAMPLE_UNSPECIFIED;
  p.multiplied = p.alpha && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  return p;
}

/// Cuts decoded rows of a strip or tile into samples of 8 bits: the upper ones of 16, the number itself of fewer.
std::uint8_t sample_at(const std::uint8_t* row, std::size_t i, unsigned bits) {
  if (bits == 8) return row[i];
  if (bits == 16) {
    std::uint16_t value = 0;
    std::memcpy(&value, row + 2 * i, 2);
    return static_cast<std::uint8_t>(value >> 8);
  }
  const std::size_t at = i * bits;
  return static_cast<std::uint8_t>(row[at / 8] >> (8 - bits - at % 8) & ((1u << bits) - 1));
}

/// All samples as they are stored, u8 [H,W,samples].
Array samples_of(const Tiff& tiff, const Page& p, const std::string& name) {
  TIFF* t = tiff.get();
  Array out(DType::u8, {p.height, p.width, p.samples});
  const bool tiled = TIFFIsTiled(t) != 0, apart = p.planes == PLANARCONFIG_SEPARATE && p.samples > 1;
  std::uint32_t high = tiled ? 0 : p.height, wide = p.width;
  if (tiled) {
    TIFFGetField(t, TIFFTAG_TILELENGTH, &high);
    TIFFGetField(t, TIFFTAG_TILEWIDTH, &wide);
  } else if (TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &high) != 1) {
    high = p.height;
  }
  if (!tiled) high = std::min(high, p.height);
  AKIN_CHECK(high > 0 && wide > 0, "{}: image is damaged (strips or tiles of no pixels; fetch it again)", name);
  // Tiles reach beyond the picture; a small file shall not ask for all the memory with that.
  constexpr std::uint64_t kSpare = 1 << 18;
  if (std::uint64_t{high} * wide > 4 * std::uint64_t{p.width} * p.height + kSpare)
    tiff.cannot(fmt::format("in tiles of {}x{}", high, wide));
  const std::size_t each = apart ? 1 : p.samples, row_bytes = (std::size_t{wide} * each * p.bits + 7) / 8;
  std::vector<std::uint8_t> block(row_bytes * high);
  for (std::uint16_t plane = 0; plane < (apart ? p.samples : 1); ++plane) {
    for (std::uint32_t y = 0; y < p.height; y += high) {
      for (std::uint32_t x = 0; x < p.width; x += wide) {
        const std::uint32_t rows = std::min(high, p.height - y), columns = std::min(wide, p.width - x);
        const std::size_t needed = row_bytes * (tiled ? high : rows);
        const tmsize_t got =
            tiled ? TIFFReadEncodedTile(t, TIFFComputeTile(t, x, y, 0, plane), block.data(),
                                        static_cast<tmsize_t>(block.size()))
                  : TIFFReadEncodedStrip(t, TIFFComputeStrip(t, y, plane), block.data(), static_cast<tmsize_t>(needed));
        if (got < 0 || static_cast<std::size_t>(got) < needed) tiff.refuse();
        for (std::uint32_t r = 0; r < rows; ++r) {
          const std::uint8_t* from = block.data() + r * row_bytes;
          std::uint8_t* to = out.as<std::uint8_t>().data() + (std::size_t{y + r} * p.width + x) * p.samples + plane;
          for (std::size_t c = 0; c < columns; ++c, to += p.samples)
            for (std::size_t s = 0; s < each; ++s) to[s] = sample_at(from, c * each + s, p.bits);
        }
      }
    }
  }
  return out;
}

/// YCbCr, whose colours lie at a lower resolution: libtiff's own way to RGB.
Array rgb_of(const Tiff& tiff, const Page& p, const std::string& name) {
  char why[1024] = "";
  if (TIFFRGBAImageOK(tiff.get(), why) == 0) tiff.cannot(fmt::format("of this kind ({})", why));
  TIFFSetField(tiff.get(), TIFFTAG_ORIENTATION, static_cast<std::uint16_t>(ORIENTATION_TOPLEFT));  // turned later
  std::vector<std::uint32_t> raster(std::size_t{p.width} * p.height);
  if (TIFFReadRGBAImageOriented(tiff.get(), p.width, p.height, raster.data(), ORIENTATION_TOPLEFT, 1) == 0)
    tiff.refuse();
  Array out(DType::u8, {p.height, p.width, 3});
  std::uint8_t* to = out.as<std::uint8_t>().data();
  for (const std::uint32_t pixel : raster)
    for (const unsigned shift : {0u, 8u, 16u}) *to++ = static_cast<std::uint8_t>(pixel >> shift);
  AKIN_CHECK(out.numel() > 0, "{}: image of no pixels", name);
  return out;
}

/// The table of a palette in 8 bits, red, green and blue; some writers store 8 bits where 16 belong.
std::vector<std::uint8_t> palette_of(const Tiff& tiff, unsigned bits) {
  std::uint16_t* table[3] = {};
  if (TIFFGetField(tiff.get(), TIFFTAG_COLORMAP, &table[0], &table[1], &table[2]) != 1)
    tiff.cannot("with colours of a palette, and none in it,");
  const std::size_t n = std::size_t{1} << bits;
  bool narrow = true;
  for (const std::uint16_t* t : table) narrow = narrow && std::all_of(t, t + n, [](auto v) { return v < 256; });
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i < n; ++i)
    for (const std::uint16_t* t : table) out.push_back(static_cast<std::uint8_t>(narrow ? t[i] : t[i] >> 8));
  return out;
}

}  // namespace

StoredPicture read_tiff_header(ByteView file, const std::string& name) {
  const Tiff tiff(file, name);
  if (file.size() > 10 && file[8] == 'C' && file[9] == 'R') tiff.cannot("of raw camera data (CR2)");
  const Page p = page_of(tiff, name);
  StoredPicture header;
  header.width = static_cast<int>(p.width);
  header.height = static_cast<int>(p.height);
  header.channels = p.photometric == PHOTOMETRIC_MINISBLACK || p.photometric == PHOTOMETRIC_MINISWHITE ? 1 : 3;
  header.bits = p.bits;
  header.alpha = p.alpha;
  header.cmyk = p.photometric == PHOTOMETRIC_SEPARATED;
  const auto turned = tiff.field<std::uint16_t>(TIFFTAG_ORIENTATION, 1);
  header.orientation = turned > 8 ? Orientation{.broken = true} : Orientation{.value = std::max<int>(1, turned)};
  constexpr std::uint32_t kPart = FILETYPE_REDUCEDIMAGE | FILETYPE_MASK;
  if (TIFFLastDirectory(tiff.get()) == 0 && TIFFReadDirectory(tiff.get()) == 1)
    header.pages = (tiff.field<std::uint32_t>(TIFFTAG_SUBFILETYPE, 0) & kPart) == 0;
  return header;
}

Array read_tiff_pixels(ByteView file, const std::string& name, const StoredPicture& header) {
  const Tiff tiff(file, name);
  const Page p = page_of(tiff, name);
  if (p.photometric == PHOTOMETRIC_YCBCR) return rgb_of(tiff, p, name);
  const Array stored = samples_of(tiff, p, name);
  Array out(DType::u8, {header.height, header.width, header.channels + (p.alpha ? 1 : 0)});
  const std::uint8_t* from = stored.as<std::uint8_t>().data();
  std::uint8_t* to = out.as<std::uint8_t>().data();
  std::vector<std::uint8_t> colours;
  if (p.photometric == PHOTOMETRIC_PALETTE) colours = palette_of(tiff, p.bits);
  const unsigned scale = p.bits >= 8 ? 1 : 255 / ((1u << p.bits) - 1);
  for (std::size_t i = 0; i < std::size_t{p.width} * p.height; ++i, from += p.samples) {
    if (!colours.empty()) {
      to = std::copy_n(colours.begin() + 3 * from[0], 3, to);
    } else if (header.cmyk) {  // light that the inks leave
      for (int c = 0; c < 3; ++c) *to++ = static_cast<std::uint8_t>(((255 - from[c]) * (255 - from[3]) + 127) / 255);
    } else if (p.colours == 3) {
      to = std::copy_n(from, 3, to);
    } else {
      const auto grey = static_cast<std::uint8_t>(from[0] * scale);
      *to++ = p.photometric == PHOTOMETRIC_MINISWHITE ? static_cast<std::uint8_t>(255 - grey) : grey;
    }
    const int alpha = p.alpha ? from[p.colours] : 255;
    if (p.multiplied && alpha > 0 && alpha < 255)  // the colour below is what counts
      for (std::uint8_t* c = to - header.channels; c < to; ++c)
        *c = static_cast<std::uint8_t>(std::min(255, 255 * *c / alpha));
    if (p.alpha) *to++ = static_cast<std::uint8_t>(alpha);
  }
  return out;
}

}  // namespace akin
