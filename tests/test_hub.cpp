// Folders for the Hugging Face Hub: names that timm looks for, and weights that akin still reads.
#include "nn/export/hub.hpp"

#include <doctest/doctest.h>

#include <set>

#include "engine/io/json.hpp"
#include "engine/io/seal.hpp"
#include "nn/export/pytorch.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

ModelInfo info_of(const Network& net, std::int64_t height, std::int64_t width) {
  ModelInfo info;
  info.architecture = net.architecture();
  info.height = height;
  info.width = width;
  info.normalization = {std::vector<float>(static_cast<std::size_t>(net.architecture().channels), 0.485f),
                        std::vector<float>(static_cast<std::size_t>(net.architecture().channels), 0.229f)};
  info.classes = {"low", "mid", "\"high\""};
  return info;
}

std::string name_of(const Architecture& a) {
  const auto timm = timm_network(a);
  return timm ? timm->name : "";
}

}  // namespace

TEST_CASE("hub: only networks that are timm's, layer by layer, get its names") {
  const auto built = [](Architecture a) {
    Context no_memory(Device::cpu, {.shapes_only = true});
    return make_network(no_memory, a)->architecture();
  };
  CHECK_EQ(name_of(built({.name = "resnet18"})), "resnet18");
  CHECK_EQ(name_of(built({.name = "resnet50", .channels = 1})), "resnet50");
  CHECK_EQ(name_of(built({.name = "mobilenet_v1", .width = 40})), "mobilenetv1_125");
  CHECK_EQ(name_of(built({.name = "mobilenet_v2", .width = 24})), "mobilenetv2_075");
  CHECK_EQ(name_of(built({.name = "mobilenet_v3_large"})), "mobilenetv3_large_100");
  for (Architecture a : {Architecture{.name = "resnet18", .width = 32},
                         {.name = "resnet18", .stem = "small"},
                         {.name = "resnet8"},
                         {.name = "resnet18", .norm_eps = 1e-6},
                         {.name = "resnet18", .taught_share = 0.5},
                         {.name = "mobilenet_v2", .width = 48},
                         {.name = "mobilenet_v3_small", .width = 8},
                         {.name = "mobilenet_v1", .width = 8},
                         {.name = "googlenet"},
                         {.name = "alexnet"}})
    CHECK_EQ(name_of(built(a)), "");
  CHECK_EQ(torchvision_call(built({.name = "resnet34", .classes = 5})), "resnet34(num_classes=5)");
  CHECK_EQ(torchvision_call(built({.name = "mobilenet_v2", .width = 16, .classes = 2})),
           "mobilenet_v2(width_mult=0.5, num_classes=2)");
  CHECK_EQ(torchvision_call(built({.name = "resnet34", .channels = 1})), "");
  CHECK_EQ(torchvision_call(built({.name = "mobilenet_v3_small", .norm_eps = 1e-5})), "");
  CHECK_EQ(torchvision_call(built({.name = "mobilenet_v1"})), "");
}

