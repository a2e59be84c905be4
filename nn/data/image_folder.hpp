// A folder of image files: root/<class>/**.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/image.hpp"

namespace akin {

/// What every image becomes. 0 means "as the files are": then all must have one size, and are RGB if any of them is.
/// Otherwise the largest centred part of the wanted aspect ratio is resized (resize_and_crop).
struct ImageFormat {
  int height = 0, width = 0, channels = 0;
  ImageLimits limits = {};
  std::uint64_t max_total_bytes = std::uint64_t{8} << 30;  ///< of all decoded images together
};

/// "32x32": height x width, each from 1 to 4096; nothing for another text.
std::optional<ImageFormat> image_size(std::string_view text);

struct ImageFolder {
  std::vector<std::string> classes;          ///< sorted by bytes
  std::vector<std::filesystem::path> files;  ///< by class, then sorted
  std::vector<int> labels;                   ///< of each file
};

/// Lists the image files (png jpg jpeg bmp, in any case) of each class folder and the folders below it.
/// Hidden names and other files are passed over; linked class folders are followed, links further down are not.
/// Throws where there is no class folder, or a class without an image.
ImageFolder list_image_folder(const std::filesystem::path& root);
/// All image files below the folder, sorted; throws where there is none.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& root);

/// The format with its zeros filled from the headers of the files; throws, naming a file of another size.
ImageFormat settle_format(const std::vector<std::filesystem::path>& files, ImageFormat format);

/// u8 [N,H,W,C]; decodes on all threads. Throws, naming the first broken or unfit file.
Array decode_files(const std::vector<std::filesystem::path>& files, const ImageFormat& format = {});

}  // namespace akin
