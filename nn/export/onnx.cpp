#include "nn/export/onnx.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "nn/weight_file.hpp"

namespace akin::onnx {

namespace {

using Ints = std::vector<std::int64_t>;

constexpr std::int64_t kFloat = 1;                       // number of the element type float32
constexpr const char* kNormalized = "image.normalized";  ///< what the layers call "input"

Array scalar(float value) { return Array::from<float>({value}, Shape{}); }
Array ints(const Ints& values) { return Array::from(values, {static_cast<std::int64_t>(values.size())}); }
Array per_channel(const std::vector<float>& values, double factor) {
  Array a(DType::f32, {1, static_cast<std::int64_t>(values.size()), 1, 1});
  std::transform(values.begin(), values.end(), a.as<float>().begin(),
                 [&](float v) { return static_cast<float>(static_cast<double>(v) * factor); });
  return a;
}

/// Weight [K, H W C] of a linear layer whose input was an image of [H, W, C]: columns in the order C, H, W.
Array channel_major(const Array& w, const Shape& image) {
  const std::int64_t K = w.shape()[0], H = image[1], W = image[2], C = image[3];
  return permute_conv(w.reshaped({K, H, W, C}), {K, H, W, C}, false).reshaped({K, H * W * C});
}

/// Row p of [P, H]: the mean over the window floor(p H / P) .. ceil((p + 1) H / P), as a matrix.
Array mean_windows(std::int64_t P, std::int64_t H) {
  Array a(DType::f32, {P, H});
  for (std::int64_t p = 0; p < P; ++p) {
    const std::int64_t begin = p * H / P, end = ((p + 1) * H + P - 1) / P;
    for (std::int64_t h = begin; h < end; ++h)
      a.as<float>()[static_cast<std::size_t>(p * H + h)] = 1.0f / static_cast<float>(end - begin);
  }
  return a;
}

Array transposed(const Array& a) {
  const std::int64_t R = a.shape()[0], C = a.shape()[1];
  Array t(DType::f32, {C, R});
  for (std::int64_t r = 0; r < R; ++r)
    for (std::int64_t c = 0; c < C; ++c)
      t.as<float>()[static_cast<std::size_t>(c * R + r)] = a.as<float>()[static_cast<std::size_t>(r * C + c)];
  return t;
}

class Exporter {
 public:
  Exporter(const LayerGraph& layers, const Normalization& normalization, WeightStore store)
      : layers_(layers), store_(store) {
    const Shape& s = layers.input;
    AKIN_CHECK(static_cast<std::int64_t>(normalization.mean.size()) == s[3] &&
                   normalization.std.size() == normalization.mean.size(),
               "onnx: images have {} channels, the normalisation {}", s[3], normalization.mean.size());
    graph_.input = {"image", {s[3], s[1], s[2]}};
    graph_.output = {"logits", {layers.layers.back().output[1]}};
    node("Sub", "image.centred", {"image", constant("normalization.mean", per_channel(normalization.mean, 255))});
    node("Div", kNormalized, {"image.centred", constant("normalization.std", per_channel(normalization.std, 255))});
  }

  Graph run() {
    for (const Layer& layer : layers_.layers) add(layer);
    Node& last = graph_.nodes.back();
    last.output = "logits";
    AKIN_CHECK(!flattened_.contains(layers_.layers.back().name), "onnx: the logits are the pixels of an image");
    return std::move(graph_);
  }

 private:
  void add(const Layer& l) {
    const auto& in = l.inputs;
    // A flattened image is in another order here than in akin. Only what treats all elements alike may pass it on.
    if (const Shape* image = flattened_of(l)) {
      const bool alike =
          l.op.starts_with("relu") || l.op.starts_with("hard") || l.op == "scale" || l.op == "add" || l.op == "mul";
      AKIN_CHECK(alike || l.op == "linear", "onnx: {} of a flattened image has no counterpart", l.op);
      if (alike) flattened_.emplace(l.name, *image);
    }
    if (l.op == "conv2d" || l.op == "depthwise_conv2d") return convolution(l);
    if (l.op == "linear") return linear(l);
    if (l.op == "batchnorm")
      return node("BatchNormalization", l.name,
                  {in[0], weight(l, "weight"), weight(l, "bias"), weight(l, "mean"), weight(l, "var")},
                  {{"epsilon", static_cast<float>(l.attributes.at("eps"))}});
    if (l.op == "channel_bias") return bias(l);
    if (l.op == "relu") return node("Relu", l.name, in);
    if (l.op == "relu6") return node("Clip", l.name, {in[0], constant("zero", scalar(0)), constant("six", scalar(6))});
    if (l.op == "hardsigmoid") return hard_sigmoid(l.name, in[0]);
    if (l.op == "hardswish") {  // HardSwish came with operator set 14
      hard_sigmoid(l.name + ".gate", in[0]);
      return node("Mul", l.name, {in[0], l.name + ".gate"});
    }
    if (l.op == "add" || l.op == "mul") return node(l.op == "add" ? "Add" : "Mul", l.name, in);
    if (l.op == "mix_heads") return mix(l);
    if (l.op == "scale")
      return node("Mul", l.name,
                  {in[0], constant(l.name + ".factor", scalar(static_cast<float>(l.attributes.at("factor"))))});
    if (l.op == "max_pool" || l.op == "avg_pool") return pool(l);
    if (l.op == "global_avg_pool") {
      node("GlobalAveragePool", l.name + ".image", in);
      return node("Flatten", l.name, {l.name + ".image"}, {{"axis", std::int64_t{1}}});
    }
    if (l.op == "adaptive_avg_pool") return adaptive_pool(l);
    if (l.op == "concat_channels") return node("Concat", l.name, in, {{"axis", std::int64_t{1}}});
    if (l.op == "channel_scale") {
      node("Reshape", l.name + ".gate",
           {in[1], constant(l.name + ".shape", ints({0, layers_.shape_of(in[1])[1], 1, 1}))});
      return node("Mul", l.name, {in[0], l.name + ".gate"});
    }
    if (l.op == "shortcut_a") return shortcut(l);
    if (l.op == "reshape") return reshape(l);
    fail("onnx: {} ({}) has no counterpart; export safetensors instead", l.op, l.name);
  }

