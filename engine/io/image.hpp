// Image files and images in memory: u8, [H,W,C], C = 1 grey, 3 RGB. Decoding through stb and the
// libraries of picture_readers.hpp, resizing through stb.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

/// Checked before anything is decoded, so that a small file cannot ask for all the memory.
struct ImageLimits {
  std::uint64_t max_file_bytes = std::uint64_t{64} << 20;
  std::uint64_t max_pixels = std::uint64_t{1} << 26;
};

struct ImageInfo {
  int height = 0, width = 0;  ///< of the upright picture
  int channels = 0;           ///< 1 grey, 3 colour; an alpha channel is not counted
};

/// What else an image says of itself or shows: for whoever keeps account of many.
struct ImageNotes {
  ImageInfo shown = {};      ///< whatever it was turned to
  bool turned = false;       ///< brought upright, as its EXIF data say
  bool broken_exif = false;  ///< EXIF data that cannot be read: left as it is
  bool animated = false;     ///< the picture that viewers without animation show was read
  bool pages = false;        ///< the first of several pages was read
  bool transparent = false;  ///< pixels that are not opaque were read as if they were
  bool sixteen_bit = false;  ///< the upper 8 bits of each sample were read
  bool dark = false;         ///< 16 bits, and no sample reaches a quarter of the range
  bool cmyk = false;         ///< inks were turned into light without a colour profile
};

/// Size and colour from the header. PNG, JPEG and BMP are known, and WebP, TIFF and GIF where the build found their
/// libraries (picture_readers.hpp); stb would read more formats, but its readers of those are not sound against damaged
/// files. Throws, naming the image, on an unknown or broken header, on what these formats
/// know and stb does not (12 bits, arithmetic coding ...) and beyond `limits`.
ImageInfo image_info(ByteView file, const std::string& name, const ImageLimits& limits = {});

/// u8 [H,W,channels], channels 1, 3 or 0 (as the file has it), upright as EXIF data say. Grey becomes RGB by copying,
/// RGB grey by (77 R + 150 G + 29 B) / 256; alpha is dropped; 16 bits become 8; gamma and colour profiles do not count.
/// Throws, naming the image, also where the file ends too early or a PNG check sum is wrong.
Array decode_image(ByteView file, const std::string& name, int channels = 0, const ImageLimits& limits = {},
                   ImageNotes* notes = nullptr);
Array read_image(const std::filesystem::path& path, int channels = 0, const ImageLimits& limits = {},
                 ImageNotes* notes = nullptr);

/// PNG of a u8 [H,W] or [H,W,C] image, C = 1, 3 or 4.
Bytes to_png(const Array& image);
/// JPEG of a u8 [H,W] or [H,W,C] image, C = 1 or 3; quality 1 to 100. For people: what is read back differs a little.
Bytes to_jpeg(const Array& image, int quality);
void write_png(const std::filesystem::path& path, const Array& image);

/// Of resizing; both are widened where they shrink (antialiased) and repeat the picture's edges. bilinear is a
/// triangle, bicubic Catmull and Rom's cubic, with a = -1/2.
enum class Filter { bilinear, bicubic };

/// How a picture is brought to another size.
struct Fit {
  double crop = 1;  ///< share, in 0..1, of the sides of the largest centred part of the wanted shape that is cut out
  bool stretch = false;  ///< nothing is cut: the whole picture is squeezed into the wanted shape
  Filter filter = Filter::bilinear;

  bool operator==(const Fit&) const = default;
  /// Whether a picture that has the wanted size already is left as it is.
  bool keeps_size() const { return stretch || crop == 1; }
};

/// u8 [H,W,C] to [height,width,C]. With a plain Fit the largest centred part of the wanted aspect ratio, resized
/// bilinearly: what "shorter side, then centre crop" gives; crop = 224.0 / 256 is torchvision's and timm's.
Array resize_and_crop(const Array& image, int height, int width, const Fit& fit = {});
/// u8 [...,1] to [...,3] and back, as decode_image does.
Array convert_channels(const Array& images, int channels);
/// resize_and_crop of each image of u8 [N,H,W,C].
Array resize_images(const Array& images, int height, int width, const Fit& fit = {});

}  // namespace akin
