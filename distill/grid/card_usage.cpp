#include "distill/grid/card_usage.hpp"

#include <algorithm>
#include <sstream>

#include "engine/io/json.hpp"
#include "nn/export/hub.hpp"

namespace akin {

namespace {

/// What timm calls the network of a folder for the Hub; folded it is nobody's.
std::optional<TimmNetwork> timm_of(const CardFacts& f) {
  return f.hub && !f.folded ? timm_network(f.model->info.architecture) : std::nullopt;
}

std::string onnx_code(const CardFacts& f, const std::string& file) {
  std::string code = "import json, numpy, onnxruntime\n" + prepare_in_python(input_of(f));
  code += fmt::format(
      "network = onnxruntime.InferenceSession(\"{}\")\n"
      "x = numpy.asarray(prepare(\"picture.jpg\"), numpy.float32){}\n"
      "logits = network.run([\"logits\"], {{\"image\": x}})[0]\n",
      file, f.model->info.architecture.channels == 1 ? "[None, None]" : ".transpose(2, 0, 1)[None]");
  if (!f.model->info.classes.empty())
    code +=
        "classes = json.loads(network.get_modelmeta().custom_metadata_map[\"classes\"])\n"
        "print(classes[logits[0].argmax()])\n";
  return code;
}

/// From a picture to logits, with a `network` at hand.
std::string run_code(const CardFacts& f) {
  const ModelInfo& info = f.model->info;
  const auto values = [](const std::vector<float>& v) {
    return fmt::format("torch.tensor([{}])[:, None, None]", fmt::join(v, ", "));
  };
  return fmt::format(
      "network.eval()\n"
      "x = torch.from_numpy(numpy.array(prepare(\"picture.jpg\"), numpy.float32)){} / 255\n"
      "x = (x - {}) / {}\n"
      "with torch.no_grad():\n"
      "    logits = network(x)\n",
      info.architecture.channels == 1 ? "[None, None]" : ".permute(2, 0, 1)[None]", values(info.normalization.mean),
      values(info.normalization.std));
}

/// Weights as f32 again, where a number of 8 bits and a scale stand for each.
constexpr const char* kDequantize =
    "for name in [name for name in weights if name + \"_scale\" in weights]:  # int8: scale (q - zero point), row by "
    "row\n"
    "    scale, zero = (weights.pop(name + end).float() for end in (\"_scale\", \"_zero_point\"))\n"
    "    rows = [-1] + [1] * (weights[name].dim() - 1)\n"
    "    weights[name] = (weights[name].float() - zero.view(rows)) * scale.view(rows)\n";

/// With the network's code, or torchvision's.
std::string pytorch_code(const CardFacts& f, const std::string& file) {
  const std::string call = torchvision_call(f.model->info.architecture);
  const bool own = !f.network_code.empty();
  std::string code = own ? "import json, numpy, safetensors.torch\n" + f.network_code + "\n\n"
                         : "import json, numpy, safetensors.torch, torch, torchvision\n";
  code += prepare_in_python(input_of(f));
  code += fmt::format("weights = safetensors.torch.load_file(\"{}\")\n", file);
  if (f.store == WeightStore::int8) code += kDequantize;
  code += own ? "network = Network()\n" : fmt::format("network = torchvision.models.{}\n", call);
  code += "network.load_state_dict(weights)\n" + run_code(f);
  if (f.model->info.classes.empty()) return code;
  if (f.hub)
    return code + fmt::format("print(json.load(open(\"{}\"))[\"label_names\"][logits[0].argmax()])\n", kHubConfig);
  return code + fmt::format(
                    "with safetensors.safe_open(\"{}\", \"pt\") as file:\n"
                    "    classes = json.loads(file.metadata()[\"model\"])[\"class_names\"]\n"
                    "print(classes[logits[0].argmax()])\n",
                    file);
}

std::string timm_code(const CardFacts& f, const TimmNetwork& timm) {
  std::string code = "import json, numpy, timm, torch\n" + prepare_in_python(input_of(f));
  code +=
      "network = timm.create_model(\"local-dir:.\", pretrained=True)  # uploaded: \"hf-hub:USER/NAME\"\n" + run_code(f);
  if (!f.model->info.classes.empty())
    code += fmt::format("print(json.load(open(\"{}\"))[\"label_names\"][logits[0].argmax()])\n", kHubConfig);
  const Architecture& a = f.model->info.architecture;
  return fmt::format("\ntimm has this network: {}.\n\n", timm.name) + indented(code) +
         fmt::format(
             "\nA timm that knows no \"local-dir\" loads the same weights by\n\n"
             "    timm.create_model(\"{}\", num_classes={}, in_chans={}, checkpoint_path=\"{}\")\n",
             timm.name, a.classes, a.channels, kHubWeights);
}

std::string tensors_part(const CardFacts& f, const std::string& file) {
  if (const auto timm = timm_of(f)) return timm_code(f, *timm);
  std::string text;
  const bool torchvision = !torchvision_call(f.model->info.architecture).empty();
  if (!f.network_code.empty())
    text = "\nPyTorch. The code of the network comes with it, for no library has this one by name.\n\n";
  else if (torchvision && !f.folded)
    text = "\nPyTorch. The network is torchvision's.\n\n";
  else
    return "";
  return text + indented(pytorch_code(f, file));
}

}  // namespace

Preprocessing input_of(const CardFacts& f) {
  Preprocessing p = preprocessing_of(f.model->info);
  p.height = f.height;
  p.width = f.width;
  return p;
}

std::string indented(const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out += line.empty() ? "\n" : "    " + line + "\n";
  return out;
}

std::string usage_part(const CardFacts& f) {
  const auto file = [&](const char* ending) {
    const auto it = std::find_if(f.files.begin(), f.files.end(), [&](const auto& n) { return n.ends_with(ending); });
    return it == f.files.end() ? std::string() : *it;
  };
  const std::string onnx = file(".onnx"), tensors = file(".safetensors");
  std::string text = "\n## How to run it\n";
  if (!onnx.empty())
    text +=
        "\nonnxruntime (any program that reads ONNX, operator set 13). The input is float32 [batch, channels, height, "
        "width] with values 0 to 255; the file normalises by itself.\n\n" +
        indented(onnx_code(f, onnx));
  if (tensors.empty()) return text;
  if (f.folded)
    text +=
        "\nThe safetensors file holds convolutions with biases in place of batch norms, and the list of layers that "
        "says how they are connected.\n";
  text += tensors_part(f, tensors);
  return text + "\nakin:\n\n" + indented(fmt::format("akin predict {} PICTURES", tensors));
}

std::string hub_head(const CardFacts& f) {
  const ModelInfo& info = f.model->info;
  const bool timm = timm_of(f).has_value();
  const double accuracy = f.kept.images > 0 ? f.kept.stored : info.test_accuracy;
  const std::string set = f.kept.images > 0 ? f.kept.data : info.task;
  std::string text = fmt::format(
      "---\n"
      "# license: yours to add, see \"Licence\" below\n"
      "library_name: {}\n"
      "pipeline_tag: image-classification\n"
      "tags:\n- image-classification\n- {}\n- akin\n",
      timm ? "timm" : "pytorch", timm ? "timm" : "pytorch");
  if (accuracy >= 0 && !set.empty())
    text += fmt::format(
        "metrics:\n- accuracy\n"
        "model-index:\n"
        "- name: {0}\n"
        "  results:\n"
        "  - task:\n"
        "      type: image-classification\n"
        "    dataset:\n"
        "      name: {1}\n"
        "      type: {1}\n"
        "      split: test\n"
        "    metrics:\n"
        "    - type: accuracy\n"
        "      value: {2:.4f}\n",
        json_line(f.name), json_line(set), accuracy);
  return text + "---\n\n";
}

}  // namespace akin
