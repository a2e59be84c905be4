// What kind of picture a file is, by its first bytes and by its name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.hpp"

namespace akin {

inline constexpr std::size_t kKindBytes = 64;  ///< as many first bytes are enough for kind_by_content

/// "PNG", "JPEG", "WebP", "TIFF" ...: pictures; "HTML page", "text": what is often found under the name of a picture;
/// "" for anything else. Raw data of some cameras are "TIFF" as well: decoding refuses them.
std::string_view kind_by_content(ByteView first);
/// What this build's decode_image reads (picture_readers.hpp).
bool is_readable_kind(std::string_view kind);
/// A picture of a kind that is not read.
bool is_other_picture(std::string_view kind);

enum class Ending {
  picture,     ///< of a kind that is read: .png, .jpg, .jpeg, .jfif, .bmp, .jpg_large, .webp ...
  none,        ///< no ending, or one of digits: the content tells
  unreadable,  ///< a picture of another kind: .heic, .svg ..., .webp where the build has no reader of it
  raw,         ///< a camera's raw data, whose content may look like a TIFF's
  other
};
/// In any case of letters.
Ending ending_of(const std::filesystem::path& path);
/// Whether each name ends as one of a picture does, of a kind that is read or not.
bool all_called_pictures(const std::vector<std::string>& names);
/// The ending in lower case, with its dot; "" where there is none.
std::string lower_ending(const std::filesystem::path& path);

}  // namespace akin
