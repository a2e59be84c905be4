// Batches for a training loop: made ahead on a background thread and, with a GPU, copied ahead on a stream of their
// own. A batch is a struct of named tensors with one member that visits them, other batches of its type alongside:
//   void each(auto&& f, auto&... others) { f("images", images, others.images...); ... }
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "engine/profile.hpp"
#include "engine/tensor.hpp"
#include "nn/data/loader.hpp"

namespace akin {

/// Copies a Host, a struct of tensors in host memory (Tensor::on_host), to the device while the step before it
/// computes. Two slots take turns; a slot's memory on the device is written again only when the step that read it is
/// done.
template <class Host>
class Uploader {
 public:
  explicit Uploader(Context& ctx) : ctx_(ctx), copies_(ctx.gpu->make_stream()) {}
  /// Copies under way end before the memory that they use is given back.
  ~Uploader() {
    try {
      copies_->synchronize();
    } catch (const Error&) {  // the Context's stream reports it, too
    }
  }
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  /// Starts to copy `parts` into the slot whose turn it is.
  void start(Host parts) {
    Slot& slot = slots_[to_start_];
    to_start_ ^= 1;
    // The step that read this slot's device memory was queued before now: copies wait for what the stream holds so far.
    slot.used = ctx_.stream->record();
    if (slot.copied) slot.copied->synchronize();  // long done; the old host memory may be reused from here on
    slot.host = std::move(parts);
    const auto make_room = [&](const char* name, const Tensor& from, Tensor& to) {
      AKIN_CHECK(!from.defined() || from.is_on_host(), "feed: '{}' is not in host memory", name);
      if (!from.defined()) {
        to = Tensor();
      } else if (!to.defined() || to.shape() != from.shape() || to.dtype() != from.dtype()) {
        to = Tensor::empty(ctx_, from.shape(), from.dtype());
        slot.used = ctx_.stream->record();  // the block may have been in use until now
      }
    };
    slot.host.each(make_room, slot.device);
    copies_->wait(*slot.used);
    const auto copy = [&](const char*, const Tensor& from, const Tensor& to) {
      if (from.defined()) copies_->copy(to.raw(), from.raw(), from.bytes());
    };
    slot.host.each(copy, slot.device);
    slot.copied = copies_->record();
  }

  /// The oldest started parts, on the device; valid until the second next call. Later work of the Context waits for the
  /// copy, the host does not.
  const Host& finish() {
    Slot& slot = slots_[to_finish_];
    to_finish_ ^= 1;
    AKIN_CHECK(slot.copied != nullptr, "feed: no batch was started");
    ctx_.stream->wait(*slot.copied);
    return slot.device;
  }

 private:
  struct Slot {
    Host host, device;
    std::unique_ptr<GpuEvent> copied, used;
  };
  Context& ctx_;
  std::shared_ptr<GpuStream> copies_;
  std::array<Slot, 2> slots_;
  std::size_t to_start_ = 0, to_finish_ = 0;
};

/// next() gives finish(what the host has for batch t) for t = first, first + 1, ... `make` gives the latter, on the
/// background thread. `finish` turns it into the batch that a step reads: on the CPU on that thread too, with a GPU in
/// the thread that calls next(), where it queues kernels.
template <class Host, class Batch>
class Feed {
 public:
  Feed(Context& ctx, std::function<Host(std::int64_t)> make, std::function<Batch(const Host&)> finish,
       std::int64_t first)
      : ctx_(ctx), finish_(std::move(finish)) {
    if (ctx.gpu == nullptr) {
      batches_ = std::make_unique<Loader<Batch>>([this, make](std::int64_t t) { return finish_(make(t)); }, first);
    } else {
      parts_ = std::make_unique<Loader<Host>>(std::move(make), first);
      uploader_ = std::make_unique<Uploader<Host>>(ctx);
      uploader_->start(parts_->next());
    }
  }

  Batch next() {
    const StageScope stage(ctx_, "wait for images");
    if (batches_) return batches_->next();
    Batch batch = finish_(uploader_->finish());
    uploader_->start(parts_->next());
    return batch;
  }

 private:
  Context& ctx_;
  std::function<Batch(const Host&)> finish_;
  std::unique_ptr<Uploader<Host>> uploader_;
  std::unique_ptr<Loader<Batch>> batches_;
  std::unique_ptr<Loader<Host>> parts_;
};

}  // namespace akin
