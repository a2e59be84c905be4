// Weights in f16 and int8: as near as the types allow, read back by akin as they were written, the same in ONNX.
#include "nn/export/stored_weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/io/seal.hpp"
#include "engine/io/sha256.hpp"
#include "engine/io/stored_type.hpp"
#include "nn/evaluate.hpp"
#include "nn/export/onnx.hpp"
#include "nn/model_file.hpp"
#include "tests/onnx_reader.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<std::pair<std::string, WeightStore>> weights_of(const Network& network, WeightStore store) {
  std::vector<std::pair<std::string, WeightStore>> ways;
  for (const Parameter& p : network.parameters())
    if (p.is_weight()) ways.emplace_back(p.name, store_of(store, p.tensor.to_array(), network.in_head(p.name)));
  return ways;
}

}  // namespace

TEST_CASE("stored weights: every half is itself, and what lies between goes to the nearer one") {
  for (int h = 0; h < 65536; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float f = float_of_half(half);
    if (std::isnan(f))
      CHECK(std::isnan(float_of_half(half_of(f))));
    else
      REQUIRE_EQ(half_of(f), half);
    if ((h & 0x7fff) >= 0x7bff) continue;
    const float next = float_of_half(static_cast<std::uint16_t>(h + 1)), middle = (f + next) / 2;
    REQUIRE_EQ(half_of(middle), h % 2 == 0 ? half : half + 1);  // of equally near ones the even one
    REQUIRE_EQ(half_of(std::nextafter(middle, f)), half);
    REQUIRE_EQ(half_of(std::nextafter(middle, next)), half + 1);
  }
  CHECK_EQ(half_of(65504), 0x7bff);
  CHECK_EQ(half_of(65519.99f), 0x7bff);
  CHECK_EQ(half_of(65520), 0x7c00);
  CHECK_EQ(half_of(-std::numeric_limits<float>::infinity()), 0xfc00);
}

TEST_CASE("stored weights: int8 is within half a step of each row's own scale") {
  Array w(DType::f32, {3, 50});
  Rng rng(1, 2, 3);
  const auto v = w.as<float>();
  for (std::size_t i = 0; i < 100; ++i) v[i] = rng.uniform(-1, 1) * (i < 50 ? 1.0f : 1000.0f);
  const QuantizedWeight q = quantized(w);
  CHECK(q.q.shape() == w.shape());
  bool edge = false;
  for (std::size_t i = 0; i < 150; ++i) {
    const float scale = q.scale.as<float>()[i / 50];
    const int steps = static_cast<int>(q.q.as<std::uint8_t>()[i]) - kZeroPoint;
    REQUIRE(std::abs(static_cast<float>(steps) * scale - v[i]) <= 0.5001f * scale);
    edge = edge || std::abs(steps) == 127;
    CHECK(std::abs(steps) <= 127);
  }
  CHECK(edge);
  CHECK_EQ(q.scale.as<float>()[2], 1.0f);  // a row of zeros
  CHECK(q.scale.as<float>()[1] > 100 * q.scale.as<float>()[0]);
}

TEST_CASE("stored weights: akin reads what it wrote, and ONNX holds the same numbers") {
  Context ctx;
  const TempFolder folder;
  for (const Architecture& a : {Architecture{.name = "resnet8", .width = 8, .channels = 3, .classes = 3},
                                Architecture{.name = "mobilenet_v3_small", .width = 8, .classes = 3},
                                Architecture{.name = "squeezenet1_1", .classes = 3},
                                Architecture{.name = "alexnet", .channels = 1, .classes = 3}}) {
    const auto net = random_net(ctx, a);
    const std::int64_t side = a.name == "resnet8" ? 12 : 64;
    Array images(DType::u8, {3, side, side, a.channels});
    Rng rng(3, 4, 5);
    for (std::uint8_t& p : images.as<std::uint8_t>()) p = static_cast<std::uint8_t>(rng.below(256));
    const Normalization norm{std::vector<float>(static_cast<std::size_t>(a.channels), 0.5f),
                             std::vector<float>(static_cast<std::size_t>(a.channels), 0.25f)};
    ModelInfo info;
    info.architecture = net->architecture();
    info.height = info.width = side;
    info.normalization = norm;
    const Array before = run_network(ctx, *net, images, all_indices(3), norm).logits;
    save_model(folder / "f32", *net, info);
    const auto full = std::filesystem::file_size(folder / "f32");
    const std::size_t full_onnx =
        onnx::to_bytes(onnx::export_layers(capture_layers(ctx, *net, side, side), norm)).size();
    for (const WeightStore store : {WeightStore::f16, WeightStore::int8}) {
      CAPTURE(a.name);
      CAPTURE(std::string(name_of(store)));
      SafeTensors file = model_content(*net, info);
      store_weights(file, weights_of(*net, store));
      seal(file);
      write_safetensors(folder / "stored", file);
      CHECK(read_file(folder / "stored") == to_safetensors(file));
      const double share =
          static_cast<double>(std::filesystem::file_size(folder / "stored")) / static_cast<double>(full);
      CHECK(share < (store == WeightStore::f16 ? 0.62 : 0.45));
      const Model read = load_model(ctx, folder / "stored");
      const Array after = run_network(ctx, *read.network, images, all_indices(3), norm).logits;
      const double change = apart(after.as<float>(), before.as<float>());
      CHECK(change > 0);
      CHECK(change < (store == WeightStore::f16 ? 0.02 : 0.5));
      // The graph of the network as it was trained rounds in the same way.
      const std::string bytes = onnx::to_bytes(onnx::export_layers(capture_layers(ctx, *net, side, side), norm, store));
      CHECK(static_cast<double>(bytes.size()) <
            (store == WeightStore::f16 ? 0.62 : 0.45) * static_cast<double>(full_onnx));
      OnnxTensor x{{3, a.channels, side, side}, {}};
      for (std::int64_t n = 0; n < 3; ++n)
        for (std::int64_t c = 0; c < a.channels; ++c)
          for (std::int64_t i = 0; i < side * side; ++i)
            x.v.push_back(images.as<std::uint8_t>()[static_cast<std::size_t>((n * side * side + i) * a.channels + c)]);
      const OnnxTensor z = OnnxFile(bytes).run(x);
      const std::vector<float> logits(z.v.begin(), z.v.end());
      const double error = apart(logits, after.as<float>());
      CHECK(error < 1e-4);
    }
  }
}

