#include "distill/report/image.hpp"

#include <algorithm>

#include "distill/report/html.hpp"
#include "engine/io/image.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

constexpr int kJpegQuality = 85;

Array array_of(const SampleImage& image) {
  const bool good = image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3) &&
                    image.pixels.size() == static_cast<std::size_t>(image.height) *
                                               static_cast<std::size_t>(image.width) *
                                               static_cast<std::size_t>(image.channels);
  AKIN_CHECK(good, "report: sample image {} has {} bytes for {} x {} x {}, expected height x width x 1 or 3 channels",
             image.index, image.pixels.size(), image.height, image.width, image.channels);
  return Array::from(image.pixels, Shape{image.height, image.width, image.channels});
}

}  // namespace

std::vector<std::uint8_t> encode_sample(const SampleImage& image) { return to_png(array_of(image)); }

std::string data_url(const SampleImage& image) {
  const Array array = array_of(image);
  const std::vector<std::uint8_t> png = to_png(array), jpeg = to_jpeg(array, kJpegQuality);
  return jpeg.size() < png.size() ? "data:image/jpeg;base64," + base64_encode(jpeg)
                                  : "data:image/png;base64," + base64_encode(png);
}

void decode_sample(std::span<const std::uint8_t> png, SampleImage& image, const std::string& where) {
  const Array array = decode_image(png, where);
  const Shape& shape = array.shape();
  AKIN_CHECK(shape[2] == 1 || shape[2] == 3, "{}: image of {} channels, expected 1 or 3", where, shape[2]);
  image.height = static_cast<int>(shape[0]);
  image.width = static_cast<int>(shape[1]);
  image.channels = static_cast<int>(shape[2]);
  const auto pixels = array.as<std::uint8_t>();
  image.pixels.assign(pixels.begin(), pixels.end());
}

}  // namespace akin
