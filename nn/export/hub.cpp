#include "nn/export/hub.hpp"

#include <charconv>

#include "engine/io/json.hpp"
#include "nn/akin_file.hpp"

namespace akin {

namespace {

/// 0.485, not the 0.48500001430511475 that the float is as a double.
double short_number(float v) {
  const std::string text = fmt::format("{}", v);
  double d = 0;
  std::from_chars(text.data(), text.data() + text.size(), d);
  return d;
}

Json list(const std::vector<float>& values) {
  Json all = Json::array();
  for (const float v : values) all.push_back(short_number(v));
  return all;
}

}  // namespace

std::string hub_config(const Network& network, const ModelInfo& info, const std::optional<TimmNetwork>& timm) {
  const Architecture& a = network.architecture();
  Json cfg = {{"custom_load", false},
              {"input_size", {a.channels, info.height, info.width}},
              {"fixed_input_size", false},
              {"interpolation", name_of(info.fit.filter)},
              {"crop_pct", info.fit.stretch ? 1.0 : info.fit.crop},
              // timm's "squash" resizes both sides; "center" covers the shape and takes the middle, as akin does.
              {"crop_mode", info.fit.stretch ? "squash" : "center"},
              {"mean", list(info.normalization.mean)},
              {"std", list(info.normalization.std)},
              {"num_classes", a.classes}};
  if (timm) cfg.update({{"first_conv", timm->first_conv}, {"classifier", timm->classifier}});
  Json j = {{"architecture", timm ? timm->name : a.name},
            {"num_classes", a.classes},
            {"num_features", timm ? timm->features : network.feature_size()}};
  if (timm) j["global_pool"] = "avg";
  if (!info.classes.empty()) j["label_names"] = info.classes;
  j["pretrained_cfg"] = cfg;
  return json_text(j);
}

std::string hub_preprocessor(const ModelInfo& info) {
  const bool grey = info.architecture.channels == 1, square = info.height == info.width;
  Json j = Json::object();
  // ConvNext's processor resizes the shorter side to side / crop_pct and takes the middle, below 384 pixels; ViT's
  // resizes both sides.
  const bool stretch = info.fit.stretch, middle = square && info.width < 384;
  if (!grey && (stretch || middle))
    j["image_processor_type"] = stretch ? "ViTImageProcessor" : "ConvNextImageProcessor";
  j["do_resize"] = true;
  if (stretch || !square)
    j["size"] = {{"height", info.height}, {"width", info.width}};
  else
    j["size"] = {{"shortest_edge", info.width}};
  if (!stretch) j["crop_pct"] = info.fit.crop;
  j["resample"] = info.fit.filter == Filter::bicubic ? 3 : 2;  // PIL's numbers
  j["do_rescale"] = true;
  j["rescale_factor"] = 1.0 / 255;
  j["do_normalize"] = true;
  j["image_mean"] = list(info.normalization.mean);
  j["image_std"] = list(info.normalization.std);
  if (!grey) j["do_convert_rgb"] = true;
  return json_text(j);
}

SafeTensors hub_weights(const Network& network, const ModelInfo& info, const std::optional<TimmNetwork>& timm) {
  SafeTensors file = model_content(network, info);
  if (timm) {
    file.tensors = timm_weights(network).tensors;
    Json j = parse_json(file.metadata.at("model"), "model description");
    j["norm_eps"] = kTimmNormEps;
    file.metadata["model"] = json_line(j);
  }
  file.metadata["akin"] = kModelFormat;
  file.metadata["format"] = "pt";
  return file;
}

}  // namespace akin
