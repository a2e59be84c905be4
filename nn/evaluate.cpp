#include "nn/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/io/image.hpp"
#include "kernels/softmax_ce.hpp"
#include "nn/image_batch.hpp"

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

Outputs run_network(Context& ctx, Network& network, const Array& images, std::span<const std::int64_t> index,
                    const Normalization& normalization, const RunOptions& options) {
  const TapeScope off(ctx, nullptr);
  const ImageView all = view_of(images);
  const bool resized = options.height > 0 && (all.H != options.height || all.W != options.width);
  const std::int64_t area = resized ? options.height * options.width : all.H * all.W;
  const std::int64_t batch = options.batch > 0 ? options.batch : std::clamp<std::int64_t>((256 << 12) / area, 8, 256);
  const auto N = static_cast<std::int64_t>(index.size());
  const std::int64_t D = network.feature_size(), C = network.architecture().classes;
  Outputs out{Array(DType::f32, {N, D}), Array(DType::f32, {N, C})};
  if (options.progress) options.progress(0);  // so that rates count from here
  for (std::int64_t i = 0; i < N; i += batch) {
    const std::int64_t n = std::min(batch, N - i);
    const auto part = index.subspan(static_cast<std::size_t>(i), static_cast<std::size_t>(n));
    std::vector<AugmentItem> items;
    for (const std::int64_t image : part) items.push_back({image, 0});
    Array scaled;
    if (resized) {
      scaled =
          resize_images(pick_images(images, part), static_cast<int>(options.height), static_cast<int>(options.width));
      for (std::int64_t k = 0; k < n; ++k) items[static_cast<std::size_t>(k)].image = k;
    }
    const ImageView view = resized ? view_of(scaled) : all;
    const Tensor x =
        augment_images(ctx, view, upload(ctx, gather_images(ctx, view, items)), 0, n, {}, normalization, 0);
    const Tensor f = network.features(ctx, x, false), seen = network.pooled(ctx, f);
    const Tensor z = network.head(ctx, f);
    ops::convert(ctx, seen, DType::f32).copy_to(out.features.bytes() + static_cast<std::size_t>(i * D) * sizeof(float));
    ops::convert(ctx, z, DType::f32).copy_to(out.logits.bytes() + static_cast<std::size_t>(i * C) * sizeof(float));
    if (options.progress) options.progress(i + n);
  }
  return out;
}

std::vector<int> argmax_rows(const Array& logits) {
  const std::int64_t N = logits.shape()[0], C = logits.shape()[1];
  const auto z = logits.as<float>();
  std::vector<int> out;
  for (std::int64_t n = 0; n < N; ++n) {
    const auto row = z.subspan(static_cast<std::size_t>(n * C), static_cast<std::size_t>(C));
    AKIN_CHECK(std::none_of(row.begin(), row.end(), [](float v) { return std::isnan(v); }),
               "prediction: the logits of image {} are NaN (broken weights?)", n);
    out.push_back(static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  return out;
}

Array softmax_rows(const Array& logits) {
  Array p(DType::f32, logits.shape());
  softmax<float>(logits.shape()[0], logits.shape()[1], 1.0f, logits.as<float>().data(), p.as<float>().data());
  return p;
}

double accuracy(std::span<const int> predictions, std::span<const int> labels) {
  AKIN_CHECK(predictions.size() == labels.size() && !labels.empty(), "accuracy: {} predictions for {} labels",
             predictions.size(), labels.size());
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predictions[i] == labels[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

Normalization measure_normalization(const Array& images) {
  const ImageView view = view_of(images);
  AKIN_CHECK(view.N > 0, "normalisation: no image to measure");
  const auto C = static_cast<std::size_t>(view.C);
  std::vector<double> sum(C), square(C);  // exact: integers below 2^53
  const std::int64_t pixels = view.N * view.H * view.W;
  for (std::int64_t i = 0; i < pixels; ++i)
    for (std::size_t c = 0; c < C; ++c) {
      const double v = view.data[static_cast<std::size_t>(i) * C + c];
      sum[c] += v;
      square[c] += v * v;
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
