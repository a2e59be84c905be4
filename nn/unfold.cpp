#include "nn/unfold.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "engine/io/json.hpp"
#include "nn/data/image_batch.hpp"
#include "nn/zoo/graph_network.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

constexpr std::int64_t kBatch = 32;

/// Mean and squared deviations of the channels, from parts (Chan, Golub, LeVeque, "Updating formulae", 1979).
struct Moments {
  double count = 0;
  std::vector<double> mean, squares;

  void add(const Array& map) {
    const auto C = static_cast<std::size_t>(map.shape()[map.shape().rank() - 1]);
    const auto x = map.as<float>();
    const double n = static_cast<double>(x.size() / C), all = count + n;
    mean.resize(C);
    squares.resize(C);
    std::vector<double> m(C), s(C);
    for (std::size_t i = 0; i < x.size(); ++i) m[i % C] += static_cast<double>(x[i]);
    for (double& v : m) v /= n;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double d = static_cast<double>(x[i]) - m[i % C];
      s[i % C] += d * d;
    }
    for (std::size_t c = 0; c < C; ++c) {
      const double d = m[c] - mean[c];
      squares[c] += s[c] + d * d * count * n / all;
      mean[c] += d * n / all;
    }
    count = all;
  }
};

const GraphNetwork& graph_of(const Network& network) {
  const auto* graph = dynamic_cast<const GraphNetwork*>(&network);
  AKIN_CHECK(graph != nullptr, "a {} has batch norms of its own; only networks given as a layer graph are unfolded",
             network.architecture().name);
  return *graph;
}

/// The layers with a norm named at each convolution in `found`.
std::string with_norms(const std::string& layers, const std::map<std::string, Moments>& found) {
  Json graph = parse_json(layers, "layer graph");
  for (Json& node : graph["nodes"])
    if (node.contains("w") && node["w"].is_string() && found.contains(node["w"].get<std::string>()))
      node["norm"] = node["w"].get<std::string>() + "_norm";
  return graph.dump();
}

Array evenly(const Array& images, std::span<const std::int64_t> index) {
  const auto N = static_cast<std::int64_t>(index.size()), n = std::min(N, kCalibrationImages);
  Indices picked;
  for (std::int64_t i = 0; i < n; ++i) picked.push_back(index[static_cast<std::size_t>(i * N / n)]);
  return pick_images(images, picked);
}

}  // namespace

bool is_folded(const Network& network) {
  if (dynamic_cast<const GraphNetwork*>(&network) == nullptr) return false;
  const ParameterList list = network.parameters();
  for (std::size_t i = 0; i + 1 < list.size(); ++i) {
    const bool conv = list[i].kind == ParameterKind::conv_weight || list[i].kind == ParameterKind::depthwise_weight;
    if (conv && list[i + 1].kind == ParameterKind::bias) return true;
  }
  return false;
}

std::unique_ptr<Network> unfold_batchnorm(Context& ctx, const Network& folded, const Array& images,
                                          std::span<const std::int64_t> index, const Normalization& normalization,
                                          UnfoldReport* report) {
  const GraphNetwork& network = graph_of(folded);
  AKIN_CHECK(is_folded(folded), "no convolution of this network has a bias and no batch norm; it is not folded");
  AKIN_CHECK(!index.empty(), "batch norms are put back by the maps of images, and there are none");
  std::map<std::string, Moments> found;
  const Array chosen = evenly(images, index);
  const ImageView view = view_of(chosen);
  const TapeScope off(ctx, nullptr);
  for (std::int64_t i = 0; i < view.N; i += kBatch) {
    std::vector<AugmentItem> items;
    for (std::int64_t k = i; k < std::min(view.N, i + kBatch); ++k) items.push_back({k, 0});
    const auto n = static_cast<std::int64_t>(items.size());
    const Tensor x =
        augment_images(ctx, view, upload(ctx, gather_images(ctx, view, items)), 0, n, {}, normalization, 0);
    network.look_at_convolutions(ctx, x, [&](const std::string& weights, const Tensor& map) {
      found[weights].add(ops::convert(ctx, map, DType::f32).to_array());
    });
  }
  Architecture a = folded.architecture();
  a.graph = with_norms(a.graph, found);
  std::unique_ptr<Network> out = make_network(ctx, a);
  std::map<std::string, Tensor> old;
  for (const Parameter& p : folded.parameters()) old[p.name] = p.tensor;
  std::map<std::string, Tensor> made;
  for (const Parameter& p : out->parameters()) {
    made[p.name] = p.tensor;
    if (const auto same = old.find(p.name); same != old.end()) made[p.name].copy_from(same->second);
  }
  if (report != nullptr) {
    report->images = view.N;
    const std::size_t each = chosen.byte_size() / static_cast<std::size_t>(view.N);
    const auto* pixels = chosen.bytes();
    report->alike = std::memcmp(pixels, pixels + each, chosen.byte_size() - each) == 0;  // each is the one before it
  }
  const double eps = a.norm_eps > 0 ? a.norm_eps : NormOptions{}.eps;
  for (const auto& [weights, moments] : found) {
    const std::size_t C = moments.mean.size();
    if (report != nullptr) report->channels += static_cast<std::int64_t>(C);
    const Array bias = old.at(weights + ".bias").to_array();
    std::vector<float> scale(C), shift(C), mean(C), var(C);
    for (std::size_t c = 0; c < C; ++c) {
      const double v = moments.squares[c] / moments.count;
      constexpr double kRounding = 1e-12;  // of f32 values, whose squares are of this order where nothing changes
      if (report != nullptr) report->still += v <= kRounding * (1 + moments.mean[c] * moments.mean[c]);
      mean[c] = static_cast<float>(moments.mean[c]);
      var[c] = static_cast<float>(v);
      scale[c] = static_cast<float>(std::sqrt(v + eps));
      shift[c] = static_cast<float>(moments.mean[c] + static_cast<double>(bias.as<float>()[c]));
    }
    const auto put = [&, name = weights](const char* part, const std::vector<float>& values) {
      made.at(name + "_norm." + part).copy_from(Array::from(values, {static_cast<std::int64_t>(C)}).bytes());
    };
    put("weight", scale);
    put("bias", shift);
    put("running_mean", mean);
    put("running_var", var);
  }
  return out;
}

}  // namespace akin
