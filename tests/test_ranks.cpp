// Several ranks: what they tell each other, and that a training run has the same bits however many share it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "engine/ordered_sum.hpp"
#include "kernels/common/rng.hpp"
#include "nn/sliced_step.hpp"
#include "tests/small_nets.hpp"
#include "tests/temp_folder.hpp"
#include "tests/thread_ranks.hpp"
#include "tests/toy_run.hpp"

using namespace akin;
using namespace akin::test;
using Strings = std::vector<std::string>;
using Share = ToyRun::Share;

namespace {

/// What a run leaves: parameters, statistics and counters, and its curve.
struct Left {
  std::vector<Array> parameters;
  std::vector<double> numbers;
  bool finished = false;
  bool operator==(const Left& o) const {
    return finished == o.finished && numbers == o.numbers &&
           std::equal(parameters.begin(), parameters.end(), o.parameters.begin(), o.parameters.end(), same_bits);
  }
};

Left left_by(ToyRun& run) {
  run.go();
  Left out;
  out.finished = run.result.finished;
  for (const Parameter& p : run.net->parameters()) out.parameters.push_back(p.tensor.to_array());
  for (const CurvePoint& c : run.result.curve)
    out.numbers.insert(out.numbers.end(), {static_cast<double>(c.step), c.loss, c.validation});
  out.numbers.push_back(static_cast<double>(run.result.steps));
  return out;
}

struct Kind {
  std::string optimizer = "sgd";
  DType activations = DType::f32;
  std::int64_t batch = 8, steps = 7;
};

/// The same of n ranks, which must agree; `change` may change a rank's run before it starts.
Left on_ranks(int n, std::int64_t slices, const Kind& k = {},
              const std::function<void(ToyRun&, int rank)>& change = {}) {
  std::vector<Left> all(static_cast<std::size_t>(n));
  const Strings errors = as_ranks(n, [&](const std::shared_ptr<Ranks>& ranks) {
    ToyRun run(Share{ranks, slices, k.batch}, k.steps, 1, k.optimizer, Device::cpu, k.activations);
    if (change) change(run, ranks->rank());
    all[static_cast<std::size_t>(ranks->rank())] = left_by(run);
  });
  for (const std::string& e : errors) CHECK_EQ(e, "");
  for (const Left& l : all) CHECK(l == all[0]);
  return all[0];
}

Left alone(std::int64_t slices, const Kind& k = {}, const std::function<void(ToyRun&)>& change = {}) {
  ToyRun run(Share{nullptr, slices, k.batch}, k.steps, 1, k.optimizer, Device::cpu, k.activations);
  if (change) change(run);
  return left_by(run);
}

struct Numbers {
  Tensor x;
  void each(auto&& f, auto&... others) { f("x", x, others.x...); }
};

}  // namespace

TEST_CASE("sums over slices have one order on any number of ranks") {
  constexpr std::int64_t kSlices = 6;
  for (const std::int64_t n : {1, 5, 1000}) {
    CAPTURE(n);
    std::vector<std::vector<float>> slices(kSlices);
    Rng rng(3, 1, static_cast<std::uint64_t>(n));
    for (auto& s : slices)
      for (std::int64_t i = 0; i < n; ++i) s.push_back(rng.normal() * std::exp2(static_cast<float>(rng.below(20))));
    std::vector<float> want = slices[0], reversed = slices[kSlices - 1];
    for (std::size_t s = 1; s < kSlices; ++s)
      for (std::size_t i = 0; i < want.size(); ++i) {
        want[i] += slices[s][i];
        reversed[i] += slices[kSlices - 1 - s][i];
      }
    if (n == 1000) CHECK(want != reversed);
    const auto check = [&](const std::shared_ptr<Ranks>& ranks, std::int64_t first, std::int64_t here) {
      Context ctx;
      ctx.ranks = ranks;
      OrderedSum sum(ctx, n, here, 1);
      for (int turn = 0; turn < 2; ++turn) {  // what one call left must not be in the next
        for (std::int64_t i = 0; i < here; ++i) {
          const float tail[] = {static_cast<float>(10 * turn + first + i)};
          sum.put(i, tail, [&](const Tensor& to) { to.copy_from(slices[static_cast<std::size_t>(first + i)].data()); });
        }
        const Tensor got = sum.sum("a test");
        AKIN_CHECK(std::equal(want.begin(), want.end(), got.data<float>(), got.data<float>() + n),
                   "the sum is another one");
        for (std::int64_t s = 0; s < kSlices; ++s)
          AKIN_CHECK(sum.tail(s)[0] == static_cast<float>(10 * turn + s), "tail {} is {}", s, sum.tail(s)[0]);
      }
    };
    check(nullptr, 0, kSlices);
    for (const int ranks : {1, 2, 3, 6}) {
      CAPTURE(ranks);
      for (const std::string& e :
           as_ranks(ranks, [&](const auto& r) { check(r, r->rank() * kSlices / ranks, kSlices / ranks); }))
        CHECK_EQ(e, "");
    }
  }
}

