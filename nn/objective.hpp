// What a training run minimises: its batches and the loss of one, with the type of the batch hidden from the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/tensor.hpp"

namespace akin {

/// As the training loop and the Stepper see it: one batch at hand, which changes from step to step.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Takes up the batch of step t; called once a step, in order, or once for each slice of it that this rank has.
  virtual void begin_step(std::int64_t t) = 0;
  /// Where the batch at hand lies, each tensor's address: a captured step reads any batch at the addresses of the one
  /// that it was captured with. Error where the batch has other shapes than the first one that this was asked of.
  virtual std::vector<const void*> places() = 0;
  /// Copies the batch at hand to memory of its own, the same for every batch, where forward() then reads it.
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
  std::vector<const void*> places() override {
    std::vector<const void*> all;
    const bool first = forms_.empty();
    at_hand().each([&](const char* name, const Tensor& t) {
      const Form form = t.defined() ? Form{true, t.dtype(), t.shape()} : Form{};
      if (first) forms_.push_back(form);
      AKIN_CHECK(all.size() < forms_.size(), "training: '{}' of a batch was not there in the captured step", name);
      const Form& before = forms_[all.size()];
      AKIN_CHECK(form.defined == before.defined,
                 "training: '{}' of a batch is {}defined, in the captured step {}defined", name,
                 form.defined ? "" : "un", before.defined ? "" : "un");
      AKIN_CHECK(form.shape == before.shape && form.dtype == before.dtype,
                 "training: '{}' of a batch is {} {}, in the captured step {} {}", name, name_of(form.dtype),
                 form.shape.str(), name_of(before.dtype), before.shape.str());
      all.push_back(form.defined ? t.raw() : nullptr);
    });
    AKIN_CHECK(all.size() == forms_.size(), "training: a batch has {} tensors, in the captured step {}", all.size(),
               forms_.size());
    return all;
  }
  void keep(Context& ctx) override {
    if (!has_kept_) {
      kept_ = now_;
      kept_.each([&](const char*, Tensor& t) {
        if (t.defined()) t = Tensor::empty(ctx, t.shape(), t.dtype());
      });
      has_kept_ = true;
    }
    const auto copy = [](const char*, const Tensor& from, const Tensor& to) {
      if (from.defined()) to.copy_from(from);
    };
    now_.each(copy, kept_);
    read_kept_ = true;
  }
  Tensor forward() override { return loss(at_hand()); }

 private:
  struct Form {
    bool defined = false;
    DType dtype = DType::f32;
    Shape shape;
  };
  Batch& at_hand() { return read_kept_ ? kept_ : now_; }

  Batch now_, kept_;
  std::vector<Form> forms_;  // of the first batch's tensors
  bool has_kept_ = false, read_kept_ = false;
};

}  // namespace akin
