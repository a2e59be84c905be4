#include "engine/io/picture_kind.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "engine/io/bmp.hpp"
#include "engine/io/jpeg.hpp"
#include "engine/io/picture_readers.hpp"
#include "engine/io/png.hpp"

namespace akin {
namespace {

struct Magic {
  std::size_t at;
  std::string_view bytes, kind;
};
using namespace std::string_view_literals;
constexpr Magic kMagics[] = {
    {0, "GIF8"sv, "GIF"},
    {8, "WEBP"sv, "WebP"},
    {0, "II*\0"sv, "TIFF"},
    {0, "MM\0*"sv, "TIFF"},
    {0, "II+\0"sv, "TIFF"},
    {0, "MM\0+"sv, "TIFF"},
    {4, "ftypheic"sv, "HEIC"},
    {4, "ftypheix"sv, "HEIC"},
    {4, "ftyphevc"sv, "HEIC"},
    {4, "ftypmif1"sv, "HEIF"},
    {4, "ftypmsf1"sv, "HEIF"},
    {4, "ftypavif"sv, "AVIF"},
    {4, "ftypavis"sv, "AVIF"},
    {4, "ftypcrx "sv, "raw camera data (CR3)"},
    {0, "IIRO"sv, "raw camera data (ORF)"},
    {0, "IIRS"sv, "raw camera data (ORF)"},
    {0, "IIU\0"sv, "raw camera data (RW2)"},
    {0, "FUJIFILMCCD-RAW"sv, "raw camera data (RAF)"},
    {0, "\0\0\0\x0CjP  "sv, "JPEG 2000"},
    {0, "\xFF\x4F\xFF\x51"sv, "JPEG 2000"},
    {0, "\xFF\x0A"sv, "JPEG XL"},
    {0, "\0\0\0\x0CJXL "sv, "JPEG XL"},
    {0, "8BPS"sv, "PSD"},
    {0, "gimp xcf"sv, "XCF"},
    {0, "\x76\x2F\x31\x01"sv, "OpenEXR"},
    {0, "#?RADIANCE"sv, "Radiance HDR"},
    {0, "DDS "sv, "DDS"},
    {0, "qoif"sv, "QOI"},
};

/// Without regard to case, behind white space and a byte order mark.
bool begins_with(ByteView first, std::string_view text) {
  std::size_t at = first.size() >= 3 && first[0] == 0xEF && first[1] == 0xBB && first[2] == 0xBF ? 3 : 0;
  while (at < first.size() && std::isspace(first[at])) ++at;
  if (first.size() - at < text.size()) return false;
  return std::equal(text.begin(), text.end(), first.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char want, std::uint8_t c) { return want == std::tolower(c); });
}

template <std::size_t N>
bool among(std::string_view ending, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), ending) != std::end(list);
}

}  // namespace

std::string_view kind_by_content(ByteView first) {
  if (is_png(first)) return "PNG";
  if (is_jpeg(first)) return "JPEG";
  if (is_bmp(first)) return "BMP";
  for (const Magic& m : kMagics)
    if (first.size() >= m.at + m.bytes.size() && std::memcmp(first.data() + m.at, m.bytes.data(), m.bytes.size()) == 0)
      return m.kind;
  if (first.size() >= 3 && first[0] == 'P' && first[1] >= '1' && first[1] <= '7' && std::isspace(first[2]))
    return "PNM";
  if (begins_with(first, "<svg")) return "SVG";
  if (begins_with(first, "<!doctype html") || begins_with(first, "<html")) return "HTML page";
  if (begins_with(first, "<?xml")) return "XML file";
  if (begins_with(first, "version https://git-lfs")) return "git-lfs pointer (git lfs pull fetches the picture)";
  return "";
}

bool is_readable_kind(std::string_view kind) {
  const std::vector<std::string>& kinds = readable_kinds();
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

bool is_other_picture(std::string_view kind) {
  if (kind == "PNM" || kind == "SVG") return true;
  return !is_readable_kind(kind) &&
         std::any_of(std::begin(kMagics), std::end(kMagics), [&](const Magic& m) { return m.kind == kind; });
}

std::string lower_ending(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

Ending ending_of(const std::filesystem::path& path) {
  static constexpr std::string_view kRead[] = {".png", ".jpg", ".jpeg", ".jpe",   ".jfif", ".jif",
                                               ".jfi", ".bmp", ".dib",  ".pjpeg", ".pjpg", ".apng"};
  static constexpr std::pair<std::string_view, std::string_view> kOfReaders[] = {
      {".webp", "WebP"}, {".tif", "TIFF"}, {".tiff", "TIFF"}, {".gif", "GIF"}};
  static constexpr std::string_view kNot[] = {".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".svg",
                                              ".svgz", ".pbm",  ".pgm",  ".ppm", ".pnm", ".pam", ".psd", ".xcf",
                                              ".tga",  ".dds",  ".exr",  ".hdr", ".qoi", ".pcx", ".dcm"};
  static constexpr std::string_view kRaw[] = {".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf",
                                              ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw",
                                              ".raw", ".3fr", ".iiq", ".x3f", ".erf", ".mrw", ".kdc"};
  std::string ending = lower_ending(path);
  // .jpg_large, .jpeg:orig, .png?width=300: what downloads make of it; not .jpg~ or .jpg_original, which are copies
  static constexpr std::string_view kTails[] = {"large", "orig", "medium", "small"};
  const std::size_t tail = std::min(ending.find_first_of("_-:?!&", 1), ending.size());
  if (tail == ending.size() || ending.find_first_of("?!&", tail) == tail || among(ending.substr(tail + 1), kTails)) {
    const std::string plain = ending.substr(0, tail);
    if (among(plain, kRead)) return Ending::picture;
    for (const auto& [own, kind] : kOfReaders)
      if (plain == own && is_readable_kind(kind)) return Ending::picture;
  }
  if (ending.size() <= 1 || ending.find_first_not_of("0123456789", 1) == std::string::npos) return Ending::none;
  if (among(ending, kRaw)) return Ending::raw;
  const bool of_reader = std::any_of(std::begin(kOfReaders), std::end(kOfReaders),
                                     [&](const auto& known) { return ending == known.first; });
  return of_reader || among(ending, kNot) ? Ending::unreadable : Ending::other;
}

bool all_called_pictures(const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [](const std::string& name) {
    const Ending ending = ending_of(name);
    return ending == Ending::picture || ending == Ending::unreadable;
  });
}

}  // namespace akin