TEST_CASE("texts are gathered, broadcast and compared; the first rank that differs is named on all") {
  const Strings errors = as_ranks(3, [](const std::shared_ptr<Ranks>& r) {
    const std::string own(static_cast<std::size_t>(2 * r->rank()), static_cast<char>('a' + r->rank()));
    AKIN_CHECK(gather(*r, own, "texts") == Strings({"", "bb", "cccc"}), "gathered otherwise");
    std::string text = r->rank() == 1 ? "from one" : "another";
    broadcast(*r, text, 1, "a text");
    AKIN_CHECK(text == "from one", "got '{}'", text);
    check_same(*r, "the same", "word");
    const std::uint32_t sums[] = {1, r->rank() == 2 ? 7u : 2u, r->rank() == 1 ? 8u : 3u};
    const auto d = first_difference(*r, sums, "sums");
    AKIN_CHECK(d && d->item == 1 && d->rank == 2, "another difference");
    AKIN_CHECK(!first_difference(*r, std::span(sums, 1), "sums"), "a difference where there is none");
    check_same(*r, r->rank() == 1 ? "mine" : "ours", "version");
  });
  for (const std::string& e : errors) {
    CHECK(has(e, "rank 1 (thread): has another version than rank 0 (thread)"));
    CHECK(has(e, "'mine', not 'ours'"));
  }
}

TEST_CASE("slices that cannot be dealt evenly are refused") {
  Context ctx;
  CHECK_EQ(count_slices(ctx, 1), 1);
  CHECK_EQ(count_slices(ctx, 3), 3);
  const Strings errors = as_ranks(2, [](const std::shared_ptr<Ranks>& r) {
    Context c;
    c.ranks = r;
    AKIN_CHECK(count_slices(c, 1) == 2 && count_slices(c, 6) == 6, "dealt otherwise");
    const Slices s = slices_of(c, 6);
    AKIN_CHECK(s.here == 3 && s.first == 3 * r->rank(), "another share");
    count_slices(c, 3);
  });
  for (const std::string& e : errors) CHECK(has(e, "--slices 3: cannot be dealt evenly to 2 ranks"));
}

TEST_CASE("training: N ranks, or one with N slices: the same bits; another number of slices is another run") {
  for (const Kind& k :
       {Kind{}, Kind{.optimizer = "adamw"}, Kind{.batch = 10, .steps = 4}, Kind{.activations = DType::bf16}}) {
    if (k.activations == DType::bf16) {
      Context ctx;
      if (!error_of([&] { use_bf16(ctx); }).empty()) continue;  // this processor has no bf16
    }
    CAPTURE(k.optimizer);
    CAPTURE(k.batch);
    const Left want = alone(4, k);
    CHECK(want.finished);
    CHECK(want == on_ranks(2, 4, k));
    CHECK(want == on_ranks(4, 4, k));
    CHECK_FALSE(want == alone(2, k));
    CHECK_FALSE(want == alone(1, k));
  }
}

TEST_CASE("a step's gradient is the mean over its images, however unevenly they are cut") {
  constexpr std::int64_t kBatch = 5;
  const float values[kBatch] = {1, 2, 4, 8, 16};
  Context ctx;
  Tensor w = Tensor::from(ctx, std::vector<float>{3}, {1, 1}), b = Tensor::zeros(ctx, {1});
  w.set_requires_grad(true);
  const ParameterList list{{"w", w, ParameterKind::linear_weight}};
  const Slices slices = slices_of(ctx, 2);
  BatchObjective<Numbers> objective;
  std::int64_t i = 0;
  objective.batch = [&](std::int64_t) {
    const std::int64_t s = slices.slice_of(i++), n = slices.size(kBatch, s);
    const float* from = values + slices.begin(kBatch, s);
    return Numbers{Tensor::from(ctx, std::vector<float>(from, from + n), {n, 1})};
  };
  objective.loss = [&](const Numbers& batch) { return ops::mean(ctx, ops::linear(ctx, batch.x, w, b)); };
  Optimizer optimizer(ctx, list, {.momentum = 0, .weight_decay = 0});
  SlicedStep step(ctx, objective, optimizer, list, slices, kBatch);
  const double mean = 31.0 / kBatch;
  CHECK(std::abs(step.run(0, 0.5, false).loss - 3 * mean) < 1e-6);
  CHECK(std::abs(w.item() - (3 - 0.5 * mean)) < 1e-6);
}

