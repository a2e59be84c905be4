// Residual networks (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016).
//   CIFAR style     3x3 stem, three stages of n basic blocks at widths w, 2w, 4w; depth 6n + 2: resnet8/14/20/32/44/56
//   ImageNet style  7x7 stem with stride 2 and a 3x3 max pool, four stages: resnet18/34 (basic), resnet50 (bottleneck,
//                   stride on the 3x3)
#pragma once

#include "nn/network.hpp"

namespace akin {

class ResNet final : public Network {
 public:
  enum class Style { cifar, imagenet_basic, imagenet_bottleneck };
  /// `stages`: blocks of each.
  ResNet(Context& ctx, const Architecture& architecture, Style style, const std::vector<int>& stages);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return !imagenet_ ? 4 : small_stem_ ? 8 : 32; }

 private:
  struct Block {
    std::vector<Conv2d> conv;
    std::vector<BatchNorm2d> bn;
    bool projection = false;  // 1x1 convolution on the shortcut
    bool option_a = false;    // subsample and pad the shortcut
    Conv2d down_conv;
    BatchNorm2d down_bn;
    std::int64_t stride = 1, channels = 0;
  };
  Tensor run(Context& ctx, const Block& block, const Tensor& x, bool training) const;
  void collect_extractor(ParameterList& list) const override;

  bool imagenet_, small_stem_ = false;
  Conv2d stem_;
  BatchNorm2d stem_bn_;
  std::vector<std::vector<Block>> stages_;
};

}  // namespace akin
