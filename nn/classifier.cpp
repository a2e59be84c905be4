#include "nn/classifier.hpp"

#include <algorithm>
#include <memory>

#include "nn/evaluate.hpp"
#include "nn/loader.hpp"
#include "nn/split.hpp"

namespace akin {

LabelledBatch make_batch(Context& ctx, const Array& images, std::span<const int> labels,
                         std::span<const AugmentItem> items, const AugmentOptions& augment,
                         const Normalization& normalization, std::uint64_t seed) {
  const ImageView view = view_of(images);
  const auto B = static_cast<std::int64_t>(items.size());
  LabelledBatch batch{Tensor::empty(ctx, {B, view.H, view.W, static_cast<std::int64_t>(normalization.mean.size())}),
                      Tensor::empty(ctx, {B}, DType::i64)};
  spec::augment(view, items, augment, normalization, seed, batch.images.data<float>());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto at = static_cast<std::size_t>(items[i].image);
    batch.targets.data<std::int64_t>()[i] = at < labels.size() ? labels[at] : -1;
  }
  return batch;
}

TrainedClassifier train_classifier(Context& ctx, const ImageSet& set, ClassifierOptions options, TrainHooks hooks) {
  constexpr std::uint32_t kOrder = 0x6f726472;  // "ordr"
  const std::int64_t N = set.images.shape()[0], side = set.images.shape()[1];
  AKIN_CHECK(options.epochs >= 1 && options.batch >= 2, "training: {} epochs of batches of {} (at least 1 and 2)",
             options.epochs, options.batch);
  AKIN_CHECK(set.classes.size() >= 2, "{}: a classifier needs at least two classes, found {}", set.source,
             set.classes.size());
  TrainedClassifier out;
  ModelInfo& info = out.model.info;
  info.architecture = options.architecture;
  info.architecture.channels = set.images.shape()[3];
  info.architecture.classes = static_cast<std::int64_t>(set.classes.size());
  info.height = side;
  info.width = set.images.shape()[2];
  info.classes = set.classes;
  info.task = set.name;
  info.normalization = measure_normalization(set.images);
  out.model.network = make_network(ctx, info.architecture);
  Network& network = *out.model.network;
  info.architecture = network.architecture();
  initialize(network.parameters(), options.seed);

  options.train.schedule.steps = std::max<std::int64_t>(1, options.epochs * N / options.batch);
  const AugmentOptions augment = options.augment ? augment_weak(side, options.flip) : AugmentOptions{};
  BatchOrder order(all_indices(N), options.batch, options.seed, kOrder);
  std::unique_ptr<Loader<LabelledBatch>> loader;
  hooks.begin = [&](std::int64_t first) {
    loader = std::make_unique<Loader<LabelledBatch>>(
        [&](std::int64_t t) {
          return make_batch(ctx, set.images, set.labels, order.batch(t), augment, info.normalization, options.seed);
        },
        first);
  };
  hooks.loss = [&](std::int64_t) {
    const LabelledBatch b = loader->next();
    return ops::mean(ctx, ops::softmax_ce(ctx, network.logits(ctx, b.images, true), b.targets));
  };
  out.result = train(ctx, network.parameters(), options.train, hooks);
  loader.reset();  // its thread reads `info`, which leaves with `out`
  return out;
}

std::vector<int> predict(Context& ctx, Model& model, const ImageSet& set,
                         const std::function<void(std::int64_t)>& progress) {
  const Architecture& a = model.info.architecture;
  AKIN_CHECK(a.classes == static_cast<std::int64_t>(set.classes.size()),
             "the model tells {} classes apart, '{}' has {}", a.classes, set.name, set.classes.size());
  AKIN_CHECK(a.channels == set.images.shape()[3], "the model expects images of {} channels, '{}' has {}", a.channels,
             set.name, set.images.shape()[3]);
  return argmax_rows(run_network(ctx, *model.network, set.images, all_indices(set.images.shape()[0]),
                                 model.info.normalization, 256, progress)
                         .logits);
}

double evaluate_model(Context& ctx, Model& model, const ImageSet& set) {
  return accuracy(predict(ctx, model, set), set.labels);
}

}  // namespace akin
