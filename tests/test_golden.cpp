// Whole networks against PyTorch in float64: tests/golden/README.md says how the references were made.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd.hpp"
#include "engine/io/safetensors.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/optim.hpp"
#include "nn/network.hpp"
#include "nn/schedule.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/golden_values.hpp"

using namespace akin;
using namespace akin::test;

namespace {

SafeTensors golden(const std::string& name) {
  return read_safetensors(std::string(AKIN_SOURCE_DIR) + "/tests/golden/" + name + ".safetensors");
}

/// Element positions of a parameter in file order (OIHW) -> memory order (OHWI).
std::vector<std::size_t> file_order(const Parameter& p) {
  std::vector<std::size_t> at(static_cast<std::size_t>(p.tensor.numel()));
  for (std::size_t i = 0; i < at.size(); ++i) at[i] = i;
  if (p.kind != ParameterKind::conv_weight) return at;
  const auto K = static_cast<std::size_t>(p.tensor.dim(0)), R = static_cast<std::size_t>(p.tensor.dim(1)),
             S = static_cast<std::size_t>(p.tensor.dim(2)), C = static_cast<std::size_t>(p.tensor.dim(3));
  std::size_t i = 0;
  for (std::size_t k = 0; k < K; ++k)
    for (std::size_t c = 0; c < C; ++c)
      for (std::size_t r = 0; r < R; ++r)
        for (std::size_t s = 0; s < S; ++s) at[i++] = ((k * R + r) * S + s) * C + c;
  return at;
}

Values in_file_order(const Parameter& p, const Values& memory) {
  Values out;
  for (const std::size_t i : file_order(p)) out.push_back(memory[i]);
  return out;
}

struct Case {
  const char* file;
  Architecture architecture;
  double tol;  ///< of logits; gradients get 8 times, digests of gradients 32 times as much
};

/// tol: float32 rounding grows with depth; the README's measured float32 errors of PyTorch, times about ten.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"resnet8_option_a", {"resnet8", 4, "A", 3, 7}, 4e-6},
      {"resnet8_projection", {"resnet8", 4, "conv", 3, 7}, 4e-6},
      {"resnet18", {"resnet18", 2, "", 3, 7}, 2e-5},
      {"resnet50", {"resnet50", 2, "", 3, 7}, 5e-5},
  };
  return all;
}

/// A network with its reference, ready at the start state.
struct Bench {
  Context ctx;
  SafeTensors file;
  std::unique_ptr<Network> net;
  ParameterList parameters;
  Tensor x, target;

  explicit Bench(const Case& c) : file(golden(c.file)) {
    net = make_network(ctx, c.architecture);
    parameters = net->parameters();
    restart();
    x = Tensor::from(ctx, file.at("input"));
    target = Tensor::from(ctx, file.at("target"));
  }

  void restart() {
    std::size_t states = 0;
    for (const auto& [name, array] : file.tensors) states += name.starts_with("state.");
    REQUIRE(states == parameters.size());  // no name more, none less
    for (const Parameter& p : parameters) {
      const Values v = values_of(file.at("state." + p.name));
      REQUIRE(static_cast<std::int64_t>(v.size()) == p.tensor.numel());
      if (p.kind == ParameterKind::counter) {
        p.tensor.data<std::int64_t>()[0] = static_cast<std::int64_t>(v[0]);
        continue;
      }
      const std::vector<std::size_t> at = file_order(p);
      for (std::size_t i = 0; i < v.size(); ++i) p.tensor.data<float>()[at[i]] = static_cast<float>(v[i]);
    }
  }

  Values eval() { return values_of(net->logits(ctx, x, false)); }

  /// One forward in training mode and its backward; returns the loss.
  double forward_backward(Values* logits = nullptr) {
    Tape tape;
    TapeScope scope(ctx, &tape);
    for (const Parameter& p : parameters)
      if (p.trainable()) Tensor(p.tensor).zero_grad();
    const Tensor y = net->logits(ctx, x, true);
    if (logits) *logits = values_of(y);
    const Tensor loss = ops::mean(ctx, ops::softmax_ce(ctx, y, target));
    tape.backward(ctx, loss);
    return loss.item();
  }

