#include "nn/zoo/resnet.hpp"

#include <algorithm>

namespace akin {

ResNet::ResNet(Context& ctx, const Architecture& wanted, Style style, const std::vector<int>& stages)
    : Network(wanted, "fc"), imagenet_(style != Style::cifar) {
  const bool bottleneck = style == Style::imagenet_bottleneck;
  if (architecture_.width == 0) architecture_.width = imagenet_ ? 64 : 16;
  if (architecture_.shortcut.empty()) architecture_.shortcut = imagenet_ ? "conv" : "A";
  const std::string& shortcut = architecture_.shortcut;
  if (shortcut != "A" && shortcut != "conv")
    fail_usage("shortcut '{}': use A (subsample and pad) or conv (1x1)", shortcut);
  if (shortcut == "A" && imagenet_)
    fail_usage("{}: its shortcuts are 1x1 convolutions; option A belongs to CIFAR ResNets", wanted.name);
  const std::int64_t width = architecture_.width;
  if (shortcut == "A" && width % 2 != 0)
    fail_usage("{}: option A adds half of the width on both sides, so width {} must be even (or use shortcut conv)",
               wanted.name, width);
  small_stem_ = !imagenet_ || wanted.stem == "small";
  architecture_.stem = imagenet_ ? wanted.stem : "";  // CIFAR ResNets have no other
  const NormOptions norm{.eps = wanted.norm_eps > 0 ? wanted.norm_eps : 1e-5};
  stem_ = Conv2d(ctx,
                 small_stem_ ? ConvShape{wanted.channels, width, 3, 1, 1} : ConvShape{wanted.channels, width, 7, 2, 3});
  stem_bn_ = BatchNorm2d(ctx, width, norm);
  std::int64_t in = width;
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    const std::int64_t mid = width << stage, out = bottleneck ? 4 * mid : mid;
    std::vector<Block> blocks;
    for (int i = 0; i < stages[stage]; ++i) {
      Block b;
      b.stride = stage > 0 && i == 0 ? 2 : 1;
      b.channels = out;
      if (bottleneck) {
        b.conv = {Conv2d(ctx, {in, mid, 1, 1, 0}), Conv2d(ctx, {mid, mid, 3, b.stride, 1}),
                  Conv2d(ctx, {mid, out, 1, 1, 0})};
        b.bn = {BatchNorm2d(ctx, mid, norm), BatchNorm2d(ctx, mid, norm), BatchNorm2d(ctx, out, norm)};
      } else {
        b.conv = {Conv2d(ctx, {in, mid, 3, b.stride, 1}), Conv2d(ctx, {mid, mid, 3, 1, 1})};
        b.bn = {BatchNorm2d(ctx, mid, norm), BatchNorm2d(ctx, mid, norm)};
      }
      if (b.stride != 1 || in != out) {
        b.option_a = shortcut == "A";
        b.projection = !b.option_a;
        if (b.projection) {
          b.down_conv = Conv2d(ctx, {in, out, 1, b.stride, 0});
          b.down_bn = BatchNorm2d(ctx, out, norm);
        }
      }
      in = out;
      blocks.push_back(std::move(b));
    }
    stages_.push_back(std::move(blocks));
  }
  fc = Linear(ctx, in, wanted.classes);
}

Tensor ResNet::run(Context& ctx, const Block& b, const Tensor& x, bool training) const {
  Tensor shortcut = x;
  if (b.option_a) shortcut = ops::shortcut_a(ctx, x, b.stride, b.channels);
  if (b.projection) shortcut = b.down_bn.after(ctx, b.down_conv, x, training, Activation::none);
  Tensor y = x;
  for (std::size_t i = 0; i < b.conv.size(); ++i) {
    const bool last = i + 1 == b.conv.size();
    y = b.bn[i].after(ctx, b.conv[i], y, training, Activation::relu, last ? shortcut : Tensor());
  }
  return y;
}

Tensor ResNet::features(Context& ctx, const Tensor& x, bool training) const {
  check_images(x);
  Tensor y = stem_bn_.after(ctx, stem_, x, training, Activation::relu);
  if (!small_stem_) y = ops::max_pool(ctx, y, 3, 2, 1);
  for (const auto& stage : stages_)
    for (const Block& block : stage) y = run(ctx, block, y, training);
  return ops::global_avg_pool(ctx, y);
}

void ResNet::collect_extractor(ParameterList& list) const {
  stem_.collect("conv1", list);
  stem_bn_.collect("bn1", list);
  for (std::size_t s = 0; s < stages_.size(); ++s)
    for (std::size_t i = 0; i < stages_[s].size(); ++i) {
      const Block& b = stages_[s][i];
      const std::string prefix = fmt::format("layer{}.{}.", s + 1, i);
      for (std::size_t j = 0; j < b.conv.size(); ++j) {
        b.conv[j].collect(prefix + "conv" + std::to_string(j + 1), list);
        b.bn[j].collect(prefix + "bn" + std::to_string(j + 1), list);
      }
      if (b.projection) {
        b.down_conv.collect(prefix + "downsample.0", list);
        b.down_bn.collect(prefix + "downsample.1", list);
      }
    }
}

}  // namespace akin