TEST_CASE("running statistics are the mean of what the slices make of the same beginning; a step counts once") {
  const auto after_one_step = [](std::int64_t slices) {
    return alone(slices, {.steps = 1}, [](ToyRun& run) { run.options.schedule.warmup = 0; });
  };
  ToyRun fresh(1);
  const ParameterList list = fresh.net->parameters();
  const Left two = after_one_step(2);
  // The first layer sees the images alone, so its mean over both halves is that of the whole batch.
  const Left whole = after_one_step(1);
  bool looked = false;
  for (std::size_t p = 0; p < list.size(); ++p) {
    if (list[p].kind == ParameterKind::counter) CHECK_EQ(two.parameters[p].as<std::int64_t>()[0], 1);
    if (list[p].name != "bn1.running_mean") continue;
    looked = true;
    const auto a = two.parameters[p].as<float>(), b = whole.parameters[p].as<float>();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-6f + 1e-5f * std::abs(b[i]));
  }
  CHECK(looked);
}

TEST_CASE("stopped on some ranks and gone on with on others: the bits of a run that never stopped") {
  const TempFolder folder;
  const Kind k{.steps = 9};
  const Left want = alone(4, k);
  const auto placed = [&](ToyRun& run, const std::string& name, bool resume) {
    run.place.checkpoint = folder / name;
    run.place.resume = resume;
  };
  for (const int before : {1, 2, 4})
    for (const int after : {1, 2}) {
      CAPTURE(before);
      CAPTURE(after);
      const std::string name = std::to_string(before) + std::to_string(after);
      // The last rank alone is asked to stop: all do.
      const Left stopped = on_ranks(before, 4, k, [&](ToyRun& run, int rank) {
        placed(run, name, false);
        run.hooks.stop = [&run, rank, before] { return rank == before - 1 && run.losses.size() == 3; };
      });
      CHECK_FALSE(stopped.finished);
      CHECK_EQ(stopped.numbers.back(), 4);  // after the step in which they heard of it
      CHECK(std::filesystem::exists(folder / name));
      CHECK(want == on_ranks(after, 4, k, [&](ToyRun& run, int) { placed(run, name, true); }));
    }
}

TEST_CASE("a parameter that differs is named, with the rank, before it does harm") {
  const Strings errors = as_ranks(3, [](const std::shared_ptr<Ranks>& ranks) {
    ToyRun run(Share{ranks, 3, 9}, 20);
    run.options.compare_every = 4;
    run.hooks.progress = [&](std::int64_t done, double) {
      if (done != 5 || ranks->rank() != 2) return;
      for (const Parameter& p : run.net->parameters())
        if (p.name == "layer2.0.conv1.weight" || p.name == "fc.bias") p.tensor.data<float>()[0] += 1e-3f;
    };
    run.go();
  });
  for (const std::string& e : errors)
    CHECK(has(e,
              "training: after step 7 layer2.0.conv1.weight is not the same on rank 2 (thread) as on rank 0 (thread)"));
  // Another beginning is noticed before the first step.
  for (const std::string& e : as_ranks(2, [](const std::shared_ptr<Ranks>& ranks) {
         ToyRun run(Share{ranks, 2, 8}, 20, static_cast<std::uint64_t>(ranks->rank()));
         run.go();
       }))
    CHECK(has(e, "before the first step conv1.weight is not the same on rank 1"));
}

TEST_CASE("a loss that breaks in one slice ends all ranks alike, and so does a checkpoint that cannot be written") {
  const auto errors_of = [](int n, const std::function<void(ToyRun&, int rank)>& change) {
    const Strings errors = as_ranks(n, [&](const std::shared_ptr<Ranks>& ranks) {
      ToyRun run(Share{ranks, 4, 8}, 7);
      change(run, ranks->rank());
      run.go();
    });
    for (const std::string& e : errors) CHECK_EQ(e, errors[0]);
    return errors[0];
  };
  for (const int n : {2, 4}) {
    CAPTURE(n);
    const std::string broken = errors_of(n, [&](ToyRun& run, int rank) {
      if (rank != n - 1) return;
      run.objective.loss = [&run](const LabelledBatch& b) {
        const Tensor loss =
            ops::mean(run.ctx, ops::softmax_ce(run.ctx, run.net->logits(run.ctx, b.images, true), b.targets));
        return ops::scale(run.ctx, loss, run.losses.size() == 2 ? std::numeric_limits<double>::infinity() : 1.0);
      };
    });
    CHECK(has(broken, "step 2"));
  }
  const TempFolder folder;
  std::ofstream(folder / "file") << "no folder";
  const std::string unwritten = errors_of(2, [&](ToyRun& run, int rank) {
    if (rank == 0) run.place.checkpoint = folder / "file/checkpoint";
  });
  CHECK(has(unwritten, "file"));
}