TEST_CASE("stored weights: values beyond f16 are refused, and a changed number is noticed") {
  Context ctx;
  const TempFolder folder;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 2, .classes = 3});
  ModelInfo info;
  info.architecture = net->architecture();
  info.height = info.width = 8;
  SafeTensors file = model_content(*net, info);
  store_weights(file, weights_of(*net, WeightStore::int8));
  seal(file);
  Bytes bytes = to_safetensors(file);
  CHECK_NOTHROW(load_model(ctx, parse_safetensors(bytes, "m"), "h"));
  bytes.back() ^= 1;
  CHECK(has(error_of([&] { load_model(ctx, parse_safetensors(bytes, "m"), "h"); }), "m: "));
  net->parameters()[0].tensor.data<float>()[3] = 70000;
  SafeTensors large = model_content(*net, info);
  const std::string error = error_of([&] { store_weights(large, weights_of(*net, WeightStore::f16)); });
  CHECK(has(error, "weight conv1.weight holds 70000, beyond what f16 holds"));
  CHECK_NOTHROW(store_weights(large, weights_of(*net, WeightStore::int8)));
  CHECK(has(error_of([&] { store_weights(file, {{"none", WeightStore::f16}}); }), "no tensor \"none\""));
}

TEST_CASE("stored weights: int8 leaves a head its small weights beside a huge one") {
  Context ctx;
  const auto net = random_net(ctx, {.name = "resnet8", .width = 4, .classes = 3});
  const ParameterList list = net->parameters();
  const Parameter& head = *std::ranges::find(list, std::string("fc.weight"), &Parameter::name);
  const std::span<float> w(head.tensor.data<float>(), static_cast<std::size_t>(head.tensor.numel()));
  w[1] = 900 * *std::ranges::max_element(w);  // of a feature that the pictures below hardly have
  const std::vector<float> before(w.begin(), w.end());
  ModelInfo info;
  info.architecture = net->architecture();
  info.height = info.width = 8;
  SafeTensors file = model_content(*net, info);
  store_weights(file, weights_of(*net, WeightStore::int8));
  seal(file);
  const Model read = load_model(ctx, parse_safetensors(to_safetensors(file), "m"), "h");
  const LayerGraph layers = capture_layers(ctx, *net, 8, 8);
  const onnx::Graph graph = onnx::export_layers(layers, {{0, 0, 0}, {1, 1, 1}}, WeightStore::int8);
  for (const auto& [name, array] : graph.initializers) CHECK((name != "fc.weight" || array.dtype() == DType::f32));
  CHECK(graph.halves.contains("fc.weight"));
  int zeros = 0;
  for (const Parameter& p : read.network->parameters()) {
    if (p.name != "fc.weight") continue;
    for (std::size_t i = 0; i < before.size(); ++i) {
      CHECK(std::abs(p.tensor.data<float>()[i] - before[i]) <= std::abs(before[i]) / 2048 + 1e-7f);
      zeros += quantized(head.tensor.to_array()).q.as<std::uint8_t>()[i] == kZeroPoint;
    }
  }
  CHECK(zeros > 5);  // int8 would have lost that row
  w[1] = 1e6f;
  CHECK(store_of(WeightStore::int8, head.tensor.to_array(), true) == WeightStore::f32);
  CHECK(store_of(WeightStore::int8, head.tensor.to_array(), false) == WeightStore::int8);
}
