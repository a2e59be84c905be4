#include "nn/data/image_batch.hpp"

#include <cstring>
#include <vector>

#include "engine/launch_on.hpp"
#include "nn/data/image_view.hpp"

namespace akin {

ImageParts gather_images(Context& ctx, const ImageView& set, std::span<const AugmentItem> items) {
  const auto B = static_cast<std::int64_t>(items.size());
  for (const AugmentItem& i : items)
    AKIN_CHECK(i.image >= 0 && i.image < set.N, "images: number {} of a set of {}", i.image, set.N);
  ImageParts parts{Tensor::on_host(ctx, {B, sizeof(AugmentItem)}, DType::u8), Tensor()};
  if (B > 0) std::memcpy(parts.items.raw(), items.data(), parts.items.bytes());
  if (ctx.gpu == nullptr) return parts;
  parts.pixels = Tensor::on_host(ctx, {B, set.H, set.W, set.C}, DType::u8);
  const auto bytes = static_cast<std::size_t>(set.H * set.W * set.C);
  auto* to = parts.pixels.data<std::uint8_t>();
  for (const AugmentItem& i : items) {
    std::memcpy(to, set.data + static_cast<std::size_t>(i.image) * bytes, bytes);
    to += bytes;
  }
  return parts;
}

ImageParts upload(Context& ctx, const ImageParts& parts) {
  if (ctx.gpu == nullptr) return parts;
  ImageParts there{Tensor::empty(ctx, parts.items.shape(), DType::u8),
                   Tensor::empty(ctx, parts.pixels.shape(), DType::u8)};
  there.items.copy_from(parts.items.raw());
  there.pixels.copy_from(parts.pixels.raw());
  return there;
}

Tensor augment_images(Context& ctx, const ImageView& set, const ImageParts& parts, std::int64_t begin, std::int64_t end,
                      const AugmentOptions& options, const Normalization& normalization, std::uint64_t seed) {
  const std::int64_t B = end - begin, K = static_cast<std::int64_t>(normalization.mean.size());
  const auto* items = reinterpret_cast<const AugmentItem*>(parts.items.raw()) + begin;
  Tensor x = Tensor::empty(ctx, {B, set.H, set.W, K}, ctx.activations);
  const bool gathered = ctx.gpu != nullptr;  // the batch's own pixels; else the set is at hand
  ImageView rows = set;
  if (gathered) {
    rows.data = parts.pixels.data<std::uint8_t>() + begin * set.H * set.W * set.C;
    rows.N = B;
  }
  const Work work = augment_work(set, B, K, options.affine(), size_of(ctx.activations));
  launch_on(
      ctx, ctx.activations,
      {"augment", work}, [&]<class T>(const auto& stream, T) requires(sizeof(T) <= sizeof(float)) {
        augment(stream, rows, gathered, items, B, options, normalization, seed, x.data<T>());
      });
  if (ctx.profiler != nullptr) ctx.profiler->settle();
  return x;
}

LabelledBatches::LabelledBatches(Context& ctx, const Array& images, std::span<const int> labels, BatchOrder order,
                                 const AugmentOptions& augment, Normalization normalization, std::uint64_t seed,
                                 const Slices& slices)
    : ctx_(ctx),
      images_(view_of(images)),
      labels_(labels),
      order_(std::move(order)),
      augment_(augment),
      normalization_(std::move(normalization)),
      seed_(seed),
      slices_(slices) {}

LabelledHost LabelledBatches::make(std::int64_t i) {
  const std::vector<AugmentItem> items = order_.batch(slices_, i);
  LabelledHost host{gather_images(ctx_, images_, items),
                    Tensor::on_host(ctx_, {static_cast<std::int64_t>(items.size())}, DType::i64)};
  for (std::size_t k = 0; k < items.size(); ++k) {
    const auto at = static_cast<std::size_t>(items[k].image);
    host.targets.data<std::int64_t>()[k] = at < labels_.size() ? labels_[at] : -1;
  }
  return host;
}

LabelledBatch LabelledBatches::finish(const LabelledHost& host) const {
  const std::int64_t B = host.targets.dim(0);
  return {augment_images(ctx_, images_, host.images, 0, B, augment_, normalization_, seed_), host.targets};
}

std::unique_ptr<LabelledFeed> LabelledBatches::feed(std::int64_t first) {
  return std::make_unique<LabelledFeed>(
      ctx_, [this](std::int64_t t) { return make(t); }, [this](const LabelledHost& h) { return finish(h); },
      first * slices_.here);
}

}  // namespace akin
