// A whole training run on the toy images, on any device.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/data/image_batch.hpp"
#include "nn/trainer.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/toy.hpp"

namespace akin::test {

/// A small classifier on toy images, with loader and validation, as users of train() build one.
struct ToyRun {
  Context ctx;
  std::unique_ptr<Network> net;
  TrainOptions options;
  akin::Place place;
  BatchObjective<LabelledBatch> objective;
  TrainHooks hooks;
  TrainResult result;
  std::vector<double> losses;
  std::int64_t began = -1;

  /// Whose work it is, and how it is cut.
  struct Share {
    std::shared_ptr<Ranks> ranks = nullptr;
    std::int64_t slices = 1, batch = 8;
  };

  explicit ToyRun(std::int64_t steps = 12, std::uint64_t seed = 1, const std::string& kind = "sgd",
                  Device device = Device::cpu, DType activations = DType::f32)
      : ToyRun(Share{}, steps, seed, kind, device, activations) {}
  explicit ToyRun(const Share& share, std::int64_t steps = 12, std::uint64_t seed = 1, const std::string& kind = "sgd",
                  Device device = Device::cpu, DType activations = DType::f32)
      : ctx(device, {.poison = true}) {
    ctx.activations = activations;
    ctx.ranks = share.ranks;
    options.slices = share.slices;
    options.batch = share.batch;
    net = make_network(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
    initialize(net->parameters(), seed);
    options.schedule = {.base = 0.05, .steps = steps, .warmup = 2};
    options.optimizer.kind = kind;
    options.eval_every = 5;  // no divisor of the steps, nor of the checkpoints' distance
    place.fingerprint = "toy";
    batches_.emplace(ctx, set_.images, set_.labels, BatchOrder(all_indices(30), share.batch, seed, 1),
                     augment_weak(12, Flip::h), normalization_, seed, slices_of(ctx, share.slices));
    hooks.begin = [this](std::int64_t first) {
      began = first;
      feed_ = batches_->feed(first);
    };
    objective.batch = [this](std::int64_t) { return feed_->next(); };
    objective.loss = [this](const LabelledBatch& b) {
      return ops::mean(ctx, ops::softmax_ce(ctx, net->logits(ctx, b.images, true), b.targets));
    };
    hooks.validate = [this] {
      const Outputs out = run_network(ctx, *net, held_out_.images, all_indices(30), normalization_);
      return accuracy(argmax_rows(out.logits), held_out_.labels);
    };
    hooks.progress = [this](std::int64_t, double loss) { losses.push_back(loss); };
  }
  ~ToyRun() { feed_.reset(); }  // before what its thread reads
  ToyRun(const ToyRun&) = delete;
  ToyRun& operator=(const ToyRun&) = delete;
  /// Ends the thread that makes batches ahead.
  void end_feed() { feed_.reset(); }
  void go() { result = train(ctx, net->parameters(), options, place, objective, hooks); }

 private:
  ImageSet set_ = toy_set(30, 3, 1), held_out_ = toy_set(30, 3, 2);
  Normalization normalization_{{0.3f}, {0.35f}};
  std::optional<LabelledBatches> batches_;
  std::unique_ptr<LabelledFeed> feed_;
};

}  // namespace akin::test
