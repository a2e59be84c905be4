#include "nn/export/pytorch.hpp"

#include <cmath>
#include <map>
#include <set>

#include "engine/io/json.hpp"

namespace akin {

namespace {

constexpr std::size_t kLongest = 84;  // characters of an expression that another one takes in

class Writer {
 public:
  Writer(const LayerGraph& layers, const SafeTensors& file) : layers_(layers), file_(file) { values_["input"] = "x"; }

  std::string text() {
    for (const Layer& l : layers_.layers) {
      std::string made = expression(l);
      const bool last = &l == &layers_.layers.back(), inside = layers_.readers(l.name) == 1 && made.size() <= kLongest;
      if (last || inside) {
        values_[l.name] = made;
        continue;
      }
      const std::string name = fmt::format("x{}", ++count_);
      forward_ += fmt::format("        {} = {}\n", name, made);
      values_[l.name] = name;
    }
    const Shape &in = layers_.input, &out = layers_.layers.back().output;
    return fmt::format(
        "import torch\n"
        "from torch import nn\n"
        "from torch.nn import functional as F\n\n\n"
        "class Network(nn.Module):\n"
        "    \"\"\"Normalised images, float32 [batch, {}, {}, {}] -> logits [batch, {}].\"\"\"\n\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        layers = {{\n{}        }}\n"
        "        for name, layer in layers.items():  # \"a.b\" becomes module b of module a, as the weights are named\n"
        "            *path, last = name.split(\".\")\n"
        "            at = self\n"
        "            for part in path:\n"
        "                if part not in at._modules:\n"
        "                    at.add_module(part, nn.Module())\n"
        "                at = at._modules[part]\n"
        "            at.add_module(last, layer)\n\n"
        "    def forward(self, x):\n"
        "        at = self.get_submodule\n{}"
        "        return {}\n",
        in[3], in[1], in[2], out.dims().back(), modules_, forward_, values_.at(layers_.layers.back().name));
  }

 private:
  const std::string& in(const Layer& l, std::size_t i = 0) const { return values_.at(l.inputs[i]); }
  /// The same as an operand: a sum or product in parentheses.
  std::string operand(const Layer& l, std::size_t i = 0) const {
    const std::string& text = in(l, i);
    const bool bare = text.find(" + ") == std::string::npos && text.find(" * ") == std::string::npos;
    return bare ? text : "(" + text + ")";
  }

  std::string expression(const Layer& l) {
    const auto call = [&](const char* function) { return fmt::format("{}({})", function, in(l)); };
    if (l.op == "conv2d" || l.op == "depthwise_conv2d") return convolution(l);
    if (l.op == "linear") return linear(l);
    if (l.op == "batchnorm") {
      const double eps = l.attributes.at("eps");
      const std::string more = static_cast<float>(eps) == 1e-5f ? "" : fmt::format(", eps={:g}", eps);
      return fmt::format("{}({})", module(l, fmt::format("nn.BatchNorm2d({}{})", l.output[3], more)), in(l));
    }
    if (l.op == "relu") return call("F.relu");
    if (l.op == "relu6") return call("F.relu6");
    if (l.op == "hardswish") return call("F.hardswish");
    if (l.op == "hardsigmoid") return call("F.hardsigmoid");
    if (l.op == "add") return fmt::format("{} + {}", in(l), in(l, 1));
    if (l.op == "mul") return fmt::format("{} * {}", operand(l), operand(l, 1));
    if (l.op == "scale") return fmt::format("{:.9g} * {}", l.attributes.at("factor"), operand(l));
    if (l.op == "mix_heads") return mix(l);
    if (l.op == "max_pool" || l.op == "avg_pool") return pool(l);
    if (l.op == "global_avg_pool") return fmt::format("{}.mean((2, 3))", operand(l));
    if (l.op == "adaptive_avg_pool")
      return fmt::format("F.adaptive_avg_pool2d({}, ({}, {}))", in(l), l.output[1], l.output[2]);
    if (l.op == "concat_channels") {
      std::string list;
      for (std::size_t i = 0; i < l.inputs.size(); ++i) list += (i > 0 ? ", " : "") + in(l, i);
      return fmt::format("torch.cat([{}], 1)", list);
    }
    if (l.op == "channel_scale") return fmt::format("{} * {}[:, :, None, None]", operand(l), operand(l, 1));
    if (l.op == "shortcut_a") {
      const std::int64_t s = l.whole("stride"), more = (l.output[3] - layers_.shape_of(l.inputs[0])[3]) / 2;
      return fmt::format("F.pad({}[:, :, ::{}, ::{}], (0, 0, 0, 0, {}, {}))", operand(l), s, s, more, more);
    }
    if (l.op == "reshape") return reshape(l);
    fail("pytorch: {} ({}) has no counterpart", l.op, l.name);
  }