  std::map<std::string, Values> collect(auto&& wanted, auto&& tensor) const {
    std::map<std::string, Values> out;
    for (const Parameter& p : parameters)
      if (wanted(p)) out[p.name] = in_file_order(p, values_of(tensor(p)));
    return out;
  }
  std::map<std::string, Values> gradients() const {
    return collect([](const Parameter& p) { return p.trainable(); },
                   [](const Parameter& p) { return p.tensor.grad(); });
  }
  std::map<std::string, Values> weights() const {
    return collect([](const Parameter& p) { return p.trainable(); }, [](const Parameter& p) { return p.tensor; });
  }
  std::map<std::string, Values> running() const {
    return collect([](const Parameter& p) { return p.kind == ParameterKind::buffer; },
                   [](const Parameter& p) { return p.tensor; });
  }

  /// Compares the whole tensors that the file holds under `prefix`.
  double whole(const std::string& prefix, const std::map<std::string, Values>& got) const {
    double worst = 0;
    for (const auto& [name, array] : file.tensors)
      if (name.starts_with(prefix)) {
        const auto it = got.find(name.substr(prefix.size()));
        worst = std::max(worst, it == got.end() ? INFINITY : difference(it->second, values_of(array)));
      }
    return worst;
  }

  /// Three steps of SGD by plain loops, so that this test depends on no optimiser. Returns the losses.
  Values train(bool nesterov, double weight_decay = 5e-4) {
    const double rate = values_of(file.at("lr"))[0];
    std::map<std::string, Values> momentum;
    Values losses;
    for (int step = 0; step < 3; ++step) {
      losses.push_back(forward_backward());
      for (const Parameter& p : parameters) {
        if (!p.trainable()) continue;
        const Values g = values_of(p.tensor.grad());
        float* w = p.tensor.data<float>();
        Values& v = momentum.try_emplace(p.name, g.size(), 0.0).first->second;
        for (std::size_t i = 0; i < g.size(); ++i) {
          const double d = g[i] + weight_decay * static_cast<double>(w[i]);
          v[i] = 0.9 * v[i] + d;
          w[i] = static_cast<float>(static_cast<double>(w[i]) - rate * (nesterov ? d + 0.9 * v[i] : v[i]));
        }
      }
    }
    return losses;
  }
};

}  // namespace

TEST_CASE("logits, gradients and running statistics agree with PyTorch, on one thread and on several") {
  const int before = max_threads();
  for (const Case& c : cases())
    for (const auto& [fast, threads] : {std::pair{true, 1}, {true, 2}, {true, 3}, {false, 2}}) {
      CAPTURE(c.file);
      CAPTURE(fast);
      CAPTURE(threads);
      set_threads(threads);
      Bench b(c);
      b.ctx.use_fast_paths = fast;
      CHECK(difference(b.eval(), values_of(b.file.at("logits_eval"))) <= 4e-6);
      Values logits;
      const double loss = b.forward_backward(&logits);
      CHECK(difference(logits, values_of(b.file.at("logits_train"))) <= c.tol);
      CHECK(difference({loss}, values_of(b.file.at("loss_train"))) <= c.tol);
      const auto gradients = b.gradients();
      CHECK(b.whole("grad.", gradients) <= 8 * c.tol);
      CHECK(digest_difference(gradients, b.file.at("digest.grad")) <= 32 * c.tol);
      const auto running = b.running();
      CHECK(b.whole("train.", running) <= c.tol);
      CHECK(digest_difference(running, b.file.at("digest.train")) <= c.tol);
      for (const Parameter& p : b.parameters)
        if (p.kind == ParameterKind::counter) CHECK(p.tensor.data<std::int64_t>()[0] == 4);
    }
  set_threads(before);
}

