// Training that breaks: what is said of it, and what it must not destroy.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "tests/temp_folder.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;
using Run = ToyRun;

TEST_CASE("a diverging run names layer and step, and never replaces a sound checkpoint by a broken one") {
  const TempFolder folder;
  Run r;
  r.place.checkpoint = folder / "c.safetensors";
  r.place.checkpoint_every = 2;
  const auto progress = r.hooks.progress;
  r.hooks.progress = [&](std::int64_t t, double loss) {
    progress(t, loss);
    if (t != 6) return;  // as an update that overflows leaves it: the loss of its step was finite
    for (const Parameter& p : r.net->parameters())
      if (p.name == "layer2.0.conv2.weight") p.tensor.data<float>()[5] = -INFINITY;
  };
  std::string error = error_of([&] { r.go(); });
  CHECK_MESSAGE(has(error, "after step 5"), error);
  CHECK_MESSAGE(has(error, "layer2.0.conv2.weight"), error);
  CHECK_MESSAGE(has(error, "stays"), error);
  Run second;
  second.options = r.options;
  second.place = r.place;
  second.place.resume = true;
  second.go();
  CHECK_EQ(second.began, 4);
  CHECK(second.result.finished);

  Run sick;  // without a checkpoint: the loss of the next step shows it
  sick.hooks.progress = [&](std::int64_t t, double) {
    for (const Parameter& p : sick.net->parameters())
      if (t == 3 && p.name == "layer1.0.conv1.weight") p.tensor.data<float>()[0] = NAN;
  };
  error = error_of([&] { sick.go(); });
  CHECK_MESSAGE(has(error, "loss of step 3 is nan"), error);
  CHECK_MESSAGE(has(error, "layer1.0.conv1.weight"), error);
}

TEST_CASE("a run that diverges before it is validated says so, and not that its images are at fault") {
  Run r;
  const auto loss = r.objective.loss;
  int calls = 0;
  r.objective.loss =
      [&](const LabelledBatch& b) {  // of the step before the first validation: finite, its update is not
        const Tensor whole = loss(b);
        for (const Parameter& p : r.net->parameters())
          if (calls == 4 && p.name == "layer2.0.conv2.weight") p.tensor.data<float>()[5] = INFINITY;
        ++calls;
        return whole;
      };
  const std::string error = error_of([&] { r.go(); });
  CHECK_EQ(calls, 5);
  CHECK_MESSAGE(has(error, "after step 4 "), error);
  CHECK_MESSAGE(has(error, "is the first layer whose values are not finite; lower the learning rate"), error);
  CHECK_FALSE(has(error, "prediction"));
}

TEST_CASE("detect_anomaly stops at the first op, forwards or backwards; without it the bits are the same") {
  Run plain, watched;
  watched.ctx.detect_anomaly = true;
  plain.go();
  watched.go();
  CHECK_EQ(differing(*plain.net, *watched.net), "");

  const auto error_with = [&](bool detect, const std::function<Tensor(Run&, const Tensor&)>& spoil) {
    Run r;
    r.ctx.detect_anomaly = detect;
    const auto loss = r.objective.loss;
    r.objective.loss = [&](const LabelledBatch& b) { return spoil(r, loss(b)); };
    return error_of([&] { r.go(); });
  };
  const auto overflows = [](Run& r, const Tensor& loss) {
    return ops::scale(r.ctx, ops::scale(r.ctx, loss, 1e30), 1e30);
  };
  CHECK_MESSAGE(has(error_with(true, overflows), "step 0: scale"), error_with(true, overflows));
  // The loss stays finite, its gradient does not: 1e30 * 1e30 on the way back.
  const auto steep = [](Run& r, const Tensor& loss) {
    return ops::scale(r.ctx, ops::scale(r.ctx, ops::scale(r.ctx, loss, 1e-30), 1e30), 1e30);
  };
  const std::string error = error_with(true, steep);
  CHECK_MESSAGE(has(error, "step 0: "), error);
}

TEST_CASE("detect_anomaly names what an op or an update leaves behind, though the loss stays finite") {
  const auto error_of_run = [](const char* kind, const std::function<void(Run&)>& spoil) {
    Run r(12, 1, kind);
    r.ctx.detect_anomaly = true;
    spoil(r);
    return error_of([&] { r.go(); });
  };
  // The variance overflows and the output is zero: only the running statistics show it.
  std::string error = error_of_run("sgd", [](Run& r) {
    r.hooks.progress = [&r](std::int64_t t, double) {
      for (const Parameter& p : r.net->parameters())
        if (t == 3 && p.name == "layer2.0.conv1.weight")
          for (std::int64_t i = 0; i < p.tensor.numel(); ++i) p.tensor.data<float>()[i] *= 1e30f;
    };
  });
  CHECK_MESSAGE(
      has(error, "training: step 3: batchnorm of layer2.0.bn1.weight makes layer2.0.bn1.running_var inf at element"),
      error);
  // Gradients of 1e25: their squares overflow, and AdamW would divide by infinity for ever.
  const auto steep = [](Run& r) {
    const auto loss = r.objective.loss;
    r.objective.loss = [&r, loss](const LabelledBatch& b) { return ops::scale(r.ctx, loss(b), 1e25); };
  };
  error = error_of_run("adamw", steep);
  CHECK_MESSAGE(has(error, "training: step 0: the update makes the second moment of "), error);
  error = error_of_run("sgd", [&](Run& r) {
    steep(r);
    r.options.schedule.base = 1e30;
  });
  CHECK_MESSAGE(has(error, "training: step 0: the update makes "), error);
  CHECK_MESSAGE(has(error, ".weight "), error);
  CHECK_FALSE(has(error, "moment"));
}
