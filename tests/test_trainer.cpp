// The training loop and its checkpoints: what is stopped, killed or refused must cost nothing but time.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "engine/io/seal.hpp"
#include "kernels/common/rng.hpp"
#include "nn/data/image_batch.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;
using Run = ToyRun;

namespace {

/// The curve, and the best step with its parameters.
bool same_curve(const TrainResult& a, const TrainResult& b) {
  if (a.curve.size() != b.curve.size() || a.best.size() != b.best.size()) return false;
  for (std::size_t i = 0; i < a.best.size(); ++i)
    if (!same_bits(a.best[i], b.best[i])) return false;
  for (std::size_t i = 0; i < a.curve.size(); ++i)
    if (a.curve[i].step != b.curve[i].step || a.curve[i].loss != b.curve[i].loss ||
        a.curve[i].validation != b.curve[i].validation)
      return false;
  return a.best_validation == b.best_validation && a.best_step == b.best_step && a.steps == b.steps;
}

struct Killed {};

}  // namespace

TEST_CASE("training learns the toy task, fills the curve, and is bitwise repeatable") {
  Run a(60), b(60), c(60, 2);
  for (Run* r : {&a, &b, &c}) r->go();
  CHECK(a.result.finished);
  CHECK_EQ(a.result.steps, 60);
  CHECK_EQ(a.began, 0);
  REQUIRE_EQ(a.result.curve.size(), 12);
  CHECK_EQ(a.result.curve[0].step, 5);
  CHECK(a.result.curve.back().loss < 0.5 * a.result.curve.front().loss);
  CHECK(a.result.best_validation > 0.8);
  double mean = 0;
  for (int i = 5; i < 10; ++i) mean += a.losses[static_cast<std::size_t>(i)] / 5;
  CHECK(std::abs(mean - a.result.curve[1].loss) <= 1e-12 * mean);
  CHECK_EQ(differing(*a.net, *b.net), "");
  CHECK(same_curve(a.result, b.result));
  CHECK_NE(differing(*a.net, *c.net), "");
}

TEST_CASE("without validation the curve says so; its default distance is a tenth of the run") {
  Run r(25);
  r.options.eval_every = 0;
  r.hooks.validate = {};
  r.go();
  REQUIRE_EQ(r.result.curve.size(), 13);
  CHECK_EQ(r.result.curve.back().step, 25);
  CHECK(std::isnan(r.result.curve.back().validation));
  CHECK_EQ(r.result.best_validation, -1);
  CHECK(r.result.best.empty());
}

TEST_CASE(
    "the best step is the first of the highest validation, and its parameters are those of a run that ends there") {
  Run whole(12);
  const auto constant = [](std::int64_t steps) { return Schedule{.kind = "constant", .base = 0.05, .steps = steps}; };
  whole.options.schedule = constant(12);
  whole.options.eval_every = 3;
  std::vector<double> accuracies = {0.2, 0.7, 0.7, 0.5};
  std::size_t at = 0;
  whole.hooks.validate = [&] { return accuracies[at++]; };
  whole.go();
  CHECK_EQ(whole.result.best_step, 6);
  CHECK_EQ(whole.result.best_validation, 0.7);
  const auto parameters_after = [&](std::int64_t steps) {
    Run part(steps);
    part.options.schedule = constant(steps);
    part.go();
    std::vector<Array> out;
    for (const Parameter& p : part.net->parameters()) out.push_back(p.tensor.to_array());
    return out;
  };
  const auto same = [](const std::vector<Array>& a, const std::vector<Array>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
  };
  CHECK(same(whole.result.best, parameters_after(6)));
  CHECK_FALSE(same(whole.result.best, parameters_after(12)));

  // Stopped behind it and resumed, the run still has it; a checkpoint that lost it is refused.
  const TempFolder folder;
  const auto run = [&](bool stop) {
    Run r(12);
    r.options = whole.options;
    r.place.checkpoint = folder / "c.safetensors";
    r.place.resume = !stop;
    r.hooks.validate = whole.hooks.validate;
    if (stop) r.hooks.stop = [&] { return r.losses.size() == 8; };
    r.go();
    return r.result;
  };
  at = 0;
  CHECK_FALSE(run(true).finished);
  SafeTensors lost = read_safetensors(folder / "c.safetensors");
  CHECK(same_curve(run(false), whole.result));
  std::erase_if(lost.tensors, [](const auto& t) { return t.first == "best.fc.bias"; });
  seal(lost);
  write_safetensors(folder / "c.safetensors", lost);
  CHECK(has(error_of([&] { run(false); }), "best.fc.bias"));
}

