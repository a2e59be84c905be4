#include "engine/io/picture_readers.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#ifdef AKIN_HAVE_WEBP
#include "engine/io/webp.hpp"
#endif
#ifdef AKIN_HAVE_TIFF
#include "engine/io/tiff.hpp"
#endif
#ifdef AKIN_HAVE_GIF
#include "engine/io/gif.hpp"
#endif

namespace akin {

std::span<const PictureReader> picture_readers() {
  static constexpr PictureReader kReaders[] = {
#ifdef AKIN_HAVE_WEBP
      {"WebP", "libwebp-dev", read_webp_header, read_webp_pixels},
#else
      {"WebP", "libwebp-dev"},
#endif
#ifdef AKIN_HAVE_TIFF
      {"TIFF", "libtiff-dev", read_tiff_header, read_tiff_pixels},
#else
      {"TIFF", "libtiff-dev"},
#endif
#ifdef AKIN_HAVE_GIF
      {"GIF", "libgif-dev", read_gif_header, read_gif_pixels},
#else
      {"GIF", "libgif-dev"},
#endif
  };
  return kReaders;
}

const PictureReader* reader_of(std::string_view kind) {
  const auto readers = picture_readers();
  const auto at = std::find_if(readers.begin(), readers.end(), [&](const PictureReader& r) { return r.kind == kind; });
  return at != readers.end() ? &*at : nullptr;
}

const std::vector<std::string>& readable_kinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> out{"PNG", "JPEG", "BMP"};
    for (const PictureReader& r : picture_readers())
      if (r.header != nullptr) out.emplace_back(r.kind);
    return out;
  }();
  return kinds;
}

std::string list_of_kinds() {
  const std::vector<std::string>& kinds = readable_kinds();
  return fmt::format("{} or {}", fmt::join(kinds.begin(), kinds.end() - 1, ", "), kinds.back());
}

std::string remedy_of(std::string_view kind) {
  const PictureReader* reader = reader_of(kind);
  return reader != nullptr && reader->header == nullptr
             ? fmt::format("install {} and build akin again, or convert it to PNG or JPEG", reader->package)
             : "convert it to PNG or JPEG";
}

}  // namespace akin
