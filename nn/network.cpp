#include "nn/network.hpp"

#include <algorithm>

namespace akin {

void Network::check_images(const Tensor& x) const {
  const Architecture& a = architecture_;
  AKIN_CHECK(x.shape().rank() == 4 && x.dim(3) == a.channels,
             "{}: expects images of {} channels [N, H, W, {}], found {}", a.name, a.channels, a.channels,
             x.shape().str());
  AKIN_CHECK(std::min(x.dim(1), x.dim(2)) >= smallest_side(),
             "{}: images of {}x{} are too small for its layers, {} pixels a side are the least; use larger images "
             "(--size) or another network",
             a.name, x.dim(1), x.dim(2), smallest_side());
}

void Network::refuse_options(bool width, bool shortcut, bool stem) const {
  const Architecture& a = architecture_;
  if (!width && a.width != 0) fail_usage("{}: its width cannot be chosen", a.name);
  if (!shortcut && !a.shortcut.empty()) fail_usage("{}: has no choice of shortcuts", a.name);
  if (!stem && !a.stem.empty()) fail_usage("{}: has no stem for small images", a.name);
}

Tensor Network::predict(Context& ctx, const Tensor& x) const {
  const Tensor own = head(ctx, x);
  if (architecture_.taught_share <= 0) return own;
  return ops::mix_heads(ctx, own, taught_(ctx, pooled(ctx, x)), architecture_.taught_share);
}

void Network::set_taught_head(Context& ctx, double share) {
  AKIN_CHECK(share >= 0 && share <= 1, "the taught head's share is {}, expected 0..1", share);
  architecture_.taught_share = share;
  taught_ = share > 0 ? Linear(ctx, feature_size(), architecture_.classes) : Linear();
}

ParameterList Network::parameters() const {
  ParameterList list;
  collect_extractor(list);
  fc.collect(head_, list);
  if (architecture_.taught_share > 0) taught_.collect(kTaughtHead, list);
  return list;
}

}  // namespace akin