TEST_CASE("stopped after any step and resumed: the bits of a run that never stopped") {
  for (const char* kind : {"sgd", "adamw"}) {
    Run whole(12, 1, kind);
    whole.go();
    for (const std::size_t stop : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{7}, std::size_t{11}}) {
      CAPTURE(kind);
      CAPTURE(stop);
      const TempFolder folder;
      Run first(12, 1, kind);
      first.place.checkpoint = folder / "new/checkpoint.safetensors";  // its folder is made
      first.hooks.stop = [&] { return first.losses.size() == stop; };
      first.go();
      CHECK_FALSE(first.result.finished);
      CHECK_EQ(first.result.steps, static_cast<std::int64_t>(stop));
      Run second(12, 1, kind);
      initialize(second.net->parameters(), 99);  // everything must come from the checkpoint
      second.place.checkpoint = first.place.checkpoint;
      second.place.resume = true;
      second.go();
      CHECK(second.result.finished);
      CHECK_EQ(second.began, static_cast<std::int64_t>(stop));
      CHECK(second.result.seconds >= first.result.seconds);
      CHECK_EQ(differing(*whole.net, *second.net), "");
      CHECK(same_curve(whole.result, second.result));
    }
  }
}

TEST_CASE("killed between checkpoints and after the last step: resumed from the last one, the same bits") {
  Run whole;
  whole.go();
  for (const std::size_t kill : {std::size_t{2}, std::size_t{4}, std::size_t{8}, std::size_t{12}}) {
    CAPTURE(kill);
    const TempFolder folder;
    Run first;
    first.place.checkpoint = folder / "checkpoint.safetensors";
    first.place.checkpoint_every = 3;
    const auto record = first.hooks.progress;
    first.hooks.progress = [&](std::int64_t t, double loss) {
      record(t, loss);
      if (first.losses.size() == kill && kill < 12) throw Killed();
    };
    if (kill < 12)
      CHECK_THROWS_AS(first.go(), Killed);
    else
      first.go();  // killed before the caller saved the result: the checkpoint must still be there
    Run second;
    second.options = first.options;
    second.place = first.place;
    second.place.resume = true;
    second.go();
    // At step 2 none was written yet; the checkpoint of step t is written after progress(t); after the last one there
    // is nothing left to begin.
    CHECK_EQ(second.began, kill == 2 ? 0 : kill == 4 ? 3 : kill == 8 ? 6 : -1);
    CHECK_EQ(differing(*whole.net, *second.net), "");
    CHECK(same_curve(whole.result, second.result));
    remove_checkpoint(second.place.checkpoint);
    CHECK(std::filesystem::is_empty(folder.path()));
    remove_checkpoint(second.place.checkpoint);  // none there: fine
  }
}

TEST_CASE("the folder of checkpoints may go while a run trains, as another process that ends there removes it") {
  const TempFolder folder;
  Run r;
  r.place.checkpoint = folder / "checkpoints/c.safetensors";
  r.place.checkpoint_every = 3;
  const auto record = r.hooks.progress;
  r.hooks.progress = [&](std::int64_t t, double loss) {
    record(t, loss);
    std::filesystem::remove_all(folder / "checkpoints");
  };
  r.hooks.stop = [&] { return r.losses.size() == 8; };
  r.go();
  CHECK_FALSE(r.result.finished);
  CHECK(std::filesystem::exists(r.place.checkpoint));
}

TEST_CASE("a checkpoint is used only where resume asks for it") {
  const TempFolder folder;
  Run first;
  first.place.checkpoint = folder / "c.safetensors";
  first.hooks.stop = [&] { return first.losses.size() == 5; };
  first.go();
  Run second;
  second.place.checkpoint = first.place.checkpoint;
  second.go();
  CHECK_EQ(second.began, 0);
}

