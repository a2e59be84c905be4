// The profiler: what it counts, whom it charges, what it costs in bits (nothing), and the timeline.
#include "engine/profile.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "engine/autograd.hpp"
#include "engine/io/json.hpp"
#include "kernels/activation.hpp"
#include "kernels/reduce.hpp"
#include "tests/gpu_case.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;

namespace {

const Profile::Op* find(const Profile& p, const std::string& name, Pass pass) {
  for (const Profile::Op& op : p.ops)
    if (op.name == name && op.pass == pass) return &op;
  return nullptr;
}

Tensor filled(Context& ctx, const Shape& shape, bool wants_gradient) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  Rng rng(1, 2, 3);
  for (float& v : values) v = rng.uniform(-1, 1);
  Tensor t = Tensor::empty(ctx, shape);
  t.copy_from(values.data());
  t.set_requires_grad(wants_gradient);
  return t;
}

/// Two layers and a loss, forward and backward; 2 images.
void small_step(Context& ctx) {
  const Tensor x = filled(ctx, {2, 5}, false), w1 = filled(ctx, {7, 5}, true), b1 = filled(ctx, {7}, true),
               w2 = filled(ctx, {3, 7}, true);
  if (ctx.profiler != nullptr) {
    ctx.profiler->know(w1, "first.weight");
    ctx.profiler->know(b1, "first.bias");
    ctx.profiler->know(w2, "second.weight");
  }
  const Tensor targets = Tensor::empty(ctx, {2}, DType::i64);
  const std::vector<std::int64_t> hit{0, 2};
  targets.copy_from(hit.data());
  Tape tape;
  const TapeScope recorded(ctx, &tape);
  const Tensor h = ops::relu(ctx, ops::linear(ctx, x, w1, b1));
  const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, ops::linear(ctx, h, w2, {}), targets));
  tape.backward(ctx, loss);
}

void check_small_step(Context& ctx, Profiler& profiler) {
  const ProfileScope on(ctx, &profiler);
  small_step(ctx);
  const Profile p = profiler.profile();
  const Profile::Op* forward = find(p, "linear", Pass::forward);
  REQUIRE(forward != nullptr);
  CHECK_EQ(forward->spent.calls, 2);
  CHECK_EQ(forward->spent.work.flops, 2.0 * 2 * 7 * 5 + 2.0 * 2 * 3 * 7);
  CHECK_EQ(forward->spent.work.bytes, 4.0 * (2 * 5 + 5 * 7 + 2 * 7) + 4.0 * (2 * 7 + 7 * 3 + 2 * 3));
  // dw of both layers, dx of the second: nobody wants the images' gradient.
  const Profile::Op* backward = find(p, "linear", Pass::backward);
  REQUIRE(backward != nullptr);
  CHECK_EQ(backward->spent.calls, 3);
  CHECK_EQ(backward->spent.work.flops, 2.0 * 2 * 7 * 5 + 2 * 2.0 * 2 * 3 * 7);
  for (const auto& [name, pass] : {std::pair{"relu", Pass::forward},
                                   {"relu", Pass::backward},
                                   {"softmax_ce", Pass::forward},
                                   {"softmax_ce", Pass::backward},
                                   {"linear bias", Pass::backward}}) {
    CAPTURE(name);
    REQUIRE(find(p, name, pass) != nullptr);
    CHECK_EQ(find(p, name, pass)->spent.calls, 1);
    CHECK_GT(find(p, name, pass)->spent.seconds, 0);
    CHECK_GT(find(p, name, pass)->spent.memory, 0);
  }
  CHECK_GE(p.peak_memory, forward->spent.memory);

  // The ReLU belongs to the layer before it, in the backward pass as well: its work is none of the second's.
  REQUIRE_EQ(p.layers.size(), 2);
  CHECK_EQ(p.layers[0].name, "first");
  CHECK_EQ(p.layers[1].name, "second");
  const double flops_of_first = 2.0 * 2 * 7 * 5 * 2 + sum_work(14, 4).flops +
                                activation_fwd_work(Activation::relu, 14, 4).flops +
                                activation_bwd_work(Activation::relu, 14, 4).flops;
  CHECK_EQ(p.layers[0].work.flops, flops_of_first);
  double of_ops = 0, of_layers = 0;
  for (const Profile::Op& op : p.ops) of_ops += op.spent.seconds;
  for (const Profile::Layer& l : p.layers) {
    CHECK_GT(l.forward, 0);
    CHECK_GT(l.backward, 0);
    of_layers += l.forward + l.backward;
  }
  CHECK_LE(of_layers, of_ops * (1 + 1e-9));
  CHECK_LE(of_ops, p.seconds * 1.01);
}