  /// Lists the module that has the layer's weights, and says how forward() finds it.
  std::string module(const Layer& l, const std::string& constructor) {
    const std::string& weight = l.weights.at("weight");
    AKIN_CHECK(weight.ends_with(".weight"), "pytorch: the weights of {} are called {}", l.name, weight);
    const std::string name = weight.substr(0, weight.size() - 7);
    if (listed_.insert(name).second) modules_ += fmt::format("            {}: {},\n", json_line(name), constructor);
    return fmt::format("at({})", json_line(name));
  }

  const char* bias_of(const Layer& l) const { return l.weights.contains("bias") ? "" : ", bias=False"; }
  const Shape& in_file(const Layer& l) const { return file_.at(l.weights.at("weight")).shape(); }

  std::string convolution(const Layer& l) {
    const Shape& w = in_file(l);
    AKIN_CHECK(w.rank() == 4, "pytorch: the weight of {} is {}, a convolution's was expected", l.name, w.str());
    const bool depthwise = l.op != "conv2d";
    const std::int64_t stride = l.whole("stride"), pad = l.whole("pad"), end = l.whole("pad_end", pad);
    std::string options = w[2] == w[3] ? fmt::format("{}", w[2]) : fmt::format("({}, {})", w[2], w[3]);
    if (stride != 1) options += fmt::format(", stride={}", stride);
    if (pad > 0 && pad == end) options += fmt::format(", padding={}", pad);
    if (depthwise) options += fmt::format(", groups={}", w[0]);
    const std::string made =
        module(l, fmt::format("nn.Conv2d({}, {}, {}{})", depthwise ? w[0] : w[1], w[0], options, bias_of(l)));
    if (pad == end) return fmt::format("{}({})", made, in(l));
    return fmt::format("{}(F.pad({}, ({}, {}, {}, {})))", made, in(l), pad, end, pad, end);
  }

  std::string linear(const Layer& l) {
    const Shape& w = in_file(l);
    if (w.rank() == 4)  // of squeeze-excite: files have a 1x1 convolution
      return fmt::format("{}({}[:, :, None, None]).flatten(1)",
                         module(l, fmt::format("nn.Conv2d({}, {}, 1{})", w[1], w[0], bias_of(l))), operand(l));
    return fmt::format("{}({})", module(l, fmt::format("nn.Linear({}, {}{})", w[1], w[0], bias_of(l))), in(l));
  }

  /// As kernels/mix_heads.hpp has it.
  std::string mix(const Layer& l) {
    const double share = l.attributes.at("share");
    if (share >= 1) return fmt::format("F.log_softmax({}, 1)", in(l, 1));
    return fmt::format("torch.logaddexp(F.log_softmax({}, 1) + {:.9g}, F.log_softmax({}, 1) + {:.9g})", in(l),
                       std::log1p(-share), in(l, 1), std::log(share));
  }

  std::string pool(const Layer& l) {
    const Shape& x = layers_.shape_of(l.inputs[0]);
    const std::int64_t window = l.whole("window"), stride = l.whole("stride"), pad = l.whole("pad");
    const auto hangs_over = [&](int side) { return l.output[side] > (x[side] + 2 * pad - window) / stride + 1; };
    return fmt::format("F.{}_pool2d({}, {}, {}, {}{})", l.op == "max_pool" ? "max" : "avg", in(l), window, stride, pad,
                       hangs_over(1) || hangs_over(2) ? ", ceil_mode=True" : "");
  }

  std::string reshape(const Layer& l) {
    const Shape &x = layers_.shape_of(l.inputs[0]), &y = l.output;
    if (x == y) return in(l);
    if (y.rank() == 2 && x.rank() == 4) return fmt::format("{}.flatten(1)", operand(l));
    AKIN_CHECK(x.rank() == 2 && y.rank() == 4 && y[1] == 1 && y[2] == 1, "pytorch: reshape of {} to {}", x.str(),
               y.str());
    return fmt::format("{}[:, :, None, None]", operand(l));
  }

  const LayerGraph& layers_;
  const SafeTensors& file_;
  std::map<std::string, std::string> values_;  // expression of each layer's output
  std::set<std::string> listed_;
  std::string modules_, forward_;
  int count_ = 0;
};

}  // namespace

std::string pytorch_network(const LayerGraph& layers, const SafeTensors& file) { return Writer(layers, file).text(); }

}  // namespace akin