TEST_CASE("damaged, foreign and misfitting checkpoints are refused, named and left as they are") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "state.safetensors";
  Run first;
  first.place.checkpoint = path;
  first.hooks.stop = [&] { return first.losses.size() == 7; };
  first.go();
  const Bytes good = read_file(path);
  CHECK(is_checkpoint_of(path, "toy"));
  CHECK_FALSE(is_checkpoint_of(path, "other"));
  CHECK_FALSE(is_checkpoint_of(folder / "none", "toy"));

  const auto refused = [&](const Bytes& content, const std::string& why, const std::string& fingerprint = "toy",
                           const std::string& kind = "sgd", std::int64_t steps = 12) {
    CAPTURE(why);
    write_file_atomic(path, ByteView(content));
    Run r(steps, 1, kind);
    const auto before = make_network(r.ctx, r.net->architecture());
    initialize(before->parameters(), 1);
    r.place.checkpoint = path;
    r.place.resume = true;
    r.place.fingerprint = fingerprint;
    const std::string error = error_of([&] { r.go(); });
    CHECK_MESSAGE(has(error, "state.safetensors"), error);
    CHECK_MESSAGE(has(error, why), error);
    CHECK_EQ(r.began, -1);
    CHECK_EQ(differing(*r.net, *before), "");  // nothing half loaded
    CHECK(read_file(path) == content);
    CHECK_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  };
  refused(good, "other settings", "changed");
  Rng rng(7, 0, 0);
  for (int i = 0; i < 24; ++i) {  // one flipped bit anywhere in the numbers
    Bytes flipped = good;
    const std::size_t last = 8 * std::size_t{2000};
    const std::size_t bit = 8 * good.size() - 1 - static_cast<std::size_t>(rng.uniform(0, static_cast<float>(last)));
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    refused(flipped, "damaged");
  }
  refused(Bytes(good.begin(), good.end() - 1), "remove it");
  refused(Bytes(good.begin(), good.begin() + 100), "remove it");
  refused({}, "remove it");
  refused(good, "optimizer", "toy", "adamw");
  refused(good, "record of the run", "toy", "sgd", 6);  // says step 7 of a run of 6

  const auto edited = [&](const std::function<void(SafeTensors&)>& edit) {
    SafeTensors t = parse_safetensors(good, "memory");
    edit(t);
    seal(t);
    return to_safetensors(t);
  };
  const auto replace = [&](const char* name, const Array& value) {
    return edited([&](SafeTensors& t) {
      for (auto& [n, a] : t.tensors)
        if (n == name) a = value;
    });
  };
  refused(edited([](SafeTensors& t) { t.metadata["format"] = "akin-model-1"; }), "not a checkpoint");
  refused(edited([](SafeTensors& t) { t.metadata["format"] = "akin-checkpoint-3"; }), "another version");
  refused(edited([](SafeTensors& t) { t.metadata.clear(); }), "not a checkpoint");
  refused(
      edited([](SafeTensors& t) { std::erase_if(t.tensors, [](auto& n) { return n.first == "optimizer.first"; }); }),
      "optimizer.first");
  refused(edited([](SafeTensors& t) { std::erase_if(t.tensors, [](auto& n) { return n.first == "curve"; }); }),
          "curve");
  refused(
      edited([](SafeTensors& t) { std::erase_if(t.tensors, [](auto& n) { return n.first == "parameter.fc.bias"; }); }),
      "parameter.fc.bias");
  refused(replace("parameter.fc.bias", Array(DType::f32, {4})), "fc.bias");
  refused(replace("parameter.fc.bias", Array(DType::f64, {3})), "fc.bias");
  refused(replace("optimizer.steps", Array(DType::f32, {1})), "optimizer.steps");
  for (const std::vector<double>& progress : {std::vector<double>{NAN, 0, 0, -1, 0, 0},
                                              {-1, 0, 0, -1, 0, 0},
                                              {2.5, 0, 0, -1, 0, 0},
                                              {1e300, 0, 0, -1, 0, 0},
                                              {7, NAN, 2, -1, 0, 0},
                                              {7, 1, 8, -1, 0, 0},
                                              {7, 1, 2, NAN, 0, 0},
                                              {7, 1, 2, 0.5, 8, 0},
                                              {7, 1, 2, 0.5, 5, -1}})
    refused(replace("progress", Array::from(progress, {6})), "record of the run");
  refused(replace("progress", Array(DType::f32, {6})), "record of the run");
  refused(replace("progress", Array(DType::f64, {5})), "record of the run");
  refused(replace("curve", Array(DType::f64, {2})), "record of the run");

  write_file_atomic(path, ByteView(good));
  Run second;
  second.place.checkpoint = path;
  second.place.resume = true;
  second.go();
  CHECK_EQ(second.began, 7);
}

