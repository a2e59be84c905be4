#include "nn/classifier.hpp"

#include <algorithm>
#include <memory>

#include "engine/profile.hpp"
#include "nn/data/image_batch.hpp"
#include "nn/data/split.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

TrainedClassifier train_classifier(Context& ctx, const ImageSet& set, ClassifierOptions options, TrainHooks hooks,
                                   const Place& place) {
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
  const AugmentOptions augment = options.augment ? augment_weak(side, options.flip, options.shift) : AugmentOptions{};
  options.train.batch = options.batch;
  const Slices slices = slices_of(ctx, options.train.slices);
  AKIN_CHECK(options.batch / slices.count >= 2,
             "training: a batch of {} cut into {} slices; batch norm needs at least 2 images a slice", options.batch,
             slices.count);
  LabelledBatches batches(ctx, set.images, set.labels, {all_indices(N), options.batch, options.seed, kOrder}, augment,
                          info.normalization, options.seed, slices);
  std::unique_ptr<LabelledFeed> feed;
  BatchObjective<LabelledBatch> objective;
  hooks.begin = [&](std::int64_t first) { feed = batches.feed(first); };
  objective.batch = [&](std::int64_t) { return feed->next(); };
  objective.loss = [&](const LabelledBatch& b) {
    return ops::mean(ctx, ops::softmax_ce(ctx, network.logits(ctx, b.images, true), b.targets));
  };
  out.result = train(ctx, network.parameters(), options.train, place, objective, hooks);
  feed.reset();  // its thread reads `info`, which leaves with `out`
  return out;
}

Outputs run_model(Context& ctx, const Model& model, const Array& images, std::span<const std::int64_t> index,
                  const std::function<void(std::int64_t)>& progress, bool prepared) {
  const Preprocessing p = preprocessing_of(model.info);
  RunOptions options{.progress = progress};
  if (!prepared) {
    options.height = p.height;
    options.width = p.width;
    options.fit = p.fit;
  }
  return run_network(ctx, *model.network, images, index, p.normalization, options);
}

std::vector<int> predict(Context& ctx, const Model& model, const ImageSet& set,
                         const std::function<void(std::int64_t)>& progress, bool prepared) {
  const Architecture& a = model.info.architecture;
  AKIN_CHECK(a.classes == static_cast<std::int64_t>(set.classes.size()),
             "the model tells {} classes apart, '{}' has {}", a.classes, set.name, set.classes.size());
  AKIN_CHECK(a.channels == set.images.shape()[3],
             "the model expects images of {0} channels, '{1}' has {2}; --channels {0} brings them to its", a.channels,
             set.name, set.images.shape()[3]);
  const Indices all = all_indices(set.images.shape()[0]);
  return argmax_rows(run_model(ctx, model, set.images, all, progress, prepared).logits);
}

double evaluate_model(Context& ctx, const Model& model, const ImageSet& set) {
  const StageScope stage(ctx, "test");
  return accuracy(predict(ctx, model, set), set.labels);
}

}  // namespace akin
