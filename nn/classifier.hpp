// Supervised training of one network on one labelled data set: how the sources of a bank are made.
#pragma once

#include "kernels/augment.hpp"
#include "nn/data/image_set.hpp"
#include "nn/evaluate.hpp"
#include "nn/model_file.hpp"
#include "nn/trainer.hpp"

namespace akin {

struct ClassifierOptions {
  Architecture architecture;  ///< channels and classes are taken from the data
  std::int64_t epochs = 8;
  std::int64_t batch = 128;
  std::uint64_t seed = 0;
  Flip flip = Flip::none;  ///< mirror images at random; not for characters
  std::int64_t shift = kShiftBySide;
  bool augment = true;  ///< false: neither flips nor shifts
  TrainOptions train;   ///< schedule.steps is set from epochs
};

/// Trains on `set` and returns the network with what its file needs. `hooks` may give progress and stop; its begin is
/// set here. The result's `finished` tells whether it ran to the end.
struct TrainedClassifier {
  Model model;
  TrainResult result;
};
TrainedClassifier train_classifier(Context& ctx, const ImageSet& set, ClassifierOptions options, TrainHooks hooks = {},
                                   const Place& place = {});

/// What a model says of images u8 [M,H,W,C], as its file says they become its input: `index` picks N of them. With
/// `prepared` they are of its size already. `progress`: see run_network.
Outputs run_model(Context& ctx, const Model& model, const Array& images, std::span<const std::int64_t> index,
                  const std::function<void(std::int64_t)>& progress = {}, bool prepared = false);

/// The class that a model gives each image of a set. Error where it tells another number of classes apart, or expects
/// other channels. `progress`, `prepared`: see run_model.
std::vector<int> predict(Context& ctx, const Model& model, const ImageSet& set,
                         const std::function<void(std::int64_t)>& progress = {}, bool prepared = false);

/// Accuracy of a model on a labelled set.
double evaluate_model(Context& ctx, const Model& model, const ImageSet& set);

}  // namespace akin