TEST_CASE("three steps of SGD agree with PyTorch") {
  for (const Case& c : cases())
    for (const bool nesterov : {false, true}) {
      CAPTURE(c.file);
      CAPTURE(nesterov);
      const std::string kind = nesterov ? "nesterov" : "sgd";
      Bench b(c);
      CHECK(difference(b.train(nesterov), values_of(b.file.at("loss_" + kind))) <= 2 * c.tol);
      const auto weights = b.weights();
      CHECK(b.whole(kind + ".", weights) <= 2 * c.tol);
      CHECK(digest_difference(weights, b.file.at("digest." + kind)) <= 2 * c.tol);
      CHECK(difference(b.eval(), values_of(b.file.at("logits_eval_" + kind))) <= 4 * c.tol);
    }
}

TEST_CASE("the comparison rejects small mistakes") {
  const Case& c = cases()[0];
  Bench b(c);
  const auto losses = values_of(b.file.at("loss_sgd"));
  const auto digests = b.file.at("digest.sgd");

  SUBCASE("no weight decay") {
    b.train(false, 0.0);
    CHECK(!(digest_difference(b.weights(), digests) <= 2 * c.tol));
  }
  SUBCASE("Nesterov for plain momentum") { CHECK(!(difference(b.train(true), losses) <= 2 * c.tol)); }
  SUBCASE("one weight transposed in space") {
    for (const Parameter& p : b.parameters)
      if (p.name == "layer2.0.conv1.weight") std::swap(p.tensor.data<float>()[4], p.tensor.data<float>()[12]);
    CHECK(!(difference(b.eval(), values_of(b.file.at("logits_eval"))) <= 4e-6));
    CHECK(!(digest_difference(b.weights(), digests) <= 2 * c.tol));
  }
  SUBCASE("NaN") {
    CHECK(!(difference({1.0, NAN}, {1.0, 2.0}) <= 1.0));
    auto weights = b.weights();
    weights.begin()->second[0] = NAN;
    CHECK(!(digest_difference(weights, digests) <= 1.0));
  }
}

TEST_CASE("kd_multi agrees with PyTorch in double, saturated rows included") {
  const SafeTensors file = golden("kd_multi");
  Context ctx;
  const Tensor teacher = Tensor::from(ctx, file.at("teacher_logits"));
  const Values temperature = values_of(file.at("temperature")), alpha = values_of(file.at("alpha"));
  ops::KdSources sources{{0}, alpha, 1.0};
  for (const double c : values_of(file.at("classes")))
    sources.offsets.push_back(sources.offsets.back() + static_cast<std::int64_t>(c));
  for (std::size_t i = 0; i < temperature.size(); ++i) {
    CAPTURE(temperature[i]);
    const std::string prefix = "t" + std::to_string(i) + ".";
    sources.temperature = temperature[i];
    const auto loss_of = [&](const std::vector<double>& weights, Tensor* gradient) {
      Tensor student = Tensor::from(ctx, file.at("student_logits"));
      student.set_requires_grad(true);
      Tape tape;
      TapeScope scope(ctx, &tape);
      sources.alpha = weights;
      const Tensor loss = ops::kd_multi(ctx, student, teacher, sources);
      tape.backward(ctx, loss);
      if (gradient) *gradient = student.grad();
      return loss.item();
    };
    Tensor gradient;
    const double loss = loss_of(alpha, &gradient);
    // 14 classes, logits up to 200 in double: a few thousand eps.
    CHECK(difference({loss}, values_of(file.at(prefix + "loss"))) <= 1e-12);
    CHECK(difference(values_of(gradient), values_of(file.at(prefix + "dstudent"))) <= 1e-12);
    const Values each = values_of(file.at(prefix + "source_loss"));
    for (std::size_t s = 0; s < each.size(); ++s) {
      std::vector<double> one(each.size(), 0.0);
      one[s] = 1.0;
      CHECK(difference({loss_of(one, nullptr)}, {each[s]}) <= 1e-12);
    }
  }
}

