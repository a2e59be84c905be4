#include "nn/export/layer_graph.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace akin {

namespace {

constexpr std::int64_t kImages = 2;  // of the traced batch: tells the batch from dimensions of one

bool is_convolution(const Layer& layer) { return layer.op == "conv2d" || layer.op == "depthwise_conv2d"; }

void drop_unused_weights(LayerGraph& graph) {
  std::set<std::string> used;
  for (const Layer& layer : graph.layers)
    for (const auto& [role, name] : layer.weights) used.insert(name);
  std::erase_if(graph.weights, [&](const auto& weight) { return !used.contains(weight.first); });
}

/// Turns the nodes of a trace into layers. The trace must outlive it: values are known by their address.
class Capture {
 public:
  Capture(const Network& network, const Tensor& input) {
    for (const Parameter& p : network.parameters()) {
      parameters_.emplace(p.tensor.raw(), p);
      prefixes_.insert(prefix(p.name));
    }
    values_.emplace(input.handle().get(), "input");
    graph_.input = one_image(input, "input");
  }

  void add(const TraceNode& node) {
    const auto& in = node.inputs;
    if (const auto map = pixels_.find(in[0].handle().get());
        map != pixels_.end() && node.output.shape() == in[0].shape())
      pixels_.emplace(node.output.handle().get(), map->second);
    if (node.op == "batchnorm") return add_batchnorm(node);
    if (node.op == "channel_bias") {
      push(node, "channel_bias", {in[0]}, {{"bias", in[1]}});
      return activation(name_of(static_cast<Activation>(node.attributes.at("kind"))), node);
    }
    if (node.op == "conv2d" || node.op == "depthwise_conv2d") return push(node, node.op, {in[0]}, {{"weight", in[1]}});
    if (node.op == "linear") return add_linear(node);
    if (node.op == "reshape" && reshaped(node)) return;
    push(node, node.op, in, {});
  }

  LayerGraph finish(const Tensor& output) {
    const auto it = values_.find(output.handle().get());
    AKIN_CHECK(it != values_.end() && it->second != "input", "layers: the logits come from no op that leaves a trace");
    std::set<std::string> needed{it->second};
    for (auto layer = graph_.layers.rbegin(); layer != graph_.layers.rend(); ++layer)
      if (needed.contains(layer->name)) needed.insert(layer->inputs.begin(), layer->inputs.end());
    std::erase_if(graph_.layers, [&](const Layer& layer) { return !needed.contains(layer.name); });
    AKIN_CHECK(graph_.layers.back().name == it->second, "layers: the logits are read again by {}",
               graph_.layers.back().name);
    drop_unused_weights(graph_);
    return std::move(graph_);
  }

 private:
  using Weights = std::vector<std::pair<const char*, Tensor>>;

  static std::string prefix(const std::string& name) { return name.substr(0, name.rfind('.')); }

  void add_batchnorm(const TraceNode& node) {
    AKIN_CHECK(node.attributes.at("training") == 0, "layers: batchnorm ran in training mode");
    const auto& in = node.inputs;
    push(node, "batchnorm", {in[0]}, {{"weight", in[1]}, {"bias", in[2]}, {"mean", in[4]}, {"var", in[5]}});
    const std::string norm = graph_.layers.back().name;
    if (in[3].defined()) {
      const std::string residual = value(in[3], node);
      Layer layer{"add", unique("add"), {norm, residual}, {}, {}, one_image(node.output, "add")};
      push(node, std::move(layer));
    }
    activation(name_of(static_cast<Activation>(node.attributes.at("act"))), node);
  }

  void add_linear(const TraceNode& node) {
    const auto& in = node.inputs;
    const auto map = pixels_.find(in[0].handle().get());
    if (map == pixels_.end()) return push(node, "linear", {in[0]}, {{"weight", in[1]}, {"bias", in[2]}});
    // On every pixel by itself: a convolution of 1x1.
    const Shape image{1, map->second[1], map->second[2], node.output.dim(1)};
    pixels_[node.output.handle().get()] = image;
    push(node, "conv2d", {in[0]}, {{"weight", in[1]}, {"bias", in[2]}});
    Layer& layer = graph_.layers.back();
    layer.attributes = {{"stride", 1}, {"pad", 0}};
    Array& w = graph_.weights.at(layer.weights.at("weight"));
    w = w.reshaped({node.output.dim(1), 1, 1, in[0].dim(1)});
  }

