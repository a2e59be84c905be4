#include "nn/data/feed.hpp"

namespace akin {

void Uploader::start(Parts parts) {
  Slot& slot = slots_[to_start_];
  to_start_ ^= 1;
  // The step that read this slot's device memory was queued before now: copies wait for what the stream holds so far.
  slot.used = ctx_.stream->record();
  if (slot.copied) slot.copied->synchronize();  // long done; the old host memory may be reused from here on
  slot.host = std::move(parts);
  slot.device.resize(slot.host.size());
  for (std::size_t i = 0; i < slot.host.size(); ++i) {
    const Tensor& from = slot.host[i];
    AKIN_CHECK(!from.defined() || from.is_on_host(), "feed: part {} is not in host memory", i);
    Tensor& to = slot.device[i];
    if (!from.defined()) {
      to = Tensor();
    } else if (!to.defined() || to.shape() != from.shape() || to.dtype() != from.dtype()) {
      to = Tensor::empty(ctx_, from.shape(), from.dtype());
      slot.used = ctx_.stream->record();  // the block may have been in use until now
    }
  }
  copies_->wait(*slot.used);
  for (std::size_t i = 0; i < slot.host.size(); ++i)
    if (slot.host[i].defined()) copies_->copy(slot.device[i].raw(), slot.host[i].raw(), slot.host[i].bytes());
  slot.copied = copies_->record();
}

const Parts& Uploader::finish() {
  Slot& slot = slots_[to_finish_];
  to_finish_ ^= 1;
  AKIN_CHECK(slot.copied != nullptr, "feed: no batch was started");
  ctx_.stream->wait(*slot.copied);
  return slot.device;
}

}  // namespace akin
