// What a training run minimises: its batches and the loss of one, with the type of the batch hidden from the loop.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/tensor.hpp"

namespace akin {

/// As the training loop and the Stepper see it: one batch at hand, which changes from step to step.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Takes up the batch of step t; called once a step, in order, or once for each slice of it that this rank has.
  virtual void begin_step(std::int64_t t) = 0;
  /// Copies the batch at hand to where forward() then reads it: tensors that a captured step finds at the same
  /// addresses in every step. Error where the batch has other shapes than the first one that was kept.
  virtual void keep(Context& ctx) = 0;
  /// The loss of the batch at hand, read from its copy where keep() made one; a scalar recorded on ctx.tape.
  virtual Tensor forward() = 0;
};

/// The objective of batches with named tensors (see nn/data/feed.hpp).
template <class Batch>
class BatchObjective final : public Objective {
 public:
  /// What step t reads; called as begin_step().
  std::function<Batch(std::int64_t t)> batch;
  /// The loss of a batch, a scalar recorded on ctx.tape. On a GPU it must read the batch and its own state alone, and
  /// not wait for the device: the work of one call may be captured and repeated with the next batch's numbers.
  std::function<Tensor(const Batch& batch)> loss;

  void begin_step(std::int64_t t) override {
    now_ = Batch();  // its memory may serve the next one
    now_ = batch(t);
    read_kept_ = false;
  }
  void keep(Context& ctx) override {
    if (!has_kept_) {
      kept_ = now_;
      kept_.each([&](const char*, Tensor& t) {
        if (t.defined()) t = Tensor::empty(ctx, t.shape(), t.dtype());
      });
      has_kept_ = true;
    }
    const auto copy = [](const char* name, const Tensor& from, const Tensor& to) {
      AKIN_CHECK(from.defined() == to.defined(),
                 "training: '{}' of a batch is {}defined, in the captured step {}defined", name,
                 from.defined() ? "" : "un", to.defined() ? "" : "un");
      if (!from.defined()) return;
      AKIN_CHECK(from.shape() == to.shape() && from.dtype() == to.dtype(),
                 "training: '{}' of a batch is {} {}, in the captured step {} {}", name, name_of(from.dtype()),
                 from.shape().str(), name_of(to.dtype()), to.shape().str());
      to.copy_from(from);
    };
    now_.each(copy, kept_);
    read_kept_ = true;
  }
  Tensor forward() override { return loss(read_kept_ ? kept_ : now_); }

 private:
  Batch now_, kept_;
  bool has_kept_ = false, read_kept_ = false;
};

}  // namespace akin
