// Batches for a training loop: made ahead on a background thread and, with a GPU, copied ahead on a stream of their own.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "engine/tensor.hpp"
#include "nn/data/loader.hpp"

namespace akin {

/// What one step needs from the host: tensors in host memory (Tensor::on_host), in an order of the maker's choice.
using Parts = std::vector<Tensor>;
/// The tensors that one step reads, on the device, in an order of the maker's choice.
using StepBatch = std::vector<Tensor>;

/// Copies Parts to the device while the step before them computes. Two slots take turns; a slot's memory on the device
/// is written again only when the step that read it is done.
class Uploader {
 public:
  explicit Uploader(Context& ctx) : ctx_(ctx), copies_(ctx.gpu->make_stream()) {}

  /// Starts to copy `parts` into the slot whose turn it is.
  void start(Parts parts);
  /// The oldest started parts, on the device; valid until the second next call. Later work of the Context waits for the
  /// copy, the host does not.
  const Parts& finish();

 private:
  struct Slot {
    Parts host, device;
    std::unique_ptr<GpuEvent> copied, used;
  };
  Context& ctx_;
  std::shared_ptr<GpuStream> copies_;
  std::array<Slot, 2> slots_;
  std::size_t to_start_ = 0, to_finish_ = 0;
};

/// next() gives finish(parts of batch t) for t = first, first + 1, ... `make` runs on the background thread. `finish`
/// turns the parts into a batch: on the CPU on that thread too, with a GPU in the thread that calls next(), where it
/// queues kernels.
class Feed {
 public:
  Feed(Context& ctx, std::function<Parts(std::int64_t)> make, std::function<StepBatch(const Parts&)> finish,
       std::int64_t first)
      : finish_(std::move(finish)) {
    if (ctx.gpu == nullptr) {
      batches_ = std::make_unique<Loader<StepBatch>>([this, make](std::int64_t t) { return finish_(make(t)); }, first);
    } else {
      parts_ = std::make_unique<Loader<Parts>>(std::move(make), first);
      uploader_ = std::make_unique<Uploader>(ctx);
      uploader_->start(parts_->next());
    }
  }

  StepBatch next() {
    if (batches_) return batches_->next();
    StepBatch batch = finish_(uploader_->finish());
    uploader_->start(parts_->next());
    return batch;
  }

 private:
  std::function<StepBatch(const Parts&)> finish_;
  std::unique_ptr<Uploader> uploader_;
  std::unique_ptr<Loader<StepBatch>> batches_;
  std::unique_ptr<Loader<Parts>> parts_;
};

}  // namespace akin
