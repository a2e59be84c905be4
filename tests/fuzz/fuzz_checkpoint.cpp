// Checkpoints (nn/trainer.hpp): a run that goes on from one makes a step and ends with finite numbers, or it says why
// not; the checkpoint is never overwritten by one that is no good. An input is a checkpoint in JSON (layered_files.hpp)
// that is given this run's fingerprint and a seal; the last byte's lowest bit chooses the optimizer.
#include <cmath>

#include "engine/io/seal.hpp"
#include "engine/ops.hpp"
#include "nn/trainer.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/fuzz/layered_files.hpp"

namespace akin::fuzz {

namespace {

struct Batch {
  Tensor x;
  Tensor target;
  template <class F, class... Others>
  void each(F&& f, Others&... others) {
    f("x", x, others.x...);
    f("target", target, others.target...);
  }
};

/// A linear layer that learns two classes of four numbers.
class Run {
 public:
  explicit Run(bool adamw, std::filesystem::path file) {
    layer_ = Linear(ctx_, 4, 2);
    layer_.collect("fc", parameters_);
    initialize(parameters_, 1);
    options_.optimizer.kind = adamw ? "adamw" : "sgd";
    options_.optimizer.clip_norm = 1;
    options_.schedule = {.base = 0.01, .steps = 3};
    options_.eval_every = 1;
    place_ = {.checkpoint = std::move(file), .checkpoint_every = 1, .resume = true, .fingerprint = "f"};
    objective_.batch = [this](std::int64_t t) {
      Batch b{Tensor::empty(ctx_, {2, 4}), Tensor::empty(ctx_, {2}, DType::i64)};
      for (int i = 0; i < 8; ++i) b.x.data<float>()[i] = static_cast<float>((i * 5 + t) % 7) / 4 - 0.5f;
      b.target.data<std::int64_t>()[0] = 0;
      b.target.data<std::int64_t>()[1] = 1;
      return b;
    };
    objective_.loss = [this](const Batch& b) {
      return ops::mean(ctx_, ops::softmax_ce(ctx_, layer_(ctx_, b.x), b.target));
    };
  }

  /// `stop_at`: before this step; -1: at the end.
  TrainResult go(std::int64_t stop_at = -1) {
    std::int64_t done = 0;
    return train(ctx_, parameters_, options_, place_, objective_,
                 {.begin = [&](std::int64_t first) { done = first; },
                  .validate = [] { return 0.5; },
                  .progress = [&](std::int64_t step, double) { done = step; },
                  .stop = [&, stop_at] { return done == stop_at; }});
  }
  const ParameterList& parameters() const { return parameters_; }

 private:
  Context ctx_{Device::cpu, {.limit = 1 << 20}};
  Linear layer_;
  ParameterList parameters_;
  TrainOptions options_;
  Place place_;
  BatchObjective<Batch> objective_;
};

void run(ByteView input) {
  const auto j = accepted([&] { return parse_json(text_of(input), "input"); });
  if (!j) return;
  auto file = accepted([&] { return file_of(*j, 4096); });
  if (!file || !*file) return;
  SafeTensors& checkpoint = **file;
  const bool adamw = checkpoint.metadata.contains("adamw");
  seal(checkpoint);
  const std::filesystem::path path = file_with("c.safetensors", to_safetensors(checkpoint));
  passes([&] { checkpoint_fingerprint(path); });
  Run again(adamw, path);
  const auto result = accepted([&] { return again.go(); });
  if (!result) return;
  require(result->finished && result->steps == 3, "a run that is not finished");
  for (const Parameter& p : again.parameters())
    require(passes([&] { check_finite(p.tensor.to_array(), p.name, "run"); }),
            "a run went on to numbers that are not finite");
  if (is_there(path)) {
    const SafeTensors left = must("reading the checkpoint that was left", [&] { return read_safetensors(path); });
    require(seal_of(left) == Seal::sound, "a checkpoint without a sound seal was left");
  }
}

Seeds seeds() {
  Seeds all;
  for (const bool adamw : {false, true})
    for (const std::int64_t step : {0, 1, 2}) {
      const std::filesystem::path path = empty_folder() / "c.safetensors";
      Run(adamw, path).go(step);
      SafeTensors file = read_safetensors(path);
      file.metadata.erase("sha256");
      if (adamw) file.metadata["adamw"] = "";
      all.push_back(
          text_seed(fmt::format("{}_step{}", adamw ? "adamw" : "sgd", step), json_line(description_of(file))));
    }
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"parameter.fc.weight", "best.fc.weight", "optimizer.", "progress", "curve",
                              "akin-checkpoint-4", "fingerprint", "\"F64\"", "\"F32\"", "adamw"},
                    .mutate = mutate_json};

}  // namespace akin::fuzz
