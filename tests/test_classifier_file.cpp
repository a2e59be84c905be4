// Whatever akin writes that tells classes apart, looking at pictures.
#include "distill/predict/classifier_file.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nn/classifier.hpp"
#include "tests/pictures.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;

TEST_CASE("classifier: a head alone is softmax of its weights on the features of its source") {
  const TempFolder folder;
  Context ctx;
  Model net;
  net.network = random_net(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 3});
  net.info.architecture = net.network->architecture();
  net.info.height = net.info.width = 12;
  const std::string model = (folder / "run/model.safetensors").string();
  make_folder(folder / "run");
  save_model(model, *net.network, net.info);
  const Source source = open_source(ctx, model);
  const std::int64_t D = source.model.network->feature_size();
  ProbeHead head;
  head.mean.assign(static_cast<std::size_t>(D), 0.5);
  head.scale.assign(static_cast<std::size_t>(D), 2.0);
  head.fit.bias = {0.1, -0.2};
  for (std::int64_t i = 0; i < 2 * D; ++i) head.fit.weight.push_back(0.05 * static_cast<double>(i % 7) - 0.1);
  Model nothing;  // a network whose own head is not linear
  nothing.info = source.model.info;
  nothing.info.classes = {"left", "right"};
  const std::filesystem::path file = folder / "head.safetensors";
  save_probe(file, nothing, source, head);
  CHECK(
      has(error_of([&] { Classifier(ctx, file, {}, nullptr); }), "reads the features of run; give that model's file"));
  CHECK(has(error_of([&] { Classifier(ctx, model, {model}, nullptr); }), "leave the option out"));
  const Classifier classifier(ctx, file, {model}, nullptr);
  CHECK(classifier.classes() == std::vector<std::string>{"left", "right"});
  const Array images = picture(6 * 12, 12, 1, 5).reshaped({6, 12, 12, 1});
  const Array p = classifier.probabilities(ctx, {images});
  const Array wanted = softmax_rows(head.logits(run_model(ctx, source.model, images, all_indices(6)).features));
  REQUIRE(p.shape() == wanted.shape());
  for (std::size_t i = 0; i < 12; ++i) CHECK(std::abs(p.as<float>()[i] - wanted.as<float>()[i]) <= 1e-5f);
}