  /// True where a reshape changes no value: that of a weight, or of a map to its pixels [N H W, C] and back.
  bool reshaped(const TraceNode& node) {
    const Tensor &x = node.inputs[0], &y = node.output;
    if (parameters_.contains(x.raw())) return true;
    const Tensor::Impl *from = x.handle().get(), *to = y.handle().get();
    if (const auto map = pixels_.find(from); map != pixels_.end()) {
      const Shape &s = map->second, &back = y.shape();
      AKIN_CHECK(back.rank() == 4 && back[0] == kImages && back[1] == s[1] && back[2] == s[2],
                 "layers: pixels of {} are reshaped to {}", s.str(), back.str());
    } else {
      const Shape& s = x.shape();
      if (s.rank() != 4 || !(y.shape() == Shape{s[0] * s[1] * s[2], s[3]}) || y.dim(0) == kImages) return false;
      pixels_.emplace(to, Shape{1, s[1], s[2], s[3]});
    }
    values_[to] = value(x, node);
    return true;
  }

  /// Puts an activation on what the node has put out so far.
  void activation(const std::string& kind, const TraceNode& node) {
    if (kind == name_of(Activation::none)) return;
    const std::string before = values_.at(node.output.handle().get());
    push(node, Layer{kind, unique(kind), {before}, {}, {}, one_image(node.output, kind)});
  }

  void push(const TraceNode& node, const std::string& op, const std::vector<Tensor>& inputs, const Weights& weights) {
    Layer layer{op, "", {}, {}, node.attributes, one_image(node.output, op)};
    for (const Tensor& t : inputs) layer.inputs.push_back(value(t, node));
    std::string name = op;
    for (const auto& [role, tensor] : weights) {
      if (!tensor.defined()) continue;
      const auto it = parameters_.find(tensor.raw());
      AKIN_CHECK(it != parameters_.end() && it->second.tensor.numel() == tensor.numel(),
                 "layers: {} of {} is no parameter of the network", role, op);
      const std::string& own = it->second.name;
      if (layer.weights.empty()) name = unique(prefix(own), true);
      graph_.weights.emplace(own, tensor.to_array());
      layer.weights.emplace(role, own);
    }
    layer.name = weights.empty() ? unique(op) : name;
    push(node, std::move(layer));
  }

  void push(const TraceNode& node, Layer layer) {
    values_[node.output.handle().get()] = layer.name;
    graph_.layers.push_back(std::move(layer));
  }

  const std::string& value(const Tensor& t, const TraceNode& node) const {
    const auto it = t.defined() ? values_.find(t.handle().get()) : values_.end();
    AKIN_CHECK(it != values_.end(), "layers: {} reads a value that no op of the network's trace made", node.op);
    return it->second;
  }

  Shape one_image(const Tensor& t, const std::string& what) const {
    if (const auto map = pixels_.find(t.handle().get()); map != pixels_.end()) return map->second;
    AKIN_CHECK(t.shape().rank() >= 2 && t.dim(0) == kImages && t.dtype() == DType::f32,
               "layers: {} puts out {} {} for {} images; a layer must keep them apart", what, name_of(t.dtype()),
               t.shape().str(), kImages);
    std::vector<std::int64_t> dims = t.shape().dims();
    dims[0] = 1;
    return Shape(dims);
  }

  /// "relu_3". The name of weights stays as it is the first time, and nothing else gets it.
  std::string unique(const std::string& name, bool of_weights = false) {
    if (of_weights && taken_.insert(name).second) return name;
    for (int n = 1;; ++n) {
      const std::string numbered = fmt::format("{}_{}", name, n);
      if (!prefixes_.contains(numbered) && taken_.insert(numbered).second) return numbered;
    }
  }

