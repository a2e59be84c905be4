#include "nn/network.hpp"

#include <algorithm>

#include "nn/graph_network.hpp"
#include "nn/mobilenet.hpp"
#include "nn/plain_networks.hpp"
#include "nn/resnet.hpp"

namespace akin {

const std::vector<std::string>& known_architectures() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = ResNet::names();
    for (const char* name : {"mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "googlenet",
                             "alexnet", "squeezenet1_0", "squeezenet1_1"})
      all.emplace_back(name);
    return all;
  }();
  return names;
}

std::unique_ptr<Network> make_network(Context& ctx, const Architecture& a) {
  AKIN_CHECK(a.channels >= 1 && a.classes >= 1, "{}: {} channels and {} classes (at least 1 of each)", a.name,
             a.channels, a.classes);
  AKIN_CHECK(a.width >= 0 && a.width <= 4096, "{}: width {} is outside 1..4096", a.name, a.width);
  AKIN_CHECK(a.norm_eps >= 0 && a.norm_eps < 1, "{}: norm eps {} is outside 0..1", a.name, a.norm_eps);
  if (!a.stem.empty() && a.stem != "small") fail_usage("stem '{}': use small, or leave it out", a.stem);
  if (ResNet::knows(a.name)) return std::make_unique<ResNet>(ctx, a);
  if (a.name == "mobilenet_v1") return std::make_unique<MobileNetV1>(ctx, a);
  if (a.name == "mobilenet_v2") return std::make_unique<MobileNetV2>(ctx, a);
  if (a.name.starts_with("mobilenet_v3_")) {
    const std::string size = a.name.substr(13);
    if (size == "small" || size == "large") return std::make_unique<MobileNetV3>(ctx, a);
  }
  if (a.name == "googlenet") return std::make_unique<GoogLeNet>(ctx, a);
  if (a.name == "alexnet") return std::make_unique<AlexNet>(ctx, a);
  if (a.name == "squeezenet1_0" || a.name == "squeezenet1_1") return std::make_unique<SqueezeNet>(ctx, a);
  if (a.name == "graph") return std::make_unique<GraphNetwork>(ctx, a);
  fail_usage("architecture '{}' is unknown; known are {}", a.name, fmt::join(known_architectures(), ", "));
}

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

EndLayers end_layers(const Architecture& a) {
  if (a.name == "graph") return {{}, {summarize_graph(a.graph, "layer graph").head + ".weight"}};
  if (a.name == "mobilenet_v1") return {{"conv_stem.weight"}, {"classifier.weight"}};
  if (a.name == "mobilenet_v2")
    return {{"features.0.0.weight", "conv_stem.weight"}, {"classifier.1.weight", "classifier.weight"}};
  if (a.name.starts_with("mobilenet_v3"))
    return {{"features.0.0.weight", "conv_stem.weight"}, {"classifier.3.weight", "classifier.weight"}};
  if (a.name == "googlenet") return {{"conv1.conv.weight"}, {"fc.weight"}};
  if (a.name == "alexnet") return {{"features.0.weight"}, {"classifier.6.weight"}};
  if (a.name.starts_with("squeezenet")) return {{"features.0.weight"}, {"classifier.1.weight"}};
  return {{"conv1.weight"}, {"fc.weight"}};
}

std::int64_t scaled_channels(double c) {
  const std::int64_t down = std::max<std::int64_t>(8, static_cast<std::int64_t>(c + 4) / 8 * 8);
  return static_cast<double>(down) < 0.9 * c ? down + 8 : down;
}

}  // namespace akin
