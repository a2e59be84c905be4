// Students with a second head (a probe taught them) as what other students start from, and in other programs' hands.
#include <doctest/doctest.h>

#include "engine/io/json.hpp"
#include "nn/export/graph_writer.hpp"
#include "nn/zoo/graph_network.hpp"
#include "tests/methods_case.hpp"
#include "tests/small_nets.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr double kShare = 0.8;

/// The model with a second head of random weights, as the student of a probe has one.
void add_head(Context& ctx, Model& model) {
  model.network->set_taught_head(ctx, kShare);
  ParameterList taught;
  model.network->taught_head().collect(kTaughtHead, taught);
  randomise(taught, 9);
  model.info.architecture = model.network->architecture();
}

}  // namespace

TEST_CASE("two heads: what starts from such a model has the one head that it trains") {
  Bench b;
  const TempFolder folder;
  Model two = toy_source(b.ctx, 3, 3).model;
  add_head(b.ctx, two);
  const std::string file = (folder / "two.safetensors").string();
  save_model(file, *two.network, two.info);
  b.sources[0].model = load_model(b.ctx, file);
  b.how.steps = 20;
  b.rank();
  b.set_similarity({0.9, 0.1, 0.2});
  for (const Method m : {Method::finetune, Method::probe, Method::transfer}) {
    CAPTURE(name_of(m));
    const StudentPlan plan = b.plan(m)[0];
    REQUIRE_EQ(b.number(plan.start), 0);
    const StudentPlace place{.student = folder / "s.safetensors", .best = folder / "best.safetensors"};
    const StudentRecord record = b.run(plan, place);
    const Model student = load_model(b.ctx, place.student);
    CHECK_EQ(student.info.architecture.taught_share, 0.0);
    CHECK_EQ(evaluate_model(b.ctx, student, toy_set(40, 4, 2)), doctest::Approx(record.figures.test_accuracy));
  }
  // --student init --init FILE, with teachers of other numbers of classes.
  b.how.student = "init";
  b.how.student_width = 0;
  b.how.init = file;
  for (const Method m : {Method::scratch, Method::fixmatch, Method::weighted, Method::probe_taught}) {
    CAPTURE(name_of(m));
    const StudentPlan plan = b.plan(m)[0];
    const StudentPlace place{.student = folder / "s.safetensors", .best = folder / "best.safetensors"};
    b.run(plan, place);
    const Model student = load_model(b.ctx, place.student);
    CHECK_EQ(student.info.architecture.taught_share,
             m == Method::probe_taught ? doctest::Approx(1 - b.how.lambda) : doctest::Approx(0.0));
    CHECK_EQ(student.info.architecture.classes, 4);
  }
}

TEST_CASE("two heads: a folded one as a source, and its layers for who runs them elsewhere") {
  Context ctx;
  const TempFolder folder;
  Model two = toy_source(ctx, 3, 3).model;
  add_head(ctx, two);
  LayerGraph layers = capture_layers(ctx, *two.network, 12, 12);
  fold_batchnorm(layers);
  const auto folded = to_graph_network(ctx, layers);
  const Architecture& a = folded->architecture();
  REQUIRE_EQ(a.taught_share, kShare);
  const std::string whole = with_mixture(a.graph, a.taught_share);
  const Json nodes = parse_json(whole, "graph")["nodes"];
  const std::size_t n = nodes.size();
  CHECK_EQ(nodes[n - 1]["op"], "mix_heads");
  CHECK_EQ(nodes[n - 1]["share"], kShare);
  CHECK_EQ(nodes[n - 2]["w"], kTaughtHead);
  CHECK_EQ(nodes[n - 2]["in"], nodes[n - 3]["in"]);
  CHECK(nodes[n - 1]["in"] == Json({nodes[n - 3]["out"], nodes[n - 2]["out"]}));
  std::string again = whole;
  CHECK_EQ(take_mixture(again, "graph"), kShare);
  CHECK(parse_json(again, "graph") == parse_json(a.graph, "graph"));
  std::string none = a.graph;
  CHECK_EQ(take_mixture(none, "graph"), 0.0);
  CHECK_EQ(none, a.graph);
  // Without akin's metadata, from the file of layers beside the weights: the same answers.
  ModelInfo info = two.info;
  info.normalization = {{0.0f}, {1.0f / 255}};
  save_model(folder / "m.safetensors", *folded, info);
  SafeTensors bare = read_safetensors(folder / "m.safetensors");
  bare.metadata = {{"input", "raw 0..255"}};
  write_safetensors(folder / "bare.safetensors", bare);
  write_file_atomic(folder / "bare.graph.json", std::string_view(whole));
  const Model read = load_model(ctx, folder / "bare.safetensors");
  CHECK_EQ(read.info.architecture.taught_share, kShare);
  const Tensor x = noise(ctx, {5, 12, 12, 1});
  CHECK(same_bits(read.network->logits(ctx, x, false).to_array(), folded->logits(ctx, x, false).to_array()));
  Json bad = parse_json(whole, "graph");
  bad["nodes"][n - 1]["share"] = 0;
  write_file_atomic(folder / "bare.graph.json", std::string_view(bad.dump()));
  CHECK(has(error_of([&] { load_model(ctx, folder / "bare.safetensors"); }), "\"share\" above 0"));
}

TEST_CASE("two heads: weights that lost what says how they are mixed") {
  Context ctx;
  const TempFolder folder;
  Model two = toy_source(ctx, 3, 3).model;
  add_head(ctx, two);
  save_model(folder / "m.safetensors", *two.network, two.info);
  SafeTensors bare = read_safetensors(folder / "m.safetensors");
  bare.metadata.clear();
  write_safetensors(folder / "m.safetensors", bare);
  ModelInfo said;
  said.architecture.name = "resnet8";
  CHECK(has(error_of([&] { load_model(ctx, folder / "m.safetensors", &said); }),
            "second head of a student that a probe taught"));
}
