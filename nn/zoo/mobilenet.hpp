// Networks of depthwise-separable convolutions for small devices.
//   MobileNetV1  Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications",
//                2017; names in timm's style, for torchvision has none
//   MobileNetV2  Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018
//   MobileNetV3  Howard et al., "Searching for MobileNetV3", ICCV 2019: squeeze-excite and hard-swish
// `width` is that of the first layer: 32 for 1.0 of V1 and V2 (16 for 0.5), 16 for V3. No dropout before the head,
// which torchvision applies in training: a distilled student sees many unlabelled images.
#pragma once

#include "nn/network.hpp"

namespace akin {

/// Squeeze-excite (Hu et al., CVPR 2018): each channel scaled by a gate of all channels' means.
class SqueezeExcite {
 public:
  SqueezeExcite() = default;
  SqueezeExcite(Context& ctx, std::int64_t channels, std::int64_t squeezed);
  Tensor operator()(Context& ctx, const Tensor& x) const;
  void collect(const std::string& prefix, ParameterList& list) const;

 private:
  Linear reduce_, expand_;
};

/// Wide inside, narrow outside: 1x1 up, depthwise, 1x1 down without activation, and around it where sizes allow.
class InvertedResidual {
 public:
  struct Options {
    std::int64_t in, middle, out, window, stride, squeezed = 0;  ///< squeezed 0: no squeeze-excite
    Activation activation;
    bool plain_names = false;  ///< V2's numbering of the layers instead of V3's
  };
  InvertedResidual(Context& ctx, const Options& options, const NormOptions& norm);
  Tensor operator()(Context& ctx, const Tensor& x, bool training) const;
  void collect(const std::string& prefix, ParameterList& list) const;
  /// Adds {timm's, ours} for the layers of a block that is called `timm` there and `prefix` here.
  void add_aliases(const std::string& timm, const std::string& prefix,
                   std::vector<std::pair<std::string, std::string>>& list) const;

 private:
  Options options_;
  ConvNorm expand_, depthwise_, project_;
  SqueezeExcite excite_;
};

class MobileNetV1 final : public Network {
 public:
  MobileNetV1(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return architecture_.stem.empty() ? 32 : 16; }

 private:
  void collect_extractor(ParameterList& list) const override;
  struct Block {
    ConvNorm depthwise, pointwise;
    std::string name;
  };
  ConvNorm stem_;
  std::vector<Block> blocks_;
};

class MobileNetV2 final : public Network {
 public:
  MobileNetV2(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return architecture_.stem.empty() ? 32 : 16; }

  std::vector<std::pair<std::string, std::string>> aliases() const override;

 private:
  void collect_extractor(ParameterList& list) const override;
  ConvNorm stem_, last_;
  std::vector<InvertedResidual> blocks_;
  std::vector<int> stages_;  // blocks of each
};

class MobileNetV3 final : public Network {
 public:
  MobileNetV3(Context& ctx, const Architecture& architecture);
  Tensor features(Context& ctx, const Tensor& x, bool training) const override;
  std::int64_t output_stride() const override { return architecture_.stem.empty() ? 32 : 16; }

  std::vector<std::pair<std::string, std::string>> aliases() const override;

 private:
  void collect_extractor(ParameterList& list) const override;
  ConvNorm stem_, last_;
  std::vector<InvertedResidual> blocks_;
  std::vector<int> stages_;  // blocks of each
  Linear hidden_;
};

}  // namespace akin
