#include "nn/export/known_networks.hpp"

#include <algorithm>
#include <map>

#include "nn/weight_file.hpp"

namespace akin {

namespace {

constexpr double kUsualEps = 1e-5;  // PyTorch's

/// What batch norms add to the variance: torchvision's of this network, and those of this one.
double own_eps(const Architecture& a) {
  return a.name.starts_with("mobilenet_v3") || a.name == "googlenet" ? 1e-3 : kUsualEps;
}
double norm_eps_of(const Architecture& a) { return a.norm_eps > 0 ? a.norm_eps : own_eps(a); }

/// A network as published, but for the width of its first layer.
struct Row {
  const char* ours;
  std::int64_t width;  ///< 0: it has but one
  const char* timm;    ///< nullptr: timm has none
  std::int64_t features;
  const char* torchvision;  ///< its call without the classes; nullptr: torchvision has none
};

// timm: resnet.py, efficientnet.py (_gen_mobilenet_v1, _gen_mobilenet_v2), mobilenetv3.py. Of its other widths the
// stem is rounded to that of another network of akin's (0.35, 1.4, V3 of 0.5 and 0.75), or the depth grows with it.
constexpr Row kRows[] = {
    {"resnet18", 64, "resnet18", 512, "resnet18("},
    {"resnet34", 64, "resnet34", 512, "resnet34("},
    {"resnet50", 64, "resnet50", 2048, "resnet50("},
    {"mobilenet_v1", 32, "mobilenetv1_100", 1024, nullptr},
    {"mobilenet_v1", 40, "mobilenetv1_125", 1280, nullptr},
    {"mobilenet_v2", 16, "mobilenetv2_050", 1280, "mobilenet_v2(width_mult=0.5, "},
    {"mobilenet_v2", 24, "mobilenetv2_075", 1280, "mobilenet_v2(width_mult=0.75, "},
    {"mobilenet_v2", 32, "mobilenetv2_100", 1280, "mobilenet_v2("},
    {"mobilenet_v3_small", 16, "mobilenetv3_small_100", 576, "mobilenet_v3_small("},
    {"mobilenet_v3_large", 16, "mobilenetv3_large_100", 960, "mobilenet_v3_large("},
    {"googlenet", 0, nullptr, 0, "googlenet(aux_logits=False, init_weights=False, transform_input=False, "},
    {"alexnet", 0, nullptr, 0, "alexnet("},
    {"squeezenet1_0", 0, nullptr, 0, "squeezenet1_0("},
    {"squeezenet1_1", 0, nullptr, 0, "squeezenet1_1("},
};

const Row* find(const Architecture& a) {
  if (!a.stem.empty() || a.taught_share > 0) return nullptr;
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) {
    return r.ours == a.name && (r.width == 0 || r.width == a.width);
  });
  return row == std::end(kRows) ? nullptr : row;
}

}  // namespace

std::optional<TimmNetwork> timm_network(const Architecture& a) {
  const Row* row = find(a);
  if (row == nullptr || row->timm == nullptr || norm_eps_of(a) < kTimmNormEps) return {};
  const bool resnet = a.name.starts_with("resnet");
  return TimmNetwork{row->timm, row->features, resnet ? "conv1" : "conv_stem", resnet ? "fc" : "classifier"};
}

SafeTensors timm_weights(const Network& network) {
  SafeTensors ours, theirs;
  export_weights(network, ours);
  std::map<std::string, std::string> names;
  for (const auto& [their, own] : network.aliases()) names[own] = their;
  const double more = norm_eps_of(network.architecture()) - kTimmNormEps;
  for (auto& [name, array] : ours.tensors) {
    const std::size_t dot = name.rfind('.');
    const std::string layer = name.substr(0, dot), part = name.substr(dot);
    const auto alias = names.find(layer);
    const std::string renamed = (alias == names.end() ? layer : alias->second) + part;
    if (part == ".running_var" && more > 0)
      for (float& v : array.as<float>()) v = static_cast<float>(static_cast<double>(v) + more);
    // V3's layer behind the mean is a convolution there.
    if (renamed == "conv_head.weight" && array.shape().rank() == 2)
      array = array.reshaped({array.shape()[0], array.shape()[1], 1, 1});
    theirs.add(renamed, std::move(array));
  }
  return theirs;
}

std::string torchvision_call(const Architecture& a) {
  const Row* row = find(a);
  if (row == nullptr || row->torchvision == nullptr || norm_eps_of(a) != own_eps(a) || a.channels != 3) return "";
  return fmt::format("{}num_classes={})", row->torchvision, a.classes);
}

}  // namespace akin
