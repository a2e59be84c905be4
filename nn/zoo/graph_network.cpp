#include "nn/zoo/graph_network.hpp"

#include <algorithm>
#include <set>

#include "engine/io/json.hpp"
#include "kernels/pool.hpp"

namespace akin {

namespace {

constexpr const char* kMixture = "mix_heads";
constexpr double kNormEps = NormOptions{}.eps;
constexpr std::int64_t kMost = 65536;  // pixels of a side, channels of a layer

/// The list of nodes; `source` is named where the text is something else.
Json nodes_of(const std::string& text, const std::string& source) {
  const Json j = parse_json(text, source);
  AKIN_CHECK(
      j.is_object() && j.contains("nodes") && j["nodes"].is_array() && !j["nodes"].empty() &&
          j.contains("input_shape_nhwc") && j["input_shape_nhwc"].is_array() && j["input_shape_nhwc"].size() == 4,
      "{}: is no layer graph (a JSON object with \"input_shape_nhwc\" of four numbers and a list \"nodes\")", source);
  for (const Json& side : j["input_shape_nhwc"]) whole_number(side, source + ": input_shape_nhwc", 1, kMost);
  return j;
}

Activation activation_of(const std::string& name) {
  if (name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "relu6") return Activation::relu6;
  if (name == "hardswish") return Activation::hardswish;
  if (name == "hardsigmoid") return Activation::hardsigmoid;
  fail("layer graph: activation '{}' is unknown; known are none, relu, relu6, hardswish, hardsigmoid", name);
}

/// Whether the layer may have an activation.
bool is_activated(const std::string& op) {
  static const std::set<std::string> kActivated{"conv", "dwconv", "fc", "add", "concat", "activation"};
  return kActivated.contains(op);
}

/// Throws where a node says what would be passed over, such as a dilation, or does not say what must not be guessed.
void check_keys(const Json& node, const std::string& op, const std::string& name) {
  static const std::set<std::string> kKnown{
      "op", "in", "out", "act", "w", "kernel", "stride", "pad", "ceil", "channels", "out_shape_nhwc", "norm", "name"};
  for (const auto& [key, value] : node.items()) {
    const bool plain = (key == "dilation" || key == "groups") && (value == 1 || value == Json({1, 1}));
    AKIN_CHECK(kKnown.contains(key) || plain,
               "layer graph: node {} has \"{}\": {}, which akin does not know; take it out if the network is the same "
               "without it",
               name, key, json_line(value));
  }
  AKIN_CHECK(node.contains("act") || !is_activated(op),
             "layer graph: node {} ({}) has no \"act\"; say \"none\" where it has no activation", name, op);
  AKIN_CHECK(is_activated(op) || !node.contains("act") || node.at("act") == "none",
             "layer graph: node {} ({}) has the activation {}; give it a node of its own, of the kind activation", name,
             op, json_line(node.at("act")));
}

/// Height and width of a map; {0, 0}: a vector.
using Sides = std::pair<std::int64_t, std::int64_t>;

/// Throws where the node's out_shape_nhwc, if it has one, is another than that of what it makes.
void check_out_shape(const Json& node, const std::string& name, const Sides& sides, std::int64_t channels) {
  if (!node.contains("out_shape_nhwc")) return;
  const Json& said = node.at("out_shape_nhwc");
  const Json map = {1, std::max<std::int64_t>(sides.first, 1), std::max<std::int64_t>(sides.second, 1), channels};
  const bool vector = sides.first <= 1 && sides.second <= 1;
  AKIN_CHECK(said == map || (vector && said == Json({1, channels})),
             "layer graph: node {} has the out_shape_nhwc {}, but by its inputs, kernel, stride and pad it is {}", name,
             json_line(said), json_line(map));
}

/// TensorFlow's SAME padding along one side: at the beginning and at the end.
std::pair<std::int64_t, std::int64_t> same_padding(std::int64_t side, std::int64_t window, std::int64_t stride) {
  const std::int64_t out = (side + stride - 1) / stride;
  const std::int64_t all = std::max<std::int64_t>(0, (out - 1) * stride + window - side);
  return {all / 2, all - all / 2};
}

}  // namespace

GraphSummary summarize_graph(const std::string& json, const std::string& source) {
  const Json j = nodes_of(json, source);
  const auto& shape = j["input_shape_nhwc"];
  const Json& last = j["nodes"].back();
  AKIN_CHECK(last.is_object() && last.contains("w") && last["w"].is_string(),
             "{}: its last node is no layer with weights, so it has no head", source);
  return {shape[1].get<std::int64_t>(), shape[2].get<std::int64_t>(), shape[3].get<std::int64_t>(),
          last["w"].get<std::string>()};
}

std::string with_mixture(const std::string& json, double share) {
  Json j = nodes_of(json, "layer graph");
  const Json head = j["nodes"].back();
  Json taught = head, mixed = head;
  taught.update({{"op", "fc"}, {"out", kTaughtHead}, {"w", kTaughtHead}});
  mixed.erase("w");
  mixed.update({{"op", kMixture}, {"in", {head.at("out"), kTaughtHead}}, {"out", "mixed_heads"}, {"share", share}});
  j["nodes"].push_back(std::move(taught));
  j["nodes"].push_back(std::move(mixed));
  return j.dump();
}

double take_mixture(std::string& json, const std::string& source) {
  Json j = nodes_of(json, source);
  Json& nodes = j["nodes"];
  const auto is = [](const Json& node, const char* key, const char* value) {
    return node.is_object() && node.value(key, Json()) == value;
  };
  if (!is(nodes.back(), "op", kMixture)) return 0;
  const std::size_t n = nodes.size();
  const Json share = nodes.back().value("share", Json());
  AKIN_CHECK(
      n >= 3 && is(nodes[n - 2], "w", kTaughtHead) && share.is_number() && share > 0 && share <= 1,
      "{}: its last node mixes two heads ({}); expected were a \"share\" above 0, up to 1, and the node {} before "
      "it",
      source, kMixture, kTaughtHead);
  nodes.erase(nodes.end() - 2, nodes.end());
  json = j.dump();
  return share.get<double>();
}

GraphNetwork::GraphNetwork(Context& ctx, const Architecture& wanted)
    : Network(wanted, summarize_graph(wanted.graph, "layer graph").head) {
  refuse_options(false, false, false);
  const Json graph = nodes_of(wanted.graph, "layer graph");
  std::map<std::string, std::int64_t> channels{{"input", wanted.channels}};  // of every node's output
  const Json& input = graph["input_shape_nhwc"];
  std::map<std::string, Sides> sides{{"input", {input[1].get<std::int64_t>(), input[2].get<std::int64_t>()}}};
  try {
    const Json& list = graph["nodes"];
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Json& j = list[i];
      Node n;
      n.out = j.at("out").get<std::string>();
      n.in = j.at("in").get<std::vector<std::string>>();
      n.weights = j.value("w", "");
      n.activation = activation_of(j.value("act", "none"));
      AKIN_CHECK(!n.in.empty(), "layer graph: node {} has no input", n.out);
      for (const std::string& name : n.in)
        AKIN_CHECK(channels.contains(name), "layer graph: node {} reads {}, which no node before it makes", n.out,
                   name);
      AKIN_CHECK(!channels.contains(n.out), "layer graph: two nodes make {}", n.out);
      const std::int64_t in = channels.at(n.in[0]);
      const auto op = j.at("op").get<std::string>();
      check_keys(j, op, n.out);
      const auto size = [&](const char* key, std::int64_t least, std::int64_t otherwise) {
        if (!j.contains(key)) return otherwise;
        return whole_number(j.at(key), fmt::format("layer graph: {} of node {}", key, n.out), least, kMost);
      };
      const auto last_of = [&](const char* key, std::int64_t most) {
        const Json& sizes = j.at(key);
        AKIN_CHECK(sizes.is_array() && !sizes.empty(), "layer graph: {} of node {} is {}, a list was expected", key,
                   n.out, json_line(sizes));
        return whole_number(sizes.back(), fmt::format("layer graph: {} of node {}", key, n.out), 1, most);
      };
      if (j.contains("kernel")) {
        n.window = last_of("kernel", 1024);
        AKIN_CHECK(j.at("kernel") == Json({n.window, n.window}),
                   "layer graph: node {} has the kernel {}; square ones are supported", n.out,
                   json_line(j.at("kernel")));
      }
      n.stride = size("stride", 1, 1);
      if (j.contains("pad") && j.at("pad").is_string()) {
        n.same = j.at("pad") == "same";
        AKIN_CHECK(n.same || j.at("pad") == "valid", "layer graph: node {} has the padding {}", n.out,
                   json_line(j.at("pad")));
      } else {
        n.pad = size("pad", 0, 0);
      }
      std::int64_t out = in;
      const bool last = i + 1 == list.size();
      const auto side_of = [&](std::int64_t side) -> std::int64_t {
        if (op == "conv" || op == "dwconv")
          return n.same ? (side + n.stride - 1) / n.stride : (side + 2 * n.pad - n.window) / n.stride + 1;
        if (op == "max_pool") return PoolShape{1, side, side, 1, n.window, n.stride, n.pad, n.ceil}.P();
        if (op == "shortcut_a") return (side + n.stride - 1) / n.stride;
        return op == "fc" || op == "global_avg_pool" ? 0 : side;
      };
      if (last) {
        AKIN_CHECK(
            (op == "fc" || (op == "conv" && n.window == 1 && n.stride == 1)) && n.activation == Activation::none &&
                !nodes_.empty() && n.in == std::vector<std::string>{nodes_.back().out},
            "layer graph: the last node must be the head: fc, or a 1x1 conv without activation, on what the node "
            "before it makes");
        fc = Linear(ctx, in, wanted.classes, op == "fc" ? ParameterKind::linear_weight : ParameterKind::pixel_weight);
        break;
      }
      if (op == "conv" || op == "dwconv") {
        n.op = Op::conv;
        const bool depthwise = op == "dwconv";
        out = last_of("out_shape_nhwc", kMost);
        AKIN_CHECK(!depthwise || out == in, "layer graph: node {} has {} channels of {}", n.out, out, in);
        const ConvShape shape{in, out, n.window, n.stride, n.pad, depthwise};
        n.norm = j.value("norm", "");
        if (n.norm.empty())
          n.conv = ConvBias(ctx, shape, n.activation);
        else
          n.normed = ConvNorm(ctx, shape, n.activation, {.eps = wanted.norm_eps > 0 ? wanted.norm_eps : kNormEps});
      } else if (op == "fc") {
        n.op = Op::fc;
        out = last_of("out_shape_nhwc", 1'000'000);
        n.fc = Linear(ctx, in, out);
      } else if (op == "add" || op == "concat") {
        n.op = op == "add" ? Op::add : Op::concat;
        out = 0;
        for (const std::string& name : n.in) {
          AKIN_CHECK(op == "concat" || channels.at(name) == in, "layer graph: node {} adds {} and {} channels", n.out,
                     in, channels.at(name));
          out = op == "add" ? in : out + channels.at(name);
        }
      } else if (op == "scale") {
        n.op = Op::scale;
        AKIN_CHECK(n.in.size() == 2 && channels.at(n.in[1]) == in,
                   "layer graph: node {} scales by another number of channels", n.out);
      } else if (op == "max_pool") {
        n.op = Op::max_pool;
        n.ceil = j.value("ceil", false);
      } else if (op == "shortcut_a") {
        n.op = Op::shortcut_a;
        out = n.channels = size("channels", in, in);
      } else if (op == "activation" || op == "global_avg_pool") {
        n.op = op == "activation" ? Op::activation : Op::global_avg_pool;
      } else {
        fail("layer graph: node {} is of the unknown kind '{}'", n.out, op);
      }
      const Sides& from = sides.at(n.in[0]);
      check_out_shape(j, n.out, sides[n.out] = {side_of(from.first), side_of(from.second)}, out);
      channels[n.out] = out;
      nodes_.push_back(std::move(n));
    }
  } catch (const Json::exception& e) {
    fail("layer graph: a node is damaged or incomplete ({})", json_reason(e));
  }
  AKIN_CHECK(!nodes_.empty(), "layer graph: it has only a head");
  // Pixels of the image to one of the last map: the product along the first inputs.
  std::map<std::string, std::int64_t> strides{{"input", 1}};
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& n = nodes_[i];
    for (const std::string& name : n.in) last_use_[name] = i;
    strides[n.out] = strides.at(n.in[0]) * n.stride;
    stride_ = std::max(stride_, strides[n.out]);
  }
}

