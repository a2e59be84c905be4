// Older ImageNet classifiers, with torchvision's layers and names.
//   AlexNet     Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014 (one column)
//   SqueezeNet  Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016; 1.0 and 1.1
//   GoogLeNet   Szegedy et al., "Going deeper with convolutions", CVPR 2015, with batch norm and, like torchvision, 3x3
//               in place of 5x5 convolutions; without its auxiliary heads
// No dropout, which torchvision applies before the heads in training.
#pragma once

#include "nn/network.hpp"

namespace akin {

class AlexNet final : public Network {
 public:
  AlexNet(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return 32; }
  std::int64_t smallest_side() const override { return 63; }

 private:
  void collect_extractor(ParameterList& list) const override;
  std::vector<ConvBias> conv_;
  Tensor flat_, flat_bias_;  // of classifier.1, which reads the flattened map
  Linear hidden_;
};

class SqueezeNet final : public Network {
 public:
  SqueezeNet(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  /// Mean over the map of relu(1x1 convolution).
  Tensor head(Context& ctx, const Tensor& features) const override;
  Tensor pooled(Context& ctx, const Tensor& features) const override { return ops::global_avg_pool(ctx, features); }
  std::int64_t output_stride() const override { return 16; }
  std::int64_t smallest_side() const override { return first_ ? 29 : 25; }

 private:
  void collect_extractor(ParameterList& list) const override;
  struct Fire {
    int index;    // in torchvision's list of layers
    bool pooled;  // a pooling before it
    ConvBias squeeze, expand1, expand3;
  };
  bool first_;  // version 1.0
  ConvBias stem_;
  std::vector<Fire> fires_;
};

class GoogLeNet final : public Network {
 public:
  GoogLeNet(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return 32; }
  std::int64_t smallest_side() const override { return 31; }

 private:
  void collect_extractor(ParameterList& list) const override;
  struct Inception {
    std::string name;
    int pool_before;  // window of the pooling before it, 0 = none
    ConvNorm one, reduce3, three, reduce5, five, pool;
  };
  std::vector<ConvNorm> stem_;
  std::vector<Inception> blocks_;
};

}  // namespace akin