  /// Shape of the image that an input of `l` is a flattened one of; nullptr where none is.
  const Shape* flattened_of(const Layer& l) const {
    const Shape* found = nullptr;
    std::size_t count = 0;
    for (const std::string& input : l.inputs)
      if (const auto it = flattened_.find(input); it != flattened_.end()) {
        AKIN_CHECK(found == nullptr || *found == it->second, "onnx: {} mixes flattened images of two shapes", l.name);
        found = &it->second;
        ++count;
      }
    AKIN_CHECK(count == 0 || count == l.inputs.size(), "onnx: {} mixes a flattened image with another value", l.name);
    return found;
  }

  void convolution(const Layer& l) {
    const Shape& w = layers_.weights.at(l.weights.at("weight")).shape();
    const std::int64_t stride = l.whole("stride"), pad = l.whole("pad"), end = l.whole("pad_end", pad);
    std::vector<std::string> inputs{l.inputs[0], layer_weight(l)};
    if (l.weights.contains("bias")) inputs.push_back(weight(l, "bias"));
    node("Conv", l.name, inputs,
         {{"kernel_shape", Ints{w[1], w[2]}},
          {"strides", Ints{stride, stride}},
          {"pads", Ints{pad, pad, end, end}},
          {"group", l.op == "conv2d" ? std::int64_t{1} : w[0]}});
  }

  void linear(const Layer& l) {
    const auto image = flattened_.find(l.inputs[0]);
    const std::string& name = l.weights.at("weight");
    if (image != flattened_.end()) constant(name, channel_major(layers_.weights.at(name), image->second));
    std::vector<std::string> inputs{l.inputs[0], layer_weight(l)};
    if (l.weights.contains("bias")) inputs.push_back(weight(l, "bias"));
    node("Gemm", l.name, inputs, {{"transB", std::int64_t{1}}});
  }

  void bias(const Layer& l) {
    const std::string& name = l.weights.at("bias");
    const Array& b = layers_.weights.at(name);
    const bool images = l.output.rank() == 4;
    node("Add", l.name, {l.inputs[0], constant(name, images ? b.reshaped({1, b.numel(), 1, 1}) : b)});
  }

  /// As kernels/mix_heads.hpp has it.
  void mix(const Layer& l) {
    const double share = l.attributes.at("share");
    const std::pair<const char*, double> heads[] = {{".own", std::log1p(-share)}, {".taught", std::log(share)}};
    std::vector<std::string> parts;
    for (int k : {0, 1}) {
      const std::string name = l.name + heads[k].first;
      node("LogSoftmax", name + ".log", {l.inputs[static_cast<std::size_t>(k)]}, {{"axis", std::int64_t{1}}});
      // A share of 0 or 1: far below any probability, where -inf would make NaN of the difference.
      const auto least = static_cast<float>(std::max(heads[k].second, -1e30));
      node("Add", name, {name + ".log", constant(name + ".share", scalar(least))});
      parts.push_back(name);
    }
    node("Max", l.name + ".top", parts);
    std::vector<std::string> rest;
    for (const std::string& part : parts) {
      node("Sub", part + ".below", {part, l.name + ".top"});
      node("Exp", part + ".exp", {part + ".below"});
      rest.push_back(part + ".exp");
    }
    node("Add", l.name + ".sum", rest);
    node("Log", l.name + ".rest", {l.name + ".sum"});
    node("Add", l.name, {l.name + ".top", l.name + ".rest"});
  }

  void hard_sigmoid(const std::string& name, const std::string& input) {
    node("HardSigmoid", name, {input}, {{"alpha", 1.0f / 6.0f}, {"beta", 0.5f}});
  }