  LayerGraph graph_;
  std::map<const std::byte*, Parameter> parameters_;  // by address: an op may see a view of one
  std::map<const Tensor::Impl*, std::string> values_;
  std::map<const Tensor::Impl*, Shape> pixels_;  // matrices of all pixels: [N H W, C] of an image [1, H, W, C]
  std::set<std::string> taken_{"input", "image", "logits"}, prefixes_;  // names of layers, and of weights
};

/// The convolution that `layer` may be written into; nullptr where there is none, or somebody else needs it as it is.
Layer* convolution_before(LayerGraph& graph, const Layer& layer) {
  const auto it =
      std::find_if(graph.layers.begin(), graph.layers.end(), [&](const Layer& l) { return l.name == layer.inputs[0]; });
  if (it == graph.layers.end() || !is_convolution(*it) || graph.readers(it->name) != 1) return nullptr;
  for (const Layer& other : graph.layers)
    for (const auto& [role, name] : other.weights)
      for (const auto& [own_role, own] : it->weights)
        if (&other != &*it && name == own) return nullptr;
  return &*it;
}

/// Removes layer i: who read it reads its input.
void remove_layer(LayerGraph& graph, std::size_t i) {
  const Layer gone = graph.layers[i];
  for (Layer& l : graph.layers) std::replace(l.inputs.begin(), l.inputs.end(), gone.name, gone.inputs[0]);
  graph.layers.erase(graph.layers.begin() + static_cast<std::ptrdiff_t>(i));
}

void attach_biases(LayerGraph& graph) {
  for (std::size_t i = 0; i < graph.layers.size();) {
    const Layer& layer = graph.layers[i];
    Layer* conv = layer.op == "channel_bias" ? convolution_before(graph, layer) : nullptr;
    if (conv == nullptr || conv->weights.contains("bias")) {
      ++i;
      continue;
    }
    conv->weights["bias"] = layer.weights.at("bias");
    remove_layer(graph, i);
  }
}

/// Writes one norm into the convolution before it.
void fold(LayerGraph& graph, Layer& conv, const Layer& norm) {
  const auto values = [&](const char* role) {
    return std::as_const(graph.weights.at(norm.weights.at(role))).as<float>();
  };
  const auto gamma = values("weight"), beta = values("bias"), mean = values("mean"), var = values("var");
  const double eps = norm.attributes.at("eps");
  const bool biased = conv.weights.contains("bias");
  Array& weight = graph.weights.at(conv.weights.at("weight"));
  const auto w = weight.as<float>();
  const std::size_t K = gamma.size(), row = w.size() / K;
  Array bias(DType::f32, {static_cast<std::int64_t>(K)});
  const Array before = biased ? graph.weights.at(conv.weights.at("bias")) : bias;
  for (std::size_t k = 0; k < K; ++k) {
    const double g = static_cast<double>(gamma[k]) / std::sqrt(static_cast<double>(var[k]) + eps);
    for (std::size_t i = k * row; i < (k + 1) * row; ++i) w[i] = static_cast<float>(static_cast<double>(w[i]) * g);
    const double b = static_cast<double>(before.as<float>()[k]) - static_cast<double>(mean[k]);
    bias.as<float>()[k] = static_cast<float>(static_cast<double>(beta[k]) + b * g);
  }
  if (!biased) conv.weights["bias"] = conv.name + ".bias";
  graph.weights[conv.weights.at("bias")] = std::move(bias);
}

}  // namespace

const Layer& LayerGraph::at(const std::string& name) const {
  const auto it = std::find_if(layers.begin(), layers.end(), [&](const Layer& l) { return l.name == name; });
  AKIN_CHECK(it != layers.end(), "layers: there is no '{}'", name);
  return *it;
}

int LayerGraph::readers(const std::string& name) const {
  std::ptrdiff_t n = 0;
  for (const Layer& l : layers) n += std::count(l.inputs.begin(), l.inputs.end(), name);
  return static_cast<int>(n);
}

LayerGraph capture_layers(Context& ctx, const Network& network, std::int64_t height, std::int64_t width) {
  AKIN_CHECK(ctx.device == Device::cpu, "layers: the network must be on the CPU");
  const TapeScope off(ctx, nullptr);
  const Tensor x = Tensor::zeros(ctx, {kImages, height, width, network.architecture().channels});
  Trace trace;
  Tensor y;
  {
    const TraceScope on(ctx, &trace);
    y = network.logits(ctx, x, false);
  }
  Capture capture(network, x);
  for (const TraceNode& node : trace.nodes) capture.add(node);
  LayerGraph graph = capture.finish(y);
  attach_biases(graph);
  for (const auto& [name, array] : graph.weights)
    if (network.in_head(name)) graph.of_head.insert(name);
  return graph;
}

void fold_batchnorm(LayerGraph& graph) {
  for (std::size_t i = 0; i < graph.layers.size();) {
    const Layer norm = graph.layers[i];
    Layer* conv = norm.op == "batchnorm" ? convolution_before(graph, norm) : nullptr;
    if (conv == nullptr) {
      ++i;
      continue;
    }
    fold(graph, *conv, norm);
    remove_layer(graph, i);
  }
  drop_unused_weights(graph);
}

}  // namespace akin
