// Captured steps read their batches where these lie: the bits of steps that are not captured, and no copy.
#include <doctest/doctest.h>

#include <memory>

#include "engine/ops.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/common/sim/sim_device.hpp"
#include "nn/data/feed.hpp"
#include "nn/stepper.hpp"
#include "tests/places.hpp"
#include "tests/sanitized.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr std::int64_t kBatch = 7, kInputs = 33, kClasses = 10, kSteps = 30;

struct Batch {
  Tensor x, t;
  void each(auto&& f, auto&... others) {
    f("x", x, others.x...);
    f("t", t, others.t...);
  }
};

Batch on_host(Context& ctx, std::int64_t step) {
  Batch b{Tensor::on_host(ctx, {kBatch, kInputs}), Tensor::on_host(ctx, {kBatch}, DType::i64)};
  Rng rng(static_cast<std::uint64_t>(step), 1);
  for (std::int64_t i = 0; i < kBatch * kInputs; ++i) b.x.data<float>()[i] = rng.uniform(-1, 1);
  for (std::int64_t i = 0; i < kBatch; ++i) b.t.data<std::int64_t>()[i] = rng.below(kClasses);
  return b;
}

/// Counts the batches that were copied. `blind`: it says of every batch that it lies where the first one did.
struct Watched : Objective {
  Watched(Objective& objective, bool is_blind) : inner(objective), blind(is_blind) {}
  void begin_step(std::int64_t t) override { inner.begin_step(t); }
  std::vector<const void*> places() override {
    const std::vector<const void*> now = inner.places();
    if (first.empty()) first = now;
    return blind ? first : now;
  }
  void keep(Context& ctx) override {
    ++copied;
    inner.keep(ctx);
  }
  Tensor forward() override { return inner.forward(); }

  Objective& inner;
  std::vector<const void*> first;
  bool blind;
  int copied = 0;
};

enum class From { feed, twelve_places };

struct Result {
  std::vector<double> losses;
  std::vector<float> weights;
  std::size_t graphs = 0;
  int copied = 0;
};

Result trained(std::shared_ptr<GpuDevice> device, From from, bool graph, bool blind = false) {
  Context ctx(Device::sim, std::move(device), {.poison = true});
  Tensor w = Tensor::from(ctx, std::vector<float>(kClasses * kInputs, 0.01f), {kClasses, kInputs});
  Tensor bias = Tensor::zeros(ctx, {kClasses});
  w.set_requires_grad(true);
  bias.set_requires_grad(true);
  const ParameterList parameters{{"w", w, ParameterKind::linear_weight}, {"bias", bias, ParameterKind::bias}};
  Optimizer optimizer(ctx, parameters, OptimizerOptions{});
  std::unique_ptr<Feed<Batch, Batch>> feed;
  std::vector<Batch> batches;
  BatchObjective<Batch> objective;
  if (from == From::feed) {
    feed = std::make_unique<Feed<Batch, Batch>>(
        ctx, [&](std::int64_t t) { return on_host(ctx, t); },
        [&](const Batch& host) {
          return Batch{ops::scale(ctx, host.x, 0.5), host.t};
        },
        0);
    objective.batch = [&](std::int64_t) { return feed->next(); };
  } else {
    for (std::int64_t t = 0; t < 12; ++t) {
      const Batch host = on_host(ctx, t);
      batches.push_back({Tensor::empty(ctx, host.x.shape()), Tensor::empty(ctx, host.t.shape(), DType::i64)});
      batches.back().x.copy_from(host.x.raw());
      batches.back().t.copy_from(host.t.raw());
    }
    objective.batch = [&](std::int64_t t) { return batches[static_cast<std::size_t>(t) % batches.size()]; };
  }
  objective.loss = [&](const Batch& b) {
    return ops::mean(ctx, ops::softmax_ce(ctx, ops::linear(ctx, b.x, w, bias), b.t));
  };
  Watched watched(objective, blind);
  Stepper stepper(ctx, watched, optimizer, parameters, graph);
  Result r;
  for (std::int64_t t = 0; t < kSteps; ++t) stepper.run(t, 0.1);
  r.losses = stepper.losses().take();
  const Array trained = w.to_array();
  r.weights.assign(trained.as<float>().begin(), trained.as<float>().end());
  r.graphs = stepper.graphs();
  r.copied = watched.copied;
  return r;
}

std::vector<sim::Options> modes() {
  std::vector<sim::Options> all{{.async = sim::Async::latest}};
  for (std::uint64_t seed = 1; seed <= (kSanitized ? 2 : 8); ++seed)
    all.push_back({.seed = seed, .async = sim::Async::random});
  return all;
}

}  // namespace

TEST_CASE("stepper: a graph for each slot of a feed reads it without a copy, with the bits of an eager step") {
  for (const sim::Options& options : modes()) {
    CAPTURE(options.seed);
    const Result eager = trained(open_sim(options), From::feed, false);
    const Result graph = trained(open_sim(options), From::feed, true);
    CHECK_EQ(eager.losses.size(), kSteps);
    CHECK(graph.losses == eager.losses);
    CHECK(graph.weights == eager.weights);
    CHECK_EQ(eager.graphs, 0);
    CHECK_EQ(graph.graphs, 2);
    CHECK_EQ(graph.copied, 0);
  }
}

TEST_CASE("stepper: batches in more places than there may be graphs are copied, with the same bits") {
  const Result eager = trained(open_sim(), From::twelve_places, false);
  const Result graph = trained(open_sim(), From::twelve_places, true);
  CHECK(graph.losses == eager.losses);
  CHECK(graph.weights == eager.weights);
  CHECK_EQ(graph.graphs, 9);  // one more for the copies
  CHECK_EQ(graph.copied, 8);  // of steps 10 to 13 and 22 to 25; those before and between meet the eight places again
}

TEST_CASE("stepper: a graph that reads the first batch's place for every batch is found out") {
  const Result eager = trained(open_sim(), From::feed, false);
  const Result blind = trained(open_sim(), From::feed, true, true);
  CHECK_EQ(blind.graphs, 1);
  CHECK(blind.losses != eager.losses);
}