Json timeline_of(Profiler& profiler) {
  const Json j = Json::parse(profiler.timeline_json());
  REQUIRE(j["traceEvents"].is_array());
  return j["traceEvents"];
}

}  // namespace

TEST_CASE("calls, work and layers of a step, on the processor") {
  Context ctx;
  Profiler profiler;
  check_small_step(ctx, profiler);
  CHECK(ctx.profiler == nullptr);
  // Without a scope nothing is told.
  const std::int64_t before = find(profiler.profile(), "linear", Pass::forward)->spent.calls;
  small_step(ctx);
  CHECK_EQ(find(profiler.profile(), "linear", Pass::forward)->spent.calls, before);
}

TEST_CASE("calls, work and layers of a step, by the clock of a device") {
  on_gpus([](Context& ctx) {
    Profiler profiler(true);
    check_small_step(ctx, profiler);
    std::size_t on_card = 0;
    for (const Json& e : timeline_of(profiler)) on_card += e["ph"] == "X" && e["tid"] == 1001;
    std::int64_t calls = 0;
    for (const Profile::Op& op : profiler.profile().ops) calls += op.spent.calls;
    CHECK_EQ(static_cast<std::int64_t>(on_card), calls);
  });
}

TEST_CASE("stages: what is inside one is not its own; another thread has its own") {
  Context ctx;
  Profiler profiler(true);
  const ProfileScope on(ctx, &profiler);
  const auto sleep = [](int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  {
    const StageScope outer(ctx, "outer");
    sleep(20);
    for (int i = 0; i < 2; ++i) {
      const StageScope inner(ctx, "inner");
      sleep(15);
      small_step(ctx);
    }
    std::thread([&] {
      const StageScope aside(ctx, "aside");
      sleep(10);
    }).join();
  }
  small_step(ctx);
  const Profile p = profiler.profile();
  REQUIRE_EQ(p.stages.size(), 3);
  const Profile::Stage &outer = p.stages[0], &inner = p.stages[1], &aside = p.stages[2];
  CHECK_EQ(outer.name, "outer");
  CHECK_EQ(inner.name, "inner");
  CHECK_EQ(inner.times, 2);
  CHECK_GE(inner.seconds, 0.030);
  CHECK_EQ(inner.own_seconds, inner.seconds);
  CHECK_GE(outer.own_seconds, 0.030);  // its sleep, and the wait for the thread
  CHECK(outer.own_seconds == doctest::Approx(outer.seconds - inner.seconds));
  CHECK_GE(aside.seconds, 0.010);
  std::map<std::string, std::int64_t> calls;
  for (const Profile::Op& op : p.ops)
    if (op.name == "relu" && op.pass == Pass::forward) calls[op.stage] = op.spent.calls;
  CHECK(calls == std::map<std::string, std::int64_t>{{"inner", 2}, {"other", 1}});
}

TEST_CASE("a training run has the same bits with a profiler, and every layer of its network in the profile") {
  for (const Device device : {Device::cpu, Device::sim}) {
    CAPTURE(name_of(device));
    ToyRun plain(6, 1, "sgd", device), watched(6, 1, "sgd", device);
    Profiler profiler(true);
    plain.go();
    {
      const ProfileScope on(watched.ctx, &profiler);
      watched.go();
      watched.end_feed();
    }
    CHECK(plain.losses == watched.losses);
    CHECK_EQ(differing(*plain.net, *watched.net), "");
    const Profile p = profiler.profile();
    const Profile::Op* update = find(p, "sgd", Pass::update);
    REQUIRE(update != nullptr);
    CHECK_EQ(update->spent.calls, 6);
    CHECK_EQ(update->stage, "train");
    REQUIRE(find(p, "augment", Pass::forward) != nullptr);
    std::set<std::string> layers, known;
    for (const Profile::Layer& l : p.layers)
      if (l.stage == "train") layers.insert(l.name);
    for (const Parameter& param : watched.net->parameters()) known.insert(param.name.substr(0, param.name.rfind('.')));
    CHECK(layers == known);
    for (const Profile::Op& op : p.ops)
      if (op.stage == "validate") CHECK(op.pass == Pass::forward);
    const auto is = [&](const char* name) {
      return std::any_of(p.stages.begin(), p.stages.end(), [&](const Profile::Stage& s) { return s.name == name; });
    };
    for (const char* stage : {"train", "validate", "wait for images"}) CHECK(is(stage));
  }
}

TEST_CASE("a parameter that is gone names nobody's layer, and a loader's launches have no pass but their own") {
  Context ctx;
  Profiler profiler;
  const ProfileScope on(ctx, &profiler);
  for (int i = 0; i < 20; ++i) {  // addresses come again
    const Tensor gone = filled(ctx, {4}, false);
    profiler.know(gone, "gone.weight");
  }
  const PassScope backwards(ctx, Pass::backward);
  for (int i = 0; i < 20; ++i) ops::relu(ctx, filled(ctx, {4}, false));
  std::thread([&] { ops::relu(ctx, filled(ctx, {4}, false)); }).join();
  const Profile p = profiler.profile();
  CHECK(p.layers.empty());
  REQUIRE(find(p, "relu", Pass::backward) != nullptr);
  CHECK_EQ(find(p, "relu", Pass::backward)->spent.calls, 20);
  REQUIRE(find(p, "relu", Pass::forward) != nullptr);
  CHECK_EQ(find(p, "relu", Pass::forward)->spent.calls, 1);
  CHECK_EQ(find(p, "relu", Pass::forward)->stage, "loader");
}

TEST_CASE("a timeline: every arrow has two ends, and launches lie within their ops") {
  Context ctx;
  Profiler profiler(true);
  const ProfileScope on(ctx, &profiler);
  {
    const StageScope stage(ctx, "train");
    small_step(ctx);
  }
  std::set<std::int64_t> starts, ends;
  std::map<std::string, double> memory;
  std::vector<std::pair<double, double>> ops, launches;
  std::set<std::string> tracks;
  for (const Json& e : timeline_of(profiler)) {
    if (e["ph"] == "s") starts.insert(e["id"].get<std::int64_t>());
    if (e["ph"] == "f") ends.insert(e["id"].get<std::int64_t>());
    if (e["ph"] == "M" && e["name"] == "thread_name") tracks.insert(e["args"]["name"].get<std::string>());
    if (e["ph"] == "C") CHECK_GT(e["args"]["bytes"].get<double>(), 0);
    if (e["ph"] != "X" || e["tid"] != 0) continue;
    const std::pair<double, double> span{e["ts"].get<double>(), e["ts"].get<double>() + e["dur"].get<double>()};
    CHECK_GE(span.first, 0);
    if (e["name"] == "train") continue;
    (e["args"].contains("bytes") ? launches : ops).push_back(span);
  }
  CHECK(tracks == std::set<std::string>{"ops", "layers"});
  CHECK_EQ(ends.size(), 5);  // linear twice, relu, softmax_ce, mean
  for (const std::int64_t id : ends) CHECK(starts.contains(id));
  CHECK_GE(launches.size(), 10);
  CHECK_EQ(ops.size(), 10);
  for (const auto& [from, to] : launches)
    CHECK(std::any_of(ops.begin(), ops.end(),
                      [&](const auto& op) { return op.first <= from + 1e-3 && to <= op.second + 1e-3; }));
}