  /// A last window that hangs over the end (torch's ceil_mode) becomes padding at the end: ONNX's own ceil_mode was
  /// understood in two ways.
  void pool(const Layer& l) {
    const Shape &x = layers_.shape_of(l.inputs[0]), &y = l.output;
    const std::int64_t window = l.whole("window"), stride = l.whole("stride"), pad = l.whole("pad");
    const auto end = [&](int i) { return std::max(pad, (y[i] - 1) * stride + window - x[i] - pad); };
    std::vector<std::pair<std::string, Attribute>> attributes{{"kernel_shape", Ints{window, window}},
                                                              {"strides", Ints{stride, stride}},
                                                              {"pads", Ints{pad, pad, end(1), end(2)}}};
    if (l.op == "avg_pool") attributes.emplace_back("count_include_pad", std::int64_t{1});
    node(l.op == "max_pool" ? "MaxPool" : "AveragePool", l.name, l.inputs, std::move(attributes));
  }

  void adaptive_pool(const Layer& l) {
    const Shape &x = layers_.shape_of(l.inputs[0]), &y = l.output;
    node("MatMul", l.name + ".wide",
         {l.inputs[0], constant(l.name + ".columns", transposed(mean_windows(y[2], x[2])))});
    node("MatMul", l.name, {constant(l.name + ".rows", mean_windows(y[1], x[1])), l.name + ".wide"});
  }

  void shortcut(const Layer& l) {
    const Shape& x = layers_.shape_of(l.inputs[0]);
    const std::int64_t stride = l.whole("stride"), more = (l.output[3] - x[3]) / 2;
    node("Slice", l.name + ".pixels",
         {l.inputs[0], constant(l.name + ".starts", ints({0, 0})), constant(l.name + ".ends", ints({x[1], x[2]})),
          constant(l.name + ".axes", ints({2, 3})), constant(l.name + ".steps", ints({stride, stride}))});
    node("Pad", l.name, {l.name + ".pixels", constant(l.name + ".pads", ints({0, more, 0, 0, 0, more, 0, 0}))});
  }

  void reshape(const Layer& l) {
    const Shape &x = layers_.shape_of(l.inputs[0]), &y = l.output;
    if (x == y) return node("Identity", l.name, l.inputs);
    if (y.rank() == 2 && x.rank() == 4) {
      if (x[1] * x[2] > 1) flattened_.emplace(l.name, x);
      return node("Flatten", l.name, l.inputs, {{"axis", std::int64_t{1}}});
    }
    const bool pixel = x.rank() == 2 && y.rank() == 4 && y[1] == 1 && y[2] == 1;
    AKIN_CHECK(pixel, "onnx: reshape of {} to {} has no counterpart", x.str(), y.str());
    node("Reshape", l.name, {l.inputs[0], constant(l.name + ".shape", ints({0, y[3], 1, 1}))});
  }

  /// The initialiser of a role, in the layout of files.
  std::string weight(const Layer& l, const char* role) {
    const std::string& name = l.weights.at(role);
    const Array& a = layers_.weights.at(name);
    return constant(name, a.shape().rank() == 4 ? permute_conv(a, a.shape(), false) : a);
  }

  /// The weight of a convolution or linear layer in f32: the initialiser itself, or what a node makes of it.
  std::string layer_weight(const Layer& l) {
    const std::string name = weight(l, "weight"), plain = name + ".f32";
    const WeightStore store = store_of(store_, layers_.weights.at(name), layers_.of_head.contains(name));
    if (store == WeightStore::f32) return name;
    if (!decoded_.insert(name).second) return plain;  // two layers share it
    Array& stored = std::find_if(graph_.initializers.begin(), graph_.initializers.end(), [&](const auto& i) {
                      return i.first == name;
                    })->second;
    if (store == WeightStore::f16) {
      to_halves(stored, name);
      graph_.halves.insert(name);
      node("Cast", plain, {name}, {{"to", kFloat}});
      return plain;
    }
    QuantizedWeight q = quantized(stored);
    stored = std::move(q.q);
    Array zero(DType::u8, q.scale.shape());
    std::ranges::fill(zero.as<std::uint8_t>(), kZeroPoint);
    const std::string scale = constant(name + "_scale", std::move(q.scale));
    node("DequantizeLinear", plain, {name, scale, constant(name + "_zero_point", std::move(zero))},
         {{"axis", std::int64_t{0}}});
    return plain;
  }

  /// Adds an initialiser unless it is there.
  std::string constant(const std::string& name, Array value) {
    const auto same = [&](const auto& i) { return i.first == name; };
    if (std::none_of(graph_.initializers.begin(), graph_.initializers.end(), same))
      graph_.initializers.emplace_back(name, std::move(value));
    return name;
  }

  void node(const char* op, const std::string& name, std::vector<std::string> inputs,
            std::vector<std::pair<std::string, Attribute>> attributes = {}) {
    std::replace(inputs.begin(), inputs.end(), std::string("input"), std::string(kNormalized));
    graph_.nodes.push_back({op, name, std::move(inputs), name, std::move(attributes)});
  }

  const LayerGraph& layers_;
  WeightStore store_;
  Graph graph_;
  std::set<std::string> decoded_;  // initialisers that a node makes f32 of
  std::map<std::string, Shape> flattened_;
};

}  // namespace

Graph export_layers(const LayerGraph& layers, const Normalization& normalization, WeightStore store) {
  return Exporter(layers, normalization, store).run();
}

}  // namespace akin::onnx