TEST_CASE("hub: weights under timm's names give the same logits in akin") {
  Context ctx;
  for (const char* name : {"resnet18", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"}) {
    CAPTURE(name);
    const auto net = random_net(ctx, {.name = name, .channels = 1, .classes = 3});
    const ModelInfo info = info_of(*net, 64, 64);
    const auto timm = timm_network(net->architecture());
    REQUIRE(timm);
    SafeTensors file = hub_weights(*net, info, timm);
    CHECK_EQ(file.metadata.at("format"), "pt");
    CHECK(file.at(timm->first_conv + ".weight").shape()[1] == 1);
    CHECK(file.at(timm->classifier + ".weight").shape()[0] == 3);
    for (const auto& [tensor, array] : file.tensors) CHECK_FALSE(tensor.starts_with("features."));
    seal(file);
    const Model read = load_model(ctx, parse_safetensors(to_safetensors(file), "model.safetensors"), "h");
    CHECK(read.info.classes == info.classes);
    const Tensor x = noise(ctx, {2, 64, 64, 1});
    // Variances are another by one rounding where eps is another.
    CHECK(apart(read.network->logits(ctx, x, false), net->logits(ctx, x, false)) < 1e-5);
  }
}

TEST_CASE("hub: config.json and preprocessor_config.json say what the pictures become") {
  Context ctx;
  const auto net = random_net(ctx, {.name = "resnet18", .classes = 3});
  ModelInfo info = info_of(*net, 64, 64);
  info.fit = {.crop = 0.875, .filter = Filter::bicubic};
  const Json config = parse_json(hub_config(*net, info, timm_network(net->architecture())), "config");
  CHECK_EQ(config["architecture"], "resnet18");
  CHECK_EQ(config["num_features"], 512);
  CHECK_EQ(config["global_pool"], "avg");
  CHECK_EQ(config["label_names"][2], "\"high\"");
  const Json cfg = config["pretrained_cfg"];
  CHECK_EQ(cfg["input_size"], Json({3, 64, 64}));
  CHECK_EQ(cfg["crop_pct"], 0.875);
  CHECK_EQ(cfg["crop_mode"], "center");
  CHECK_EQ(cfg["interpolation"], "bicubic");
  CHECK_EQ(cfg["mean"][0].dump(), "0.485");
  CHECK_EQ(cfg["first_conv"], "conv1");
  CHECK_EQ(cfg["classifier"], "fc");
  Json seen = parse_json(hub_preprocessor(info), "preprocessor");
  CHECK_EQ(seen["image_processor_type"], "ConvNextImageProcessor");
  CHECK_EQ(seen["size"], Json({{"shortest_edge", 64}}));
  CHECK_EQ(seen["crop_pct"], 0.875);
  CHECK_EQ(seen["resample"], 3);
  info.fit = {.stretch = true};
  CHECK_EQ(parse_json(hub_config(*net, info, {}), "config")["pretrained_cfg"]["crop_mode"], "squash");
  seen = parse_json(hub_preprocessor(info), "preprocessor");
  CHECK_EQ(seen["image_processor_type"], "ViTImageProcessor");
  CHECK_EQ(seen["size"], Json({{"height", 64}, {"width", 64}}));
  info.fit = {};
  info.height = 48;
  CHECK_FALSE(parse_json(hub_preprocessor(info), "preprocessor").contains("image_processor_type"));
  info.height = 64;
  info.architecture.channels = 1;
  CHECK_FALSE(parse_json(hub_preprocessor(info), "preprocessor").contains("image_processor_type"));
}

TEST_CASE("hub: the code of a network lists every weight once, and only what it reads") {
  Context ctx;
  for (const Architecture& a : {Architecture{.name = "resnet8", .width = 2, .classes = 3},
                                {.name = "mobilenet_v3_small", .width = 8},
                                {.name = "googlenet"},
                                {.name = "squeezenet1_0"},
                                {.name = "alexnet"}}) {
    CAPTURE(a.name);
    const auto net = random_net(ctx, a);
    SafeTensors file;
    export_weights(*net, file);
    const std::string code = pytorch_network(capture_layers(ctx, *net, 80, 80), file);
    std::set<std::string> modules;
    for (const auto& [name, array] : file.tensors) modules.insert(name.substr(0, name.rfind('.')));
    for (const std::string& module : modules) {
      const std::size_t first = code.find("\"" + module + "\": nn."),
                        again = code.find("\"" + module + "\": nn.", first + 1);
      CHECK_MESSAGE(first != std::string::npos, module);
      CHECK_MESSAGE(again == std::string::npos, module);
      CHECK_MESSAGE(code.find("at(\"" + module + "\")") != std::string::npos, module);
    }
    for (std::size_t at = 0; (at = code.find("\n", at)) != std::string::npos; ++at) {
      const std::size_t end = code.find("\n", at + 1);
      if (end != std::string::npos) CHECK(end - at < 260);
    }
  }
  // A value that is read twice gets a name.
  const FreeNet odd(ctx, 1, 4, 2, [](Context& c, const FreeNet& net, const Tensor& x) {
    const Tensor y = ops::conv2d(c, x, net.weight("c.weight", {4, 1, 1, 1}), 1, 0);
    return ops::global_avg_pool(c, ops::add(c, y, y));
  });
  const LayerGraph layers = capture_layers(ctx, odd, 4, 4);
  SafeTensors file;
  export_weights(odd, file);
  CHECK(has(pytorch_network(layers, file), "at(\"fc\")((x1 + x1).mean((2, 3)))"));
  // A layer without a counterpart is named.
  LayerGraph strange = layers;
  strange.layers[1].op = "fold_space";
  CHECK(has(error_of([&] { pytorch_network(strange, file); }), "pytorch: fold_space (add"));
}
