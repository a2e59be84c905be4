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

}  // namespace akin
