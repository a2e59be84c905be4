#include "nn/export/graph_writer.hpp"

#include <algorithm>

#include "engine/io/json.hpp"
#include "nn/weight_file.hpp"
#include "nn/zoo/zoo.hpp"

namespace akin {

namespace {

class Writer {
 public:
  explicit Writer(const LayerGraph& layers) : layers_(layers) {}

  std::string text() {
    for (const Layer& l : layers_.layers) add(l);
    return Json{{"input_shape_nhwc", layers_.input.dims()}, {"nodes", nodes_}}.dump();
  }
  SafeTensors take_weights() { return std::move(weights_); }
  double taught_share() const { return taught_share_; }

 private:
  void add(const Layer& l) {
    if (l.op == "linear" && l.name == kTaughtHead) return add_weights(l);
    if (l.op == "mix_heads") {  // of the network itself, not one of its nodes
      taught_share_ = l.attributes.at("share");
      return;
    }
    if (l.op == "relu" || l.op == "relu6" || l.op == "hardswish" || l.op == "hardsigmoid") return activation(l);
    Json& node = push(l);
    const auto is = [&](const char* op, const char* kind) {
      if (l.op == op) node["op"] = kind;
      return l.op == op;
    };
    if (is("conv2d", "conv") || is("depthwise_conv2d", "dwconv")) return convolution(l, node);
    if (is("linear", "fc")) {
      node["w"] = l.name;
      return add_weights(l);
    }
    if (is("max_pool", "max_pool")) return max_pool(l, node);
    if (is("shortcut_a", "shortcut_a")) {
      node["stride"] = whole(l, "stride");
      node["channels"] = l.output[3];
      return;
    }
    if (is("add", "add") || is("concat_channels", "concat") || is("channel_scale", "scale") ||
        is("global_avg_pool", "global_avg_pool"))
      return;
    if (l.op == "batchnorm")
      fail("layer graph: {} follows no convolution that it could be folded into; export ONNX instead", l.name);
    fail("layer graph: has no layer for {} ({}); export ONNX instead", l.op, l.name);
  }

  static std::int64_t whole(const Layer& l, const char* attribute) {
    return static_cast<std::int64_t>(l.attributes.at(attribute));
  }

  Json& push(const Layer& l) {
    std::vector<std::string> in;
    for (const std::string& name : l.inputs) in.push_back(made_.contains(name) ? made_.at(name) : name);
    Json node{{"op", l.op}, {"in", in}, {"out", l.name}, {"act", "none"}};
    node["out_shape_nhwc"] = l.op == "global_avg_pool" ? Shape{1, 1, 1, l.output[1]}.dims() : l.output.dims();
    return nodes_.emplace_back(std::move(node));
  }

  /// Joins the layer before it where nobody else reads that one, and it may have an activation.
  void activation(const Layer& l) {
    static constexpr const char* kTake[] = {"conv", "dwconv", "fc", "add", "concat"};
    const auto before =
        std::find_if(nodes_.begin(), nodes_.end(), [&](const Json& n) { return n["out"] == l.inputs[0]; });
    const bool joins =
        before != nodes_.end() && (*before)["act"] == "none" && layers_.readers(l.inputs[0]) == 1 &&
        std::any_of(std::begin(kTake), std::end(kTake), [&](const char* op) { return (*before)["op"] == op; });
    if (joins) {
      (*before)["act"] = l.op;
      made_[l.name] = l.inputs[0];
      return;
    }
    Json& node = push(l);
    node["op"] = "activation";
    node["act"] = l.op;
  }

  void convolution(const Layer& l, Json& node) {
    const Shape &w = layers_.weights.at(l.weights.at("weight")).shape(), &x = layers_.shape_of(l.inputs[0]);
    const std::int64_t stride = whole(l, "stride"), pad = whole(l, "pad");
    const auto end = l.attributes.find("pad_end");
    node["kernel"] = {w[1], w[2]};
    node["stride"] = stride;
    node["pad"] = pad;
    if (end != l.attributes.end() && end->second != static_cast<double>(pad)) {
      for (const int side : {1, 2}) {  // TensorFlow's SAME is the one uneven padding that the form has
        const std::int64_t all = std::max<std::int64_t>(0, ((x[side] - 1) / stride) * stride + w[side] - x[side]);
        AKIN_CHECK(pad == all / 2 && end->second == static_cast<double>(all - all / 2),
                   "layer graph: {} is padded by {} before and {} after; export ONNX instead", l.name, pad,
                   end->second);
      }
      node["pad"] = "same";
    }
    node["w"] = l.name;
    add_weights(l);
  }

  void add_weights(const Layer& l) {
    const Array& w = layers_.weights.at(l.weights.at("weight"));
    weights_.add(l.name + ".weight", w.shape().rank() == 4 ? permute_conv(w, w.shape(), false) : w);
    const auto bias = l.weights.find("bias");
    weights_.add(l.name + ".bias",
                 bias == l.weights.end() ? Array(DType::f32, {w.shape()[0]}) : layers_.weights.at(bias->second));
  }

  void max_pool(const Layer& l, Json& node) {
    const Shape& x = layers_.shape_of(l.inputs[0]);
    const std::int64_t window = whole(l, "window"), stride = whole(l, "stride"), pad = whole(l, "pad");
    const auto hangs_over = [&](int side) { return l.output[side] > (x[side] + 2 * pad - window) / stride + 1; };
    node["kernel"] = {window, window};
    node["stride"] = stride;
    node["pad"] = pad;
    node["ceil"] = hangs_over(1) || hangs_over(2);
  }

  const LayerGraph& layers_;
  std::vector<Json> nodes_;
  std::map<std::string, std::string> made_;  // activation -> the node that it joined
  SafeTensors weights_;
  double taught_share_ = 0;
};

}  // namespace

std::unique_ptr<Network> to_graph_network(Context& ctx, const LayerGraph& layers) {
  Writer writer(layers);
  Architecture a{.name = "graph", .channels = layers.input[3], .classes = layers.layers.back().output.dims().back()};
  a.graph = writer.text();
  a.taught_share = writer.taught_share();
  auto network = make_network(ctx, a);
  import_weights(*network, writer.take_weights());
  return network;
}

}  // namespace akin
