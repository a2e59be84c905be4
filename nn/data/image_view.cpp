#include "nn/data/image_view.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace akin {

ImageView view_of(const Array& images) {
  AKIN_CHECK(images.shape().rank() == 4 && images.dtype() == DType::u8, "images: expected u8 [N, H, W, C], found {} {}",
             name_of(images.dtype()), images.shape().str());
  return {images.as<std::uint8_t>().data(), images.shape()[0], images.shape()[1], images.shape()[2], images.shape()[3]};
}

Array pick_images(const Array& images, std::span<const std::int64_t> index) {
  const Shape& s = images.shape();
  Array out(images.dtype(), {static_cast<std::int64_t>(index.size()), s[1], s[2], s[3]});
  const std::size_t each = images.byte_size() / static_cast<std::size_t>(std::max<std::int64_t>(1, s[0]));
  for (std::size_t i = 0; i < index.size(); ++i) {
    AKIN_CHECK(index[i] >= 0 && index[i] < s[0], "images: number {} of {}", index[i], s[0]);
    std::memcpy(out.bytes() + i * each, images.bytes() + static_cast<std::size_t>(index[i]) * each, each);
  }
  return out;
}

Indices all_indices(std::int64_t n) {
  Indices index(static_cast<std::size_t>(n));
  std::iota(index.begin(), index.end(), std::int64_t{0});
  return index;
}

Normalization measure_normalization(const Array& images) {
  return measure_normalization(images, all_indices(images.shape()[0]));
}

Normalization measure_normalization(const Array& images, std::span<const std::int64_t> index) {
  const ImageView view = view_of(images);
  AKIN_CHECK(!index.empty(), "normalisation: no image to measure");
  const auto C = static_cast<std::size_t>(view.C);
  std::vector<double> sum(C), square(C);  // exact: integers below 2^53
  const std::int64_t area = view.H * view.W, pixels = static_cast<std::int64_t>(index.size()) * area;
  for (const std::int64_t image : index) {
    AKIN_CHECK(image >= 0 && image < view.N, "images: number {} of {}", image, view.N);
    const std::uint8_t* p = view.data + image * area * view.C;
    for (std::int64_t i = 0; i < area; ++i)
      for (std::size_t c = 0; c < C; ++c) {
        const double v = *p++;
        sum[c] += v;
        square[c] += v * v;
      }
  }
  Normalization out;
  for (std::size_t c = 0; c < C; ++c) {
    const double mean = sum[c] / static_cast<double>(pixels) / 255;
    const double var = square[c] / static_cast<double>(pixels) / 65025 - mean * mean;
    out.mean.push_back(static_cast<float>(mean));
    out.std.push_back(var > 1e-12 ? static_cast<float>(std::sqrt(var)) : 1.0f);
  }
  return out;
}

}  // namespace akin