Tensor GraphNetwork::convolve(Context& ctx, const Node& n, const Tensor& x, bool training, const Look& look) const {
  std::pair<std::int64_t, std::int64_t> pad{n.pad, n.pad};
  if (n.same) {
    pad = same_padding(x.dim(1), n.window, n.stride);
    AKIN_CHECK(pad == same_padding(x.dim(2), n.window, n.stride),
               "layer graph: node {} would pad {}x{} differently in height and width; use square images", n.out,
               x.dim(1), x.dim(2));
  }
  if (!n.norm.empty()) return n.normed.padded(ctx, x, training, pad.first, pad.second);
  if (look) look(n.weights, n.conv.conv().padded(ctx, x, pad.first, pad.second));
  return n.conv.padded(ctx, x, pad.first, pad.second);
}

Tensor GraphNetwork::run(Context& ctx, const Node& n, const std::vector<Tensor>& in, bool training,
                         const Look& look) const {
  switch (n.op) {
    case Op::conv:
      return convolve(ctx, n, in[0], training, look);
    case Op::fc:
      return ops::activation(ctx, n.fc(ctx, in[0]), n.activation);
    case Op::add: {
      Tensor sum = in[0];
      for (std::size_t i = 1; i < in.size(); ++i) sum = ops::add(ctx, sum, in[i]);
      return ops::activation(ctx, sum, n.activation);
    }
    case Op::concat:
      return ops::activation(ctx, ops::concat_channels(ctx, in), n.activation);
    case Op::max_pool:
      return ops::max_pool(ctx, in[0], n.window, n.stride, n.pad, n.ceil);
    case Op::shortcut_a:
      return ops::shortcut_a(ctx, in[0], n.stride, n.channels);
    case Op::scale:
      return ops::channel_scale(ctx, in[0], in[1]);
    case Op::activation:
      return ops::activation(ctx, in[0], n.activation);
    case Op::global_avg_pool:
      return ops::global_avg_pool(ctx, in[0]);
  }
  fail("layer graph: node {} is of no kind", n.out);
}

