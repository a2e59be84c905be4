// Batch norms put back into folded networks: the same function, and one whose norms are those of its images.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "distill/student/train.hpp"
#include "nn/data/image_batch.hpp"
#include "nn/evaluate.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/model_file.hpp"
#include "nn/unfold.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::unique_ptr<Network> folded(Context& ctx, const Architecture& a, std::int64_t side) {
  LayerGraph g = capture_layers(ctx, *random_net(ctx, a), side, side);
  fold_batchnorm(g);
  return to_graph_network(ctx, g);
}

const Normalization kGrey{{0.4f}, {0.25f}};

ModelInfo info_of(const Network& net) {
  ModelInfo info;
  info.architecture = net.architecture();
  info.normalization = kGrey;
  return info;
}

Tensor batch_of(Context& ctx, const ImageSet& set) {
  const ImageView view = view_of(set.images);
  std::vector<AugmentItem> items;
  for (std::int64_t i = 0; i < view.N; ++i) items.push_back({i, 0});
  return augment_images(ctx, view, upload(ctx, gather_images(ctx, view, items)), 0, view.N, {}, kGrey, 0);
}

}  // namespace

TEST_CASE("unfold: the network says the same, and in training as well on the images that calibrated it") {
  Context ctx;
  const ImageSet set = toy_set(70, 3, std::random_device{}());  // three batches, the last one short
  const Indices all = all_indices(70);
  const auto check = [&](const Architecture& a) {
    const std::int64_t side = set.images.shape()[1];
    const auto before = folded(ctx, a, side);
    REQUIRE(is_folded(*before));
    const auto after = unfold_batchnorm(ctx, *before, set.images, all, kGrey);
    CHECK_FALSE(is_folded(*after));
    const Tensor x = batch_of(ctx, set);
    const Tensor expected = before->logits(ctx, x, false);
    // As in test_graph_writer: two networks that round sums of at most 1152 terms.
    const double tolerance = 1.7e-5 * condition(ctx, *before, x);
    CHECK(apart(expected, after->logits(ctx, x, false)) <= tolerance);
    for (const Parameter& p : after->parameters())
      CHECK((p.kind != ParameterKind::bias || after->in_head(p.name)));  // a norm's shift is its bias
    // As a file, and folded once more.
    const TempFolder folder;
    save_model(folder / "m.safetensors", *after, info_of(*after));
    const Model again = load_model(ctx, folder / "m.safetensors");
    CHECK(same_bits(again.network->logits(ctx, x, false).to_array(), after->logits(ctx, x, false).to_array()));
    LayerGraph layers = capture_layers(ctx, *after, side, side);
    fold_batchnorm(layers);
    CHECK(apart(expected, to_graph_network(ctx, layers)->logits(ctx, x, false)) <= tolerance);
    // The statistics of this very batch are the ones that were put in, layer by layer. (It moves the running ones.)
    CHECK(apart(expected, after->logits(ctx, x, true)) <= tolerance);
  };
  SUBCASE("plain") { check({.name = "resnet8", .width = 4, .channels = 1, .classes = 3}); }
  SUBCASE("depthwise") { check({.name = "mobilenet_v1", .width = 8, .channels = 1, .classes = 5, .stem = "small"}); }
}

TEST_CASE("unfold: what is not folded is refused, and so are no images") {
  Context ctx;
  const ImageSet set = toy_set(8, 2, 1);
  const Architecture small{.name = "resnet8", .width = 4, .channels = 1, .classes = 2};
  CHECK(has(error_of([&] { unfold_batchnorm(ctx, *random_net(ctx, small), set.images, all_indices(8), kGrey); }),
            "a resnet8 has batch norms of its own"));
  const auto net = folded(ctx, small, 12);
  CHECK(has(error_of([&] { unfold_batchnorm(ctx, *net, set.images, {}, kGrey); }), "there are none"));
  const auto once = unfold_batchnorm(ctx, *net, set.images, all_indices(8), kGrey);
  CHECK(has(error_of([&] { unfold_batchnorm(ctx, *once, set.images, all_indices(8), kGrey); }), "it is not folded"));
}

TEST_CASE("unfold: a student that starts from a folded network gets batch norms, which learn") {
  Context ctx;
  const TempFolder folder;
  const auto net = folded(ctx, {.name = "resnet8", .width = 4, .channels = 1, .classes = 5}, 12);
  save_model(folder / "f.safetensors", *net, info_of(*net));
  const Task task = make_task(toy_set(40, 4, 1), toy_set(8, 4, 2), {}, {.labels_per_class = 3, .validation = 0});
  for (const bool unfold : {true, false}) {
    Settings settings;
    settings.student = "init";
    settings.init = (folder / "f.safetensors").string();
    settings.unfold = unfold;
    settings.steps = 4;
    settings.batch = 8;
    const std::vector<StudentPlan> plans = plan_students(ctx, Method::scratch, 0, task, {}, {}, settings);
    const StudentRun run = train_student(ctx, task, plans[0], {}, settings);
    CHECK_EQ(is_folded(*run.model.network), !unfold);
    CHECK_EQ(run.model.info.architecture == run.model.network->architecture(), true);
    bool moved = false;
    const Model start = make_student_model(ctx, task, plans[0], settings);
    const ParameterList before = start.network->parameters(), after = run.model.network->parameters();
    REQUIRE_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < after.size(); ++i)
      if (after[i].name.ends_with("running_mean"))
        moved = moved || !same_bits(before[i].tensor.to_array(), after[i].tensor.to_array());
    CHECK_EQ(moved, unfold);
  }
}
