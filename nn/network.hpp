// An image classifier: an extractor and a head. Every architecture implements this interface.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.hpp"

namespace akin {

/// What it takes to build a network.
struct Architecture {
  std::string name = "resnet8";  ///< a row of nn/zoo/zoo.cpp
  std::int64_t width =
      0;  ///< channels of the first layer; 0 = the family's own (16 for CIFAR ResNets, 64 for ImageNet ones, ...)
  std::string shortcut = "";  ///< of ResNets: "A" (subsample and zero-pad) or "conv" (1x1); "" = the family's own
  std::int64_t channels = 3;  ///< of the input images
  std::int64_t classes = 10;
  std::string stem = "";   ///< "small": the first layer keeps the image's size, for images of 32 to 64 pixels; "" = as
                           ///< published
  double norm_eps = 0;     ///< added to the variance by batch norms; 0 = as torchvision has it
  std::string graph = "";  ///< of name "graph": the layers as JSON, see nn/zoo/graph_network.hpp
  /// Above 0: a second head, which teachers taught, and its share in what is predicted (kernels/mix_heads.hpp).
  double taught_share = 0;
  bool operator==(const Architecture&) const = default;
};

inline constexpr const char* kTaughtHead = "taught_head";  ///< prefix of its parameters

class Network {
 public:
  virtual ~Network() = default;
  /// x [N,H,W,C] -> what the head reads: [N,D], the input of the last linear layer; for SqueezeNet, whose head is a 1x1
  /// convolution, a map [N,h,w,D].
  virtual Tensor features(Context& ctx, const Tensor& x, bool training) const = 0;
  /// Features -> logits [N, classes].
  virtual Tensor head(Context& ctx, const Tensor& features) const { return fc(ctx, features); }
  /// Features -> [N,D]: what similarity is measured on and source heads read.
  virtual Tensor pooled(Context&, const Tensor& features) const { return features; }
  /// Features -> what is predicted [N, classes]: the head's logits, mixed with the taught head's where there is one.
  Tensor predict(Context& ctx, const Tensor& features) const;
  Tensor logits(Context& ctx, const Tensor& x, bool training) const { return predict(ctx, features(ctx, x, training)); }
  /// A linear layer on what pooled() gives; only where architecture().taught_share > 0.
  const Linear& taught_head() const { return taught_; }
  /// Adds one of zero weights, or takes it away (share 0).
  void set_taught_head(Context& ctx, double share);

  /// Names are torchvision's; the head's come last, "taught_head" behind it.
  ParameterList parameters() const;
  /// Whether a parameter of this name belongs to a head.
  bool in_head(const std::string& name) const {
    return name.starts_with(head_ + ".") || name.starts_with(std::string(kTaughtHead) + ".");
  }
  const std::string& head_name() const { return head_; }
  /// Names that timm gives layers of this network, where they differ: {timm's, ours}.
  virtual std::vector<std::pair<std::string, std::string>> aliases() const { return {}; }
  /// Pixels of the image to one of the last feature map, along each side.
  virtual std::int64_t output_stride() const = 0;
  /// The shortest side of an image that passes through all layers.
  virtual std::int64_t smallest_side() const { return 1; }
  std::int64_t feature_size() const { return fc.inputs(); }
  const Architecture& architecture() const { return architecture_; }

 protected:
  Network(Architecture a, std::string head) : architecture_(std::move(a)), head_(std::move(head)) {}
  virtual void collect_extractor(ParameterList& list) const = 0;
  /// Error unless x is a batch of images of this network's channels that are large enough.
  void check_images(const Tensor& x) const;
  /// Error where the architecture asks for options that this network has not.
  void refuse_options(bool width, bool shortcut, bool stem) const;

  Architecture architecture_;  // with the defaults filled in
  std::string head_;
  Linear fc;

 private:
  Linear taught_;
};

}  // namespace akin