TEST_CASE("a NaN loss stops with its step and keeps the last good checkpoint") {
  const TempFolder folder;
  Run whole;
  whole.go();
  Run r;
  r.place.checkpoint = folder / "c.safetensors";
  r.place.checkpoint_every = 2;
  const auto loss = r.objective.loss;
  std::int64_t step = r.began;
  const auto batch = r.objective.batch;
  r.objective.batch = [&](std::int64_t t) {
    step = t;
    return batch(t);
  };
  r.objective.loss = [&](const LabelledBatch& b) { return step == 5 ? ops::scale(r.ctx, loss(b), NAN) : loss(b); };
  const std::string error = error_of([&] { r.go(); });
  CHECK(has(error, "loss of step 5 is nan"));
  Run second;
  second.options = r.options;
  second.place = r.place;
  second.place.resume = true;
  second.go();
  CHECK_EQ(second.began, 4);
  CHECK_EQ(differing(*whole.net, *second.net), "");
}

TEST_CASE("where no checkpoint can be written, no step is made") {
  const TempFolder folder;
  write_file_atomic(folder / "file", std::string_view("x"));
  std::filesystem::create_directory(folder / "taken");
  for (const char* name : {"file/c.safetensors", "taken"}) {
    Run r;
    r.place.checkpoint = folder / name;
    const std::string error = error_of([&] { r.go(); });
    CHECK_MESSAGE(has(error, (folder / name).parent_path().filename().string()), error);
    CHECK(r.losses.empty());
  }
}

TEST_CASE("errors of the loader and options out of range reach the caller") {
  Run r;
  r.objective.batch = [](std::int64_t t) -> LabelledBatch { fail("image {} cannot be read", t); };
  CHECK_EQ(error_of([&] { r.go(); }), "image 0 cannot be read");
  CHECK_EQ(r.ctx.tape, nullptr);
  Run bad;
  bad.options.schedule.warmup = 12;
  CHECK_THROWS_AS(bad.go(), UsageError);
  Run constant;
  constant.objective.loss = [&](const LabelledBatch&) { return Tensor::zeros(constant.ctx, {1}); };
  CHECK(has(error_of([&] { constant.go(); }), "no parameter"));
}

TEST_CASE("steady training allocates nothing: from the third step on the system is not asked again") {
  Run r(40);
  r.options.eval_every = 40;
  r.hooks.validate = {};
  // No loader: how many batches it is ahead depends on the machine.
  const Tensor images = noise(r.ctx, {8, 12, 12, 1});
  const Tensor targets = Tensor::from(r.ctx, Array::from(std::vector<std::int64_t>{0, 1, 2, 0, 1, 2, 0, 1}, {8}));
  r.hooks.begin = [](std::int64_t) {};
  r.objective.batch = [&](std::int64_t) { return LabelledBatch{images, targets}; };
  std::vector<AllocatorStats> after;
  r.hooks.progress = [&](std::int64_t, double) { after.push_back(r.ctx.allocator->stats()); };
  r.go();
  REQUIRE_EQ(after.size(), 40);
  CHECK(after[0].system_calls > 50);
  CHECK_EQ(after[39].system_calls, after[2].system_calls);
  CHECK_EQ(after[39].peak_in_use, after[2].peak_in_use);
  CHECK_EQ(after[39].in_use, after[2].in_use);
}