TEST_CASE("a FixMatch loss built from softmax_ce agrees with PyTorch in double") {
  const SafeTensors file = golden("fixmatch");
  Context ctx;
  Tensor labelled = Tensor::from(ctx, file.at("labelled_logits")), strong = Tensor::from(ctx, file.at("strong_logits"));
  labelled.set_requires_grad(true);
  strong.set_requires_grad(true);
  Tape tape;
  TapeScope scope(ctx, &tape);
  const Tensor supervised = ops::mean(ctx, ops::softmax_ce(ctx, labelled, Tensor::from(ctx, file.at("target"))));
  const Tensor unsupervised = ops::mean(ctx, ops::softmax_ce(ctx, strong, Tensor::from(ctx, file.at("pseudo_label")),
                                                             Tensor::from(ctx, file.at("mask"))));
  const double weight = values_of(file.at("unlabelled_weight"))[0];
  const Tensor loss = ops::add(ctx, supervised, ops::scale(ctx, unsupervised, weight));
  CHECK(difference({unsupervised.item()}, values_of(file.at("unsupervised_loss"))) <= 1e-13);
  CHECK(difference({loss.item()}, values_of(file.at("loss"))) <= 1e-13);
  tape.backward(ctx, loss);
  CHECK(difference(values_of(labelled.grad()), values_of(file.at("dlabelled"))) <= 1e-13);
  CHECK(difference(values_of(strong.grad()), values_of(file.at("dstrong"))) <= 1e-13);
}

TEST_CASE("optimiser steps agree with PyTorch in double") {
  const SafeTensors file = golden("optim");
  const Values start = values_of(file.at("start")), gradients = values_of(file.at("gradients"));
  const auto n = static_cast<std::int64_t>(start.size());
  const auto trail = [&](auto&& step) {
    Values p = start, m(start.size(), 0.0), v(start.size(), 0.0), out;
    for (std::int64_t t = 0; t < 3; ++t) {
      step(t, p.data(), gradients.data() + t * n, m.data(), v.data());
      out.insert(out.end(), p.begin(), p.end());
    }
    return out;
  };
  const auto sgd = [&](double momentum, bool nesterov) {
    return trail([&, momentum, nesterov](std::int64_t, double* p, const double* g, double* m, double*) {
      const OptimRange decay[] = {{0, n, 5e-4}};
      sgd_step<double>(n, {.lr = 0.1, .momentum = momentum, .nesterov = nesterov}, decay, p, g, m);
    });
  };
  CHECK(difference(sgd(0.0, false), values_of(file.at("sgd"))) <= 1e-14);
  CHECK(difference(sgd(0.9, false), values_of(file.at("momentum"))) <= 1e-14);
  CHECK(difference(sgd(0.9, true), values_of(file.at("nesterov"))) <= 1e-14);
  CHECK(!(difference(sgd(0.9, true), values_of(file.at("momentum"))) <= 1e-14));
  const auto adamw = [&](double wd) {
    return trail([&, wd](std::int64_t t, double* p, const double* g, double* m, double* v) {
      const OptimRange decay[] = {{0, n, wd}};
      adamw_step<double>(n, {.lr = 1e-2, .t = t + 1}, decay, p, g, m, v);
    });
  };
  CHECK(difference(adamw(0.05), values_of(file.at("adamw"))) <= 1e-13);
  CHECK(!(difference(adamw(0.04), values_of(file.at("adamw"))) <= 1e-13));
}

TEST_CASE("learning rates agree with PyTorch") {
  const SafeTensors file = golden("schedule");
  const auto rates = [&](const char* kind, std::int64_t warmup) {
    Schedule schedule;
    schedule.kind = kind;
    schedule.base = 0.1;
    schedule.steps = 40;
    schedule.warmup = warmup;
    Values out;
    for (std::int64_t t = 0; t < schedule.steps; ++t) out.push_back(schedule.at(t));
    return out;
  };
  // torch.optim.lr_scheduler multiplies step by step: 40 roundings
  CHECK(difference(rates("cosine", 0), values_of(file.at("cosine"))) <= 1e-14);
  CHECK(difference(rates("cosine", 5), values_of(file.at("cosine_warmup"))) <= 1e-14);
  CHECK(difference(rates("step", 0), values_of(file.at("step"))) <= 1e-14);
  CHECK(!(difference(rates("cosine", 4), values_of(file.at("cosine_warmup"))) <= 1e-14));
}