namespace {

/// Counts what a rank gives to others.
class CountingRanks final : public Ranks {
 public:
  explicit CountingRanks(std::shared_ptr<Ranks> inner) : inner_(std::move(inner)) {}
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string name(int rank) const override { return inner_->name(rank); }
  void all_to_all(const void* send, void* receive, std::size_t each, const std::string& what) override {
    count(each);
    inner_->all_to_all(send, receive, each, what);
  }
  void all_gather(const void* own, void* all, std::size_t each, const std::string& what) override {
    count(each);
    inner_->all_gather(own, all, each, what);
  }
  void broadcast(void* data, std::size_t n, int from, const std::string& what) override {
    inner_->broadcast(data, n, from, what);
  }
  void barrier(const std::string& what) override { inner_->barrier(what); }
  void post(int to, const std::string& text) override { inner_->post(to, text); }
  std::optional<Message> take() override { return inner_->take(); }
  std::shared_ptr<Ranks> group(int each) override { return inner_->group(each); }
  double timeout() const override { return inner_->timeout(); }
  void no_answer(const std::string& what) override { inner_->no_answer(what); }
  void leave_out(int rank) override { inner_->leave_out(rank); }

  std::int64_t bytes = 0, messages = 0;

 private:
  void count(std::size_t each) {
    bytes += (size() - 1) * static_cast<std::int64_t>(each);
    messages += size() - 1;
  }
  std::shared_ptr<Ranks> inner_;
};

}  // namespace

TEST_CASE("a step sends what docs/ranks.md says, and shared statistics what they add") {
  for (const int n : {2, 3})
    for (const bool shared : {false, true}) {
      CAPTURE(n);
      CAPTURE(shared);
      for (const std::string& e : as_ranks(n, [&](const std::shared_ptr<Ranks>& inner) {
             const auto ranks = std::make_shared<CountingRanks>(inner);
             const auto sent_by = [&](std::int64_t steps) {
               ToyRun run(Share{ranks, n, 9}, steps);
               run.options.compare_every = 0;
               run.options.sync_batchnorm = shared;
               run.options.schedule.warmup = 0;
               run.hooks.validate = {};
               ranks->bytes = ranks->messages = 0;
               run.go();
               return std::pair(ranks->bytes, ranks->messages);
             };
             const auto three = sent_by(3), two = sent_by(2);
             ToyRun like(1);
             const ParameterList list = like.net->parameters();
             std::int64_t norms = 0, channels = 0;
             for (const Parameter& p : list) {
               if (!p.name.ends_with("running_mean")) continue;
               ++norms;
               channels += p.tensor.numel();
             }
             // Gradients stand in one array, where some are padded.
             const std::int64_t numbers = Optimizer(like.ctx, list, {}).gradients().numel() + 2 * channels;
             const std::int64_t chunk = (numbers + n - 1) / n;
             std::int64_t bytes = (n - 1) * (4 * chunk + 4 * chunk + 8), messages = 2 * (n - 1);
             if (shared) {
               bytes += (n - 1) * 4 * (4 * channels + norms);
               messages += (n - 1) * 2 * norms;
             }
             AKIN_CHECK(three.first - two.first == bytes, "{} bytes, expected {}", three.first - two.first, bytes);
             AKIN_CHECK(three.second - two.second == messages, "{} messages, expected {}", three.second - two.second,
                        messages);
           }))
        CHECK_EQ(e, "");
    }
}

TEST_CASE("the estimates of docs/ranks.md are of the networks that there are") {
  std::ifstream file(AKIN_SOURCE_DIR "/scripts/rank_estimates.py");
  std::stringstream script;
  script << file.rdbuf();
  Context no_memory(Device::cpu, {.shapes_only = true});
  for (const auto& [name, label, width, classes] : {std::tuple{"resnet20", "resnet20", 0, 10},
                                                    {"resnet50", "resnet50", 0, 1000},
                                                    {"mobilenet_v1", "mobilenet_v1:8", 8, 1000}}) {
    const auto net = make_network(no_memory, {.name = name, .width = width, .channels = 3, .classes = classes});
    std::int64_t numbers = 0, norms = 0;
    for (const Parameter& p : net->parameters()) {
      if (p.kind != ParameterKind::counter) numbers += p.tensor.numel();
      norms += p.name.ends_with("running_mean");
    }
    const std::string line = fmt::format("\"{}\": ({}, {}),", label, numbers, norms);
    CAPTURE(line);
    CHECK(has(script.str(), line));
  }
}