Tensor GraphNetwork::features(Context& ctx, const Tensor& x, bool training) const {
  return run_all(ctx, x, training, {});
}

Tensor GraphNetwork::run_all(Context& ctx, const Tensor& x, bool training, const Look& look) const {
  check_images(x);
  std::map<std::string, Tensor> made{{"input", x}};
  Tensor y;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& n = nodes_[i];
    std::vector<Tensor> in;
    for (const std::string& name : n.in) in.push_back(made.at(name));
    made[n.out] = y = run(ctx, n, in, training, look);
    for (const std::string& name : n.in)  // a map of a large image is not kept longer than it is needed
      if (last_use_.at(name) == i) made.erase(name);
  }
  AKIN_CHECK(y.shape().rank() == 2,
             "layer graph: what the head reads is {}, expected [N, D]; is a global_avg_pool missing?", y.shape().str());
  return y;
}

void GraphNetwork::collect_extractor(ParameterList& list) const {
  for (const Node& n : nodes_) {
    if (n.op == Op::conv && n.norm.empty()) n.conv.collect(n.weights, list);
    if (n.op == Op::conv && !n.norm.empty()) n.normed.collect(n.weights, n.norm, list);
    if (n.op == Op::fc) n.fc.collect(n.weights, list);
  }
}

}  // namespace akin
