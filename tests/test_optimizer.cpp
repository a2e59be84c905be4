// The optimiser's arenas; the update rules themselves are tested in test_optim.cpp and test_golden_*.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "nn/optimizer.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/gpu_case.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

Tensor leaf(Context& ctx, const std::vector<float>& values, Shape shape) {
  Tensor t = Tensor::from(ctx, values, std::move(shape));
  t.set_requires_grad(true);
  return t;
}

/// loss = sum of all weighted elements, so that the gradient of w is `factor`.
void backward_sum(Context& ctx, const std::vector<std::pair<Tensor, double>>& terms) {
  Tape tape;
  const TapeScope scope(ctx, &tape);
  Tensor loss;
  for (const auto& [w, factor] : terms) {
    const Tensor term = ops::scale(ctx, ops::sum(ctx, w), factor);
    loss = loss.defined() ? ops::add(ctx, loss, term) : term;
  }
  tape.backward(ctx, loss);
}

std::vector<float> floats(const Tensor& t) {
  const Array a = t.to_array();
  const auto v = a.as<float>();
  return {v.begin(), v.end()};
}

}  // namespace

TEST_CASE("moving into the arena keeps values, handles and outputs") {
  Context ctx(Device::cpu, {.poison = true});
  const auto net = make_network(ctx, {.name = "resnet8", .width = 5, .shortcut = "conv", .channels = 1, .classes = 3});
  const ParameterList list = net->parameters();
  initialize(list, 4);
  std::vector<Array> before;
  for (const Parameter& p : list) before.push_back(p.tensor.to_array());
  const Tensor x = Tensor::zeros(ctx, {2, 8, 8, 1});
  const Array y = net->logits(ctx, x, false).to_array();
  {
    Optimizer optimizer(ctx, list, {});
    for (std::size_t i = 0; i < list.size(); ++i) CHECK(same_bits(before[i], list[i].tensor.to_array()));
    CHECK(same_bits(y, net->logits(ctx, x, false).to_array()));
    std::set<Storage*> storages;
    for (const Parameter& p : list)
      if (p.trainable()) {
        storages.insert(p.tensor.handle()->storage.get());
        CHECK_EQ(p.tensor.handle()->offset % 64, 0);
      }
    CHECK_EQ(storages.size(), 1);
  }
  CHECK(same_bits(y, net->logits(ctx, x, false).to_array()));  // the arena outlives the optimiser
  Optimizer second(ctx, list, {.kind = "adamw"});              // and the parameters can move on
  CHECK(same_bits(y, net->logits(ctx, x, false).to_array()));
  CHECK_EQ(ctx.allocator->stats().fence_breaks, 0);
}

TEST_CASE("sgd over an arena: gradients, a parameter without one, decay, old gradients forgotten") {
  Context ctx(Device::cpu, {.poison = true});
  const Tensor w = leaf(ctx, {1, 2, 3}, {3, 1}), b = leaf(ctx, {10}, {1}), idle = leaf(ctx, {4, 5}, {2});
  const Tensor counter = Tensor::zeros(ctx, Shape{}, DType::i64);
  Optimizer optimizer(ctx,
                      {{"w", w, ParameterKind::linear_weight},
                       {"b", b, ParameterKind::bias},
                       {"idle", idle, ParameterKind::norm},
                       {"n", counter, ParameterKind::counter}},
                      {.momentum = 0.5, .weight_decay = 0.1, .decay_all = false});
  optimizer.zero_grad();
  backward_sum(ctx, {{w, 2.0}, {b, -1.0}});
  CHECK_FALSE(idle.grad().defined());
  optimizer.step(0.5);
  // d = g + 0.1 w for the weight alone; w -= 0.5 d. Rounding: 4 operations of eps/2 on values up to 10.
  const double tol = 4 * 6e-8 * 10;
  const auto near = [&](float got, double want) { return std::abs(static_cast<double>(got) - want) <= tol; };
  for (int i = 0; i < 3; ++i) CHECK(near(floats(w)[static_cast<std::size_t>(i)], (i + 1) - 0.5 * (2 + 0.1 * (i + 1))));
  CHECK(near(floats(b)[0], 10.5));
  CHECK_EQ(floats(idle), std::vector<float>{4, 5});
  // Second step: only `idle` has a gradient; what w and b got before counts through the momentum alone.
  const double w0 = static_cast<double>(floats(w)[0]), m0 = 2.1;
  optimizer.zero_grad();
  backward_sum(ctx, {{idle, 3.0}});
  optimizer.step(0.5);
  CHECK(near(floats(idle)[0], 4 - 1.5));
  CHECK(near(floats(b)[0], 10.5 + 0.5 * 0.5));
  CHECK(near(floats(w)[0], w0 - 0.5 * (0.5 * m0 + 0.1 * w0)));
}

