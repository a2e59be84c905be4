// An image classifier: an extractor and a linear head. Every architecture implements this interface.
#pragma once

#include <memory>
#include <string>

#include "nn/module.hpp"

namespace akin {

/// What it takes to build a network.
struct Architecture {
  std::string name = "resnet8";  ///< see known_architectures()
  std::int64_t width =
      0;  ///< channels of the first stage; 0 = the family's own (16 for CIFAR ResNets, 64 for ImageNet ones)
  std::string shortcut = "";  ///< "A" (subsample and zero-pad) or "conv" (1x1); "" = the family's own
  std::int64_t channels = 3;  ///< of the input images
  std::int64_t classes = 10;
  bool operator==(const Architecture&) const = default;
};

class Network {
 public:
  virtual ~Network() = default;
  /// x [N,H,W,C] -> features [N,D], the input of the last linear layer.
  virtual Tensor features(Context& ctx, const Tensor& x, bool training) = 0;
  /// Features -> logits [N, classes].
  Tensor head(Context& ctx, const Tensor& features) const { return fc(ctx, features); }
  Tensor logits(Context& ctx, const Tensor& x, bool training) { return head(ctx, features(ctx, x, training)); }

  ParameterList parameters() const {
    ParameterList list;
    collect_extractor(list);
    fc.collect("fc", list);
    return list;
  }
  /// Pixels of the image to one of the last feature map, along each side.
  virtual std::int64_t output_stride() const = 0;
  std::int64_t feature_size() const { return fc.inputs(); }
  const Architecture& architecture() const { return architecture_; }

 protected:
  explicit Network(Architecture a) : architecture_(std::move(a)) {}
  virtual void collect_extractor(ParameterList& list) const = 0;
  Architecture architecture_;  // with the defaults filled in
  Linear fc;
};

/// Names that make_network takes.
const std::vector<std::string>& known_architectures();

/// An uninitialised network; call initialize() or load weights. Throws UsageError for an unknown name or option.
std::unique_ptr<Network> make_network(Context& ctx, const Architecture& architecture);

}  // namespace akin
