#include "nn/zoo/zoo.hpp"

#include <algorithm>

#include "engine/io/nearest_name.hpp"
#include "nn/zoo/graph_network.hpp"
#include "nn/zoo/mobilenet.hpp"
#include "nn/zoo/plain_networks.hpp"
#include "nn/zoo/resnet.hpp"

namespace akin {

namespace {

using Made = std::unique_ptr<Network>;

template <class Net>
Made make(Context& ctx, const Architecture& a) {
  return std::make_unique<Net>(ctx, a);
}

/// `blocks`: of each stage.
template <ResNet::Style style, int... blocks>
Made resnet(Context& ctx, const Architecture& a) {
  return std::make_unique<ResNet>(ctx, a, style, std::vector<int>{blocks...});
}

struct Entry {
  const char* name;
  Made (*make)(Context&, const Architecture&);
  EndLayers ends;  ///< names of weights in files
};

const std::vector<Entry>& zoo() {
  using enum ResNet::Style;
  const EndLayers resnet_ends{{"conv1.weight"}, {"fc.weight"}};
  const EndLayers v3_ends{{"features.0.0.weight", "conv_stem.weight"}, {"classifier.3.weight", "classifier.weight"}};
  const EndLayers squeeze_ends{{"features.0.weight"}, {"classifier.1.weight"}};
  static const std::vector<Entry> all = {
      {"resnet8", resnet<cifar, 1, 1, 1>, resnet_ends},
      {"resnet14", resnet<cifar, 2, 2, 2>, resnet_ends},
      {"resnet20", resnet<cifar, 3, 3, 3>, resnet_ends},
      {"resnet32", resnet<cifar, 5, 5, 5>, resnet_ends},
      {"resnet44", resnet<cifar, 7, 7, 7>, resnet_ends},
      {"resnet56", resnet<cifar, 9, 9, 9>, resnet_ends},
      {"resnet18", resnet<imagenet_basic, 2, 2, 2, 2>, resnet_ends},
      {"resnet34", resnet<imagenet_basic, 3, 4, 6, 3>, resnet_ends},
      {"resnet50", resnet<imagenet_bottleneck, 3, 4, 6, 3>, resnet_ends},
      {"mobilenet_v1", make<MobileNetV1>, {{"conv_stem.weight"}, {"classifier.weight"}}},
      {"mobilenet_v2",
       make<MobileNetV2>,
       {{"features.0.0.weight", "conv_stem.weight"}, {"classifier.1.weight", "classifier.weight"}}},
      {"mobilenet_v3_small", make<MobileNetV3>, v3_ends},
      {"mobilenet_v3_large", make<MobileNetV3>, v3_ends},
      {"googlenet", make<GoogLeNet>, {{"conv1.conv.weight"}, {"fc.weight"}}},
      {"alexnet", make<AlexNet>, {{"features.0.weight"}, {"classifier.6.weight"}}},
      {"squeezenet1_0", make<SqueezeNet>, squeeze_ends},
      {"squeezenet1_1", make<SqueezeNet>, squeeze_ends},
  };
  return all;
}

/// Error where there is none.
const Entry& find(const std::string& name) {
  const auto it = std::find_if(zoo().begin(), zoo().end(), [&](const Entry& e) { return e.name == name; });
  if (it == zoo().end()) fail_usage("architecture '{}' is unknown{}", name, suggestion(name, known_architectures()));
  return *it;
}

}  // namespace

const std::vector<std::string>& known_architectures() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Entry& e : zoo()) all.emplace_back(e.name);
    return all;
  }();
  return names;
}

std::string in_words(const Architecture& a) {
  std::string text = a.name == "graph" ? "layer graph" : a.name;
  if (a.width > 0) text += fmt::format(" of width {}", a.width);
  if (!a.shortcut.empty()) text += ", shortcut " + a.shortcut;
  if (!a.stem.empty()) text += ", stem " + a.stem;
  return fmt::format("{} for {} channel{}", text, a.channels, a.channels == 1 ? "" : "s");
}

std::unique_ptr<Network> make_network(Context& ctx, const Architecture& a) {
  AKIN_CHECK(a.channels >= 1 && a.classes >= 1, "{}: {} channels and {} classes (at least 1 of each)", a.name,
             a.channels, a.classes);
  AKIN_CHECK(a.width >= 0 && a.width <= 4096, "{}: width {} is outside 1..4096", a.name, a.width);
  AKIN_CHECK(a.norm_eps >= 0 && a.norm_eps < 1, "{}: norm eps {} is outside 0..1", a.name, a.norm_eps);
  if (!a.stem.empty() && a.stem != "small") fail_usage("stem '{}': use small, or leave it out", a.stem);
  AKIN_CHECK(a.taught_share >= 0 && a.taught_share <= 1, "{}: the taught head's share is {}, expected 0..1", a.name,
             a.taught_share);
  auto network = a.name == "graph" ? make<GraphNetwork>(ctx, a) : find(a.name).make(ctx, a);
  if (a.taught_share > 0) network->set_taught_head(ctx, a.taught_share);
  return network;
}

EndLayers end_layers(const Architecture& a) {
  if (a.name == "graph") return {{}, {summarize_graph(a.graph, "layer graph").head + ".weight"}};
  return find(a.name).ends;
}

}  // namespace akin