TEST_CASE("padding between tensors stays zero, in values and moments") {
  for (const char* kind : {"sgd", "adamw"}) {
    Context ctx(Device::cpu, {.poison = true});
    const Tensor w = leaf(ctx, std::vector<float>(17, 1.0f), {17}), v = leaf(ctx, {1, 1, 1}, {3});
    Optimizer optimizer(ctx, {{"w", w, ParameterKind::bias}, {"v", v, ParameterKind::bias}}, {.kind = kind});
    for (int i = 0; i < 3; ++i) {
      optimizer.zero_grad();
      backward_sum(ctx, {{w, 1.0}, {v, 2.0}});
      optimizer.step(0.1);
    }
    const Tensor arena = w.view({17});
    const float* x = reinterpret_cast<const float*>(arena.raw());  // 17 values, 15 of padding, 3 values, 13
    for (const int i : {17, 18, 31, 35, 47}) CHECK_EQ(x[i], 0.0f);
    CHECK_NE(x[32], 0.0f);
    SafeTensors file;
    optimizer.save(file);
    for (const char* name : {"optimizer.first", "optimizer.second"}) {
      const Array* a = file.find(name);
      if (a == nullptr) continue;
      CHECK_EQ(a->numel(), 48);
      CHECK_EQ(a->as<float>()[17], 0.0f);
      CHECK_EQ(a->as<float>()[47], 0.0f);
      CHECK_NE(a->as<float>()[32], 0.0f);
    }
  }
}

TEST_CASE("clipping shortens long gradients to the norm and leaves short ones alone") {
  const auto moved = [](double clip, double factor) {
    Context ctx;
    const Tensor a = leaf(ctx, {0, 0, 0}, {3}), b = leaf(ctx, {0}, {1});
    Optimizer optimizer(ctx, {{"a", a, ParameterKind::bias}, {"b", b, ParameterKind::bias}},
                        {.momentum = 0, .weight_decay = 0, .clip_norm = clip});
    optimizer.zero_grad();
    backward_sum(ctx, {{a, factor}, {b, factor}});
    optimizer.step(1.0);
    double square = 0;
    for (const float v : floats(a)) square += static_cast<double>(v) * static_cast<double>(v);
    return std::sqrt(square + static_cast<double>(floats(b)[0]) * static_cast<double>(floats(b)[0]));
  };
  CHECK(std::abs(moved(0, 3) - 6) <= 1e-6);  // four gradients of 3
  CHECK(std::abs(moved(2, 3) - 2) <= 2e-6);  // eps * few
  CHECK(std::abs(moved(10, 3) - 6) <= 1e-6);
}

TEST_CASE("two modules in one optimiser are updated together") {
  Context ctx;
  const auto net = make_network(ctx, {.name = "resnet8", .width = 2, .channels = 1, .classes = 3});
  Linear heads(ctx, net->feature_size(), 5);
  ParameterList list = net->parameters(), head_list;
  heads.collect("source_heads", head_list);
  initialize(list, 1);
  initialize(head_list, 2);
  list.insert(list.end(), head_list.begin(), head_list.end());
  const std::vector<float> head_before = floats(head_list[0].tensor), conv_before = floats(list[0].tensor);
  Optimizer optimizer(ctx, list, {});
  optimizer.zero_grad();
  Tape tape;
  {
    const TapeScope scope(ctx, &tape);
    std::vector<float> pixels(2 * 6 * 6);
    Rng rng(1);
    for (float& v : pixels) v = rng.normal();
    const Tensor f = net->features(ctx, Tensor::from(ctx, pixels, {2, 6, 6, 1}), true);
    const Tensor y = heads(ctx, f);
    tape.backward(ctx, ops::mean(ctx, ops::mul(ctx, y, y)));
  }
  optimizer.step(0.1);
  CHECK_NE(floats(head_list[0].tensor), head_before);
  CHECK_NE(floats(list[0].tensor), conv_before);
}

