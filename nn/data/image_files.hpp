// Many image files brought to one size and colour.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/io/image.hpp"
#include "nn/data/account.hpp"

namespace akin {

/// What every image becomes. 0 means "as the files are": then all must have one size, and are RGB if any of them is.
/// Otherwise each is fitted to the size (resize_and_crop).
struct ImageFormat {
  int height = 0, width = 0, channels = 0;
  Fit fit = {};
  /// Where no size was asked for and the files have several: this one, if it is not 0.
  int mixed_height = 0, mixed_width = 0;
  bool mixed = false;  ///< set by settle_format where it took that size
  ImageLimits limits = {};
  std::uint64_t max_total_bytes = std::uint64_t{8} << 30;  ///< of all decoded images together
};

/// "32x32": height x width, each from 1 to 4096; nothing for another text.
std::optional<ImageFormat> image_size(std::string_view text);

/// Adds what a picture says of itself to the account of many.
void keep_account(const ImageNotes& notes, const std::string& file, Account& account);

/// The format with its zeros filled from the headers of the files; throws, naming a file of another size. Files that
/// cannot be read are told in `faults` instead, and do not count.
ImageFormat settle_format(const std::vector<std::filesystem::path>& files, ImageFormat format, Faults& faults);

/// u8 [N,H,W,C]; decodes on all threads. What the files say of themselves goes to `account`, with paths from `root` on,
/// and how many of them are of another size or colour than `format` where `asked` did not ask for one. Files that
/// cannot be read are told in `faults`, and their images are left black. `hashes`: of each picture as its file has it,
/// whatever the format (picture_hash).
Array decode_files(const std::vector<std::filesystem::path>& files, const ImageFormat& format, const ImageFormat& asked,
                   const std::filesystem::path& root, Account& account, Faults& faults,
                   std::vector<std::uint64_t>* hashes = nullptr);

/// The same for a `format` without zeros, and every file for itself: errors[i] says why file i cannot be read, and is
/// empty where it was.
Array decode_each(const std::vector<std::filesystem::path>& files, const ImageFormat& format, const ImageFormat& asked,
                  const std::filesystem::path& root, Account& account, std::vector<std::string>& errors,
                  std::vector<std::uint64_t>* hashes = nullptr);

/// The same, throwing the faults and keeping no account.
Array decode_files(const std::vector<std::filesystem::path>& files, const ImageFormat& format = {});

/// Decodes every file and keeps nothing: to find all that cannot be read.
void check_files(const std::vector<std::filesystem::path>& files, const ImageLimits& limits, Faults& faults);

}  // namespace akin
