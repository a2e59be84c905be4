#include "nn/evaluate.hpp"

#include <algorithm>
#include <cmath>

#include "engine/profile.hpp"
#include "engine/ranks.hpp"
#include "kernels/softmax_ce.hpp"
#include "nn/data/image_batch.hpp"

namespace akin {
namespace {

/// The first n rows of t [B, columns] as f32.
void take_rows(Context& ctx, const Tensor& t, std::int64_t n, std::int64_t columns, float* to) {
  const Tensor wide = ops::convert(ctx, t, DType::f32);
  if (wide.shape()[0] == n) return wide.copy_to(to);
  Array all(DType::f32, wide.shape());
  wide.copy_to(all.bytes());
  std::copy_n(all.as<float>().data(), n * columns, to);
}

}  // namespace

// On a processor as many as 8 of 224x224: their maps stay in a cache from layer to layer (MobileNets at 160 and 224:
// 0.85 of the time that 20 at once take, one thread), and there is work for several threads.
std::int64_t images_at_once(Device device, std::int64_t area) {
  const std::int64_t pixels = device == Device::cpu ? 8 * 224 * 224 : 256 * 64 * 64;
  return std::clamp<std::int64_t>(pixels / area, device == Device::cpu ? 4 : 8, 256);
}

void share_rows(Ranks& ranks, const std::function<std::int64_t(std::int64_t rank)>& begin, Array& values) {
  const std::int64_t N = values.shape()[0], width = N == 0 ? 0 : values.numel() / N;
  std::int64_t most = 0;
  for (std::int64_t r = 0; r < ranks.size(); ++r) most = std::max(most, begin(r + 1) - begin(r));
  if (most * width == 0) return;
  const auto floats = static_cast<std::size_t>(most * width);
  std::vector<float> own(floats), all(floats * static_cast<std::size_t>(ranks.size()));
  float* const rows = values.as<float>().data();
  std::copy(rows + begin(ranks.rank()) * width, rows + begin(ranks.rank() + 1) * width, own.begin());
  ranks.all_gather(own.data(), all.data(), floats * sizeof(float), "the outputs of a network");
  for (std::int64_t r = 0; r < ranks.size(); ++r)
    std::copy_n(all.data() + r * most * width, (begin(r + 1) - begin(r)) * width, rows + begin(r) * width);
}

Outputs run_network(Context& ctx, const Network& network, const Array& images, std::span<const std::int64_t> index,
                    const Normalization& normalization, const RunOptions& options) {
  const TapeScope off(ctx, nullptr);
  if (ctx.profiler != nullptr) tell_layers(ctx, network.parameters());
  const ImageView all = view_of(images);
  const bool resized =
      options.height > 0 && (all.H != options.height || all.W != options.width || !options.fit.keeps_size());
  const std::int64_t area = resized ? options.height * options.width : all.H * all.W;
  const std::int64_t batch = options.batch > 0 ? options.batch : images_at_once(ctx.device, area);
  const auto N = static_cast<std::int64_t>(index.size());
  const std::int64_t D = network.feature_size(), C = network.architecture().classes;
  Outputs out{Array(DType::f32, {N, D}), Array(DType::f32, {N, C})};
  if (options.progress) options.progress(0);  // so that rates count from here
  const std::int64_t ranks = ctx.ranks == nullptr ? 1 : ctx.ranks->size(),
                     rank = ctx.ranks == nullptr ? 0 : ctx.ranks->rank();
  const auto begin = [&](std::int64_t r) { return std::min(N, (N + batch - 1) / batch * r / ranks * batch); };
  for (std::int64_t i = begin(rank); i < begin(rank + 1); i += batch) {
    const std::int64_t n = std::min(batch, N - i), rows = options.whole_batches ? batch : n;
    const auto part = index.subspan(static_cast<std::size_t>(i), static_cast<std::size_t>(n));
    std::vector<AugmentItem> items;
    for (const std::int64_t image : part) items.push_back({image, 0});
    Array scaled;
    if (resized) {
      scaled = resize_images(pick_images(images, part), static_cast<int>(options.height),
                             static_cast<int>(options.width), options.fit);
      for (std::int64_t k = 0; k < n; ++k) items[static_cast<std::size_t>(k)].image = k;
    }
    items.resize(static_cast<std::size_t>(rows), items.back());
    const ImageView view = resized ? view_of(scaled) : all;
    const Tensor x =
        augment_images(ctx, view, upload(ctx, gather_images(ctx, view, items)), 0, rows, {}, normalization, 0);
    const Tensor f = network.features(ctx, x, false), seen = network.pooled(ctx, f);
    const Tensor z = options.head == Head::labels   ? network.head(ctx, f)
                     : options.head == Head::taught ? network.taught_head()(ctx, seen)
                                                    : network.predict(ctx, f);
    take_rows(ctx, seen, n, D, out.features.as<float>().data() + i * D);
    take_rows(ctx, z, n, C, out.logits.as<float>().data() + i * C);
    if (options.progress) options.progress(std::min(N, (i + n - begin(rank)) * ranks));
  }
  if (ctx.ranks == nullptr) return out;
  share_rows(*ctx.ranks, begin, out.features);
  share_rows(*ctx.ranks, begin, out.logits);
  if (options.progress) options.progress(N);
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

}  // namespace akin