TEST_CASE("a parameter with a factor on its rate moves as under an optimiser of that rate, the others as ever") {
  for (const char* kind : {"sgd", "adamw"})
    for (const double decay : {0.0, 0.1}) {
      CAPTURE(kind);
      CAPTURE(decay);
      const auto run = [&](double lr, const std::vector<double>& rates) {
        Context ctx(Device::cpu, {.poison = true});
        const Tensor w = leaf(ctx, {1, -2, 3}, {3, 1}), b = leaf(ctx, {10, 0.5f}, {2});
        Optimizer optimizer(ctx,
                            {{"n", Tensor::zeros(ctx, Shape{}, DType::i64), ParameterKind::counter},
                             {"w", w, ParameterKind::linear_weight},
                             {"b", b, ParameterKind::bias}},
                            {.kind = kind, .weight_decay = decay, .rates = rates});
        for (int i = 0; i < 3; ++i) {
          optimizer.zero_grad();
          backward_sum(ctx, {{w, 0.5 * (i + 1)}, {b, -1.0}});
          optimizer.step(lr / (i + 1));
        }
        return std::pair{floats(w), floats(b)};
      };
      const auto whole = run(0.1, {}), half = run(0.05, {}), mixed = run(0.1, {7, 1, 0.5});
      CHECK_EQ(mixed.first, whole.first);
      CHECK_EQ(mixed.second, half.second);
      CHECK_NE(whole.second, half.second);
      CHECK_EQ(run(0.1, {1, 1, 1}), whole);
    }
}

TEST_CASE("moments and step count survive a file; another optimiser's or a damaged one is refused") {
  for (const char* kind : {"sgd", "adamw"}) {
    CAPTURE(kind);
    Context ctx;
    const auto run = [&](bool interrupted) {
      Tensor w = leaf(ctx, {1, -2, 3, 0.5f}, {4});
      const OptimizerOptions options{.kind = kind, .momentum = 0.9, .nesterov = true};
      auto optimizer = std::make_unique<Optimizer>(ctx, ParameterList{{"w", w, ParameterKind::conv_weight}}, options);
      for (int i = 0; i < 6; ++i) {
        if (interrupted && i == 3) {
          SafeTensors file;
          optimizer->save(file);
          const SafeTensors back = parse_safetensors(to_safetensors(file), "memory");
          w = leaf(ctx, floats(w), {4});
          optimizer = std::make_unique<Optimizer>(ctx, ParameterList{{"w", w, ParameterKind::conv_weight}}, options);
          optimizer->load(back);
        }
        optimizer->zero_grad();
        backward_sum(ctx, {{w, 0.3 * (i - 2)}});
        optimizer->step(0.05);
      }
      return floats(w);
    };
    CHECK_EQ(run(true), run(false));
  }
  Context ctx;
  const Tensor w = leaf(ctx, {1}, {1}), wide = leaf(ctx, std::vector<float>(20), {20});
  Optimizer sgd(ctx, {{"w", w, ParameterKind::bias}}, {});
  Optimizer adamw(ctx, {{"w", w, ParameterKind::bias}}, {.kind = "adamw"});
  Optimizer wider(ctx, {{"w", wide, ParameterKind::bias}}, {});
  SafeTensors from_sgd, from_adamw, from_wider, damaged;
  sgd.save(from_sgd);
  adamw.save(from_adamw);
  wider.save(from_wider);
  from_sgd.source = from_adamw.source = from_wider.source = damaged.source = "state.safetensors";
  for (const std::string& error : {error_of([&] { sgd.load(from_adamw); }), error_of([&] { adamw.load(from_sgd); }),
                                   error_of([&] { sgd.load(from_wider); }), error_of([&] { sgd.load(damaged); })})
    CHECK(has(error, "state.safetensors"));
  damaged.add("optimizer.steps", Array(DType::i64, {0}));
  damaged.add("optimizer.first", from_sgd.at("optimizer.first"));
  CHECK(has(error_of([&] { sgd.load(damaged); }), "optimizer.steps"));
}

TEST_CASE("options out of range and nothing to train are refused") {
  for (const OptimizerOptions& o :
       {OptimizerOptions{.kind = "lion"}, OptimizerOptions{.momentum = 1}, OptimizerOptions{.momentum = -0.1},
        OptimizerOptions{.momentum = 0, .nesterov = true}, OptimizerOptions{.weight_decay = -1},
        OptimizerOptions{.weight_decay = NAN}, OptimizerOptions{.clip_norm = -1}, OptimizerOptions{.clip_norm = NAN},
        OptimizerOptions{.rates = {1, 0}}, OptimizerOptions{.rates = {NAN}}})
    CHECK_THROWS_AS(o.check(), UsageError);
  Context ctx;
  CHECK_THROWS_AS(Optimizer(ctx, {}, {}), Error);
  CHECK(has(error_of([&] {
              Optimizer(ctx, {{"w", Tensor::zeros(ctx, {1}), ParameterKind::bias}}, {.rates = {1, 1}});
            }),
            "2 factors on the learning rates of 1 parameters"));
  CHECK(has(error_of([&] {
              Optimizer(ctx, {{"wide", Tensor::zeros(ctx, {1}, DType::f64), ParameterKind::bias}}, {});
            }),
            "wide"));
}

TEST_CASE("the arenas everywhere: steps, shadows, files and missing gradients as on the CPU in f32") {
  // Three steps; then the state goes through a file, and the parameters through new values.
  const auto run = [](Context& ctx, const OptimizerOptions& options, bool file) {
    Tensor w = leaf(ctx, {1, -2, 3, 0.5f, 7}, {5, 1}), b = leaf(ctx, {0.25f, 4, -1}, {3});
    const ParameterList list{{"w", w, ParameterKind::linear_weight}, {"b", b, ParameterKind::bias}};
    auto optimizer = std::make_unique<Optimizer>(ctx, list, options);
    const auto check_shadow = [&] {
      CHECK_EQ(w.shadow().defined(), ctx.activations == DType::bf16);
      CHECK_FALSE(b.shadow().defined());
      if (!w.shadow().defined()) return;
      CHECK(w.shadow().shape() == w.shape());
      CHECK(same_bits(w.shadow().to_array(), w.to_array().cast(DType::bf16)));
    };
    check_shadow();
    for (int i = 0; i < 4; ++i) {
      optimizer->zero_grad();
      if (i == 2)
        backward_sum(ctx, {{b, 0.5}});  // w has none
      else
        backward_sum(ctx, {{w, 0.3 * (i + 1)}, {b, -0.7}});
      optimizer->step(0.1 / (i + 1));
      check_shadow();
      if (i != 1 || !file) continue;
      SafeTensors saved;
      optimizer->save(saved);
      const SafeTensors back = parse_safetensors(to_safetensors(saved), "memory");
      optimizer = nullptr;
      CHECK_FALSE(w.shadow().defined());
      optimizer = std::make_unique<Optimizer>(ctx, list, options);
      optimizer->load(back);
    }
    std::vector<float> all = floats(w);
    for (const float v : floats(b)) all.push_back(v);
    const float ones[] = {1, 1, 1, 1, 1};
    w.copy_from(ones);
    optimizer->refresh();
    check_shadow();
    return all;
  };
  for (const OptimizerOptions& options :
       {OptimizerOptions{.nesterov = true, .decay_all = false}, OptimizerOptions{.kind = "adamw", .weight_decay = 0.1},
        OptimizerOptions{.momentum = 0, .clip_norm = 0.5}, OptimizerOptions{.kind = "adamw", .clip_norm = 0.5},
        OptimizerOptions{.weight_decay = 0, .rates = {1, 0.25}},
        OptimizerOptions{.kind = "adamw", .weight_decay = 0.1, .rates = {3, 1}}}) {
    Context cpu;
    const std::vector<float> expected = run(cpu, options, false);
    const auto check = [&](Context& ctx) {
      for (const DType activations : {DType::f32, DType::bf16}) {
        ctx.activations = activations;
        const std::vector<float> found = run(ctx, options, false);
        // Four steps of 8 roundings of numbers up to 8.
        for (std::size_t i = 0; i < found.size(); ++i)
          CHECK(std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) <= 4 * 8 * 8 * 6e-8);
        CHECK_EQ(run(ctx, options, true), found);
      }
    };
    on_gpus(check);
    check(cpu);
  }
}

TEST_CASE("a captured step repeats with the learning rate and count that prepare() gives") {
  for (const char* kind : {"sgd", "adamw"})
    on_gpus([&](Context& ctx) {
      const auto run = [&](bool captured) {
        const Tensor w = leaf(ctx, {1, -2, 3}, {3});
        Optimizer optimizer(ctx, {{"w", w, ParameterKind::linear_weight}}, {.kind = kind, .clip_norm = 1});
        optimizer.zero_grad();
        backward_sum(ctx, {{w, 0.75}});
        std::unique_ptr<GpuGraph> graph;
        for (int i = 0; i < 3; ++i) {
          optimizer.prepare(0.1 * (i + 1));
          if (!captured) {
            optimizer.apply();
            continue;
          }
          if (graph == nullptr) {
            ctx.stream->begin_capture();
            optimizer.apply();
            graph = ctx.stream->end_capture();
            CHECK_EQ(graph->nodes(), 3);  // the norm in two, and one launch for the whole network
          }
          ctx.stream->launch(*graph);
        }
        return floats(w);
      };
      CHECK_EQ(run(true), run(false));
    });
}
