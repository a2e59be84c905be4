#include "kernels/batchnorm.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "tests/batchnorm_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Running statistics of the op after one training step, f32 fast (or specification), against long double.
std::string running(const Setup& s, bool fast, Device device = Device::cpu,
                    const std::function<void(std::vector<float>&)>& spoil = {}) {
  Context ctx(device, {.poison = true});
  ctx.use_fast_paths = fast;
  const std::vector<Array> in = make_inputs(bn(s), 4);
  std::vector<Tensor> x;
  for (const Array& a : in) x.push_back(Tensor::from(ctx, a.cast(DType::f32)));
  BatchNormState state = state_of(ctx, s.C, DType::f32);
  ops::batchnorm(ctx, x[0], x[1], x[2], state, s.training, s.act());
  const Statistics st = statistics(s, to_values(x[0]));
  Values mean, var;
  const auto M = static_cast<long double>(s.M);
  for (std::int64_t c = 0; c < s.C; ++c) {
    const bool t = s.training;
    mean.push_back(
        static_cast<double>(t ? (1 - kMomentum) * running_mean(c) + kMomentum * st.mean[at(c)] : st.mean[at(c)]));
    var.push_back(static_cast<double>(t ? (1 - kMomentum) * running_var(c) + kMomentum * st.var[at(c)] * M / (M - 1)
                                        : st.var[at(c)]));
  }
  Values found_mean = to_values(state.running_mean), found_var = to_values(state.running_var);
  if (spoil) {
    std::vector<float> v(found_var.begin(), found_var.end());
    spoil(v);
    found_var.assign(v.begin(), v.end());
  }
  // Stored as float (eps/2); the variance is a difference of float sums of 64 squares, shifted to within a few std.
  const double eps = std::numeric_limits<float>::epsilon();
  if (auto p = compare("running mean", found_mean, mean, 4 * eps * 8); !p.empty()) return p;
  return compare("running var", found_var, var, 4 * eps * 8 * 4);
}

}  // namespace

TEST_CASE("batchnorm: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  const std::int64_t sizes[][2] = {{7, 1},   {9, 3},   {11, 7},   {33, 8},  {31, 10}, {17, 16}, {9, 31},
                                   {10, 33}, {31, 64}, {131, 65}, {9, 100}, {7, 257}, {257, 16}};
  for (const auto& z : sizes)
    for (const bool training : {true, false})
      for (const bool relu : {true, false})
        for (const bool residual : {true, false})
          for (const bool six : {true, false})
            if (relu || !six) cases.push_back(bn({z[0], z[1], training, relu, residual, 0, 0.5, six}));
  AKIN_TEST_OP(cases);
}

TEST_CASE("batchnorm: a mean of 300 standard deviations costs no more digits than the input lost") {
  std::vector<OpCase> cases;
  for (const std::int64_t C : {3, 16, 65})
    for (const bool relu : {true, false}) cases.push_back(bn({331, C, true, relu, relu, 150, 0.5}));
  AKIN_TEST_OP(cases);
}

namespace {

/// The gradients with y unread (`scale` given) must be those with y, to the bit.
template <class T>
void check_recomputed(std::int64_t M, std::int64_t C, Activation act, bool training) {
  CAPTURE(M);
  CAPTURE(C);
  CAPTURE(name_of(act));
  CAPTURE(training);
  const BatchNormShape s{M, C, training, act, 1e-5, 0.1};
  const auto n = static_cast<std::size_t>(M * C), c = static_cast<std::size_t>(C);
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  Rng random(seed);
  const auto draw = [&](std::size_t count, double spread) {
    std::vector<T> v(count);
    for (T& e : v) e = narrowed<T>(static_cast<float>(spread * (static_cast<double>(random.uniform()) - 0.4)));
    return v;
  };
  const std::vector<T> x = draw(n, 20), dy = draw(n, 2);
  std::vector<float> gamma(c), beta(c), mean(c, 1), var(c, 9), kept_mean(c), invstd(c), scale(c);
  for (std::size_t i = 0; i < c; ++i) {
    gamma[i] = random.uniform(1.0f, 2.0f) * (i % 3 == 1 ? -1.0f : 1.0f);  // with beta below 1 there are zeros
    beta[i] = random.uniform(0.0f, 1.0f);
  }
  std::vector<T> y(n);
  batchnorm_fwd(kFast, s,
                BatchNormForward<T>{.x = x.data(),
                                    .gamma = gamma.data(),
                                    .beta = beta.data(),
                                    .running_mean = mean.data(),
                                    .running_var = var.data(),
                                    .mean = kept_mean.data(),
                                    .invstd = invstd.data(),
                                    .scale = scale.data(),
                                    .y = y.data()},
                nullptr);
  std::size_t zeros = 0;
  for (const T& v : y) zeros += widened(v) == 0.0f ? 1u : 0u;
  CHECK(zeros > 0);
  CHECK(zeros < n);
  std::vector<T> dx[2] = {std::vector<T>(n), std::vector<T>(n)};
  std::vector<float> dgamma[2] = {std::vector<float>(c), std::vector<float>(c)}, dbeta[2] = {dgamma[0], dgamma[1]};
  for (const std::size_t by_x : {0u, 1u}) {
    if (by_x) std::fill(y.begin(), y.end(), narrowed<T>(std::numeric_limits<float>::quiet_NaN()));
    batchnorm_bwd(kFast, s,
                  BatchNormBackward<T>{.x = x.data(),
                                       .y = y.data(),
                                       .dy = dy.data(),
                                       .gamma = gamma.data(),
                                       .mean = kept_mean.data(),
                                       .invstd = invstd.data(),
                                       .beta = beta.data(),
                                       .scale = by_x ? scale.data() : nullptr,
                                       .dx = dx[by_x].data(),
                                       .dgamma = dgamma[by_x].data(),
                                       .dbeta = dbeta[by_x].data()},
                  nullptr);
  }
  CHECK(std::memcmp(dx[0].data(), dx[1].data(), n * sizeof(T)) == 0);
  CHECK(dgamma[0] == dgamma[1]);
  CHECK(dbeta[0] == dbeta[1]);
}

}  // namespace

TEST_CASE("batchnorm: x tells the gradient's mask as y does, to the bit") {
  for (const std::int64_t C : {1, 3, 16, 33, 100})
    for (const Activation act : {Activation::relu, Activation::relu6})
      for (const bool training : {true, false}) {
        check_recomputed<float>(20011 / C, C, act, training);
        check_recomputed<bf16>(20011 / C, C, act, training);
      }
}

TEST_CASE("batchnorm: the same bits on any number of threads") {
  std::vector<OpCase> cases;
  for (const std::int64_t C : {3, 16, 33})  // 40,000 elements and more: several tiles a piece
    cases.push_back(bn({40001 / C, C, true, true, true}));
  cases.push_back(bn({2500, 16, false, true, false}));
  AKIN_TEST_THREADS(cases);
}

TEST_CASE("batchnorm: running statistics use the unbiased variance, in training only") {
  for (const int n : {1, 2}) {
    const Threads threads(n);
    for (const bool fast : {false, true}) {
      CAPTURE(fast);
      for (const Setup& s : {Setup{7, 3, true, false, false},
                             {131, 65, true, true, false},
                             {5001, 16, true, true, false},
                             {331, 8, true, false, false, 150, 0.5},
                             {9, 10, false, true, false}})
        CHECK_EQ(running(s, fast), "");
    }
  }
  for (const Setup& s : {Setup{7, 3, true, false, false},
                         {131, 65, true, true, false},
                         {5001, 16, true, true, false},  // several parts
                         {331, 8, true, false, false, 150, 0.5},
                         {9, 10, false, true, false}})
    CHECK_EQ(running(s, true, Device::sim), "");
  const auto biased = [](std::vector<float>& v) {
    for (std::size_t c = 0; c < v.size(); ++c) {
      const auto old = static_cast<float>(0.9 * running_var(static_cast<std::int64_t>(c)));
      v[c] = old + (v[c] - old) * 130 / 131;
    }
  };
  CHECK_NE(running({131, 65, true, true, false}, true, Device::cpu, biased), "");
}

TEST_CASE("batchnorm: mutants are rejected") {
  // The statistics taken for constants in the backward pass: the eval formula in training.
  OpCase frozen = bn({9, 3, true, false, false});
  frozen.run = [](Context& ctx, const std::vector<Tensor>& x) {
    BatchNormState state = state_of(ctx, 3, x[0].dtype());
    const Tensor y = ops::batchnorm(ctx, x[0].detach(), x[1].detach(), x[2].detach(), state, true);
    return record(ctx, "mutant", y, {x[0], x[1], x[2]}, [x](const Tensor& dy, Grads& d) {
      Tape tape;
      std::vector<Tensor> leaf;
      for (const Tensor& t : x) {
        leaf.push_back(Tensor::from(d.ctx(), t.to_array()));
        leaf.back().set_requires_grad(true);
      }
      const Statistics st = statistics({9, 3, true, false, false}, to_values(x[0]));
      BatchNormState fixed = state_of(d.ctx(), 3, DType::f64);
      for (std::size_t c = 0; c < 3; ++c) {
        fixed.running_mean.data<double>()[c] = static_cast<double>(st.mean[c]);
        fixed.running_var.data<double>()[c] = static_cast<double>(st.var[c]);
      }
      const TapeScope scope(d.ctx(), &tape);
      const Tensor again = ops::batchnorm(d.ctx(), leaf[0], leaf[1], leaf[2], fixed, false);
      tape.backward(d.ctx(), ops::sum(d.ctx(), ops::mul(d.ctx(), again, dy)));
      for (std::size_t i = 0; i < 3; ++i) d.add(i, leaf[i].grad());
    });
  };
  CHECK_NE(gradcheck(frozen), "");

  // The residual added after the ReLU instead of before.
  OpCase late = bn({33, 8, true, true, true});
  late.run = [](Context& ctx, const std::vector<Tensor>& x) {
    BatchNormState state = state_of(ctx, 8, x[0].dtype());
    return ops::add(ctx, ops::batchnorm(ctx, x[0], x[1], x[2], state, true, Activation::relu), x[3]);
  };
  CHECK_NE(match(late), "");

  // The bound forgotten in the backward pass.
  OpCase open = bn({33, 8, true, true, false, 0, 0.5, true});
  open.run = [](Context& ctx, const std::vector<Tensor>& x) {
    BatchNormState state = state_of(ctx, 8, x[0].dtype()), same = state_of(ctx, 8, x[0].dtype());
    const Tensor y = ops::batchnorm(ctx, x[0], x[1], x[2], state, true, Activation::relu6);
    const Tensor unbounded = ops::batchnorm(ctx, x[0], x[1], x[2], same, true, Activation::relu);
    const Tensor copy = Tensor::from(ctx, y.to_array());
    return record(ctx, "mutant", copy, {unbounded}, [](const Tensor& dy, Grads& d) { d.add(0, dy); });
  };
  CHECK_EQ(gradcheck(bn({33, 8, true, true, false, 0, 0.5, true})), "");
  CHECK_NE(gradcheck(open), "");
}

TEST_CASE("batchnorm: fused = unfused composition, values and gradients") {
  // Without a residual to the bit, on the fast path as well: relu6 within is relu6 behind.
  for (const bool fast : {false, true})
    for (const auto& [M, C] : {std::pair{33, 10}, {257, 16}, {31, 64}, {9, 100}}) {
      const Setup bounded{M, C, true, true, false, 0, 0.5, true};
      OpCase behind = bn(bounded);
      behind.run = [C = C](Context& ctx, const std::vector<Tensor>& x) {
        BatchNormState state = state_of(ctx, C, x[0].dtype());
        return ops::activation(ctx, ops::batchnorm(ctx, x[0], x[1], x[2], state, true), Activation::relu6);
      };
      const auto values = make_inputs(bn(bounded), 1);
      const Outcome within = evaluate(bn(bounded), values, {"f32", DType::f32, fast}, false),
                    after = evaluate(behind, values, {"f32", DType::f32, fast}, false);
      CHECK(within.y == after.y);
      CHECK(within.dx == after.dx);
    }
  const Setup s{33, 10, true, true, true};
  OpCase unfused = bn(s);
  unfused.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    BatchNormState state = state_of(ctx, s.C, x[0].dtype());
    return ops::relu(ctx, ops::add(ctx, ops::batchnorm(ctx, x[0], x[1], x[2], state, true), x[3]));
  };
  CHECK_EQ(match(unfused), "");
  const auto in = make_inputs(bn(s), 1);
  const Outcome a = evaluate(bn(s), in, {"f64 spec", DType::f64}, false),
                b = evaluate(unfused, in, {"f64 spec", DType::f64}, false);
  const double tol = 4 * std::numeric_limits<double>::epsilon();
  CHECK_EQ(compare("y", a.y, b.y, tol), "");
  for (std::size_t k = 0; k < a.dx.size(); ++k) CHECK_EQ(compare("gradient", a.dx[k], b.dx[k], tol), "");
}

TEST_CASE("batchnorm: a tensor that is its own residual gets both gradients") {
  OpCase own = bn({33, 8, true, true, false});
  const Setup with{33, 8, true, true, true};
  own.run = [](Context& ctx, const std::vector<Tensor>& x) {
    BatchNormState state = state_of(ctx, 8, x[0].dtype());
    return ops::batchnorm(ctx, x[0], x[1], x[2], state, true, Activation::relu, x[0]);
  };
  own.reference = [with](const std::vector<Values>& in) {
    Values u = linear_part(with, {in[0], in[1], in[2], in[0]});
    for (double& v : u) v = v < 0 ? 0 : v;
    return u;
  };
  own.adjust = [with](std::vector<Values>& in) {
    adjust({33, 8, true, false, false}, in);
    for (bool clean = false; !clean;) {
      clean = true;
      const Values u = linear_part(with, {in[0], in[1], in[2], in[0]});
      for (std::size_t i = 0; i < u.size(); ++i)
        if (std::abs(u[i]) < 1e-3) {
          clean = false;
          in[0][i] += 0.05;
        }
    }
  };
  AKIN_TEST_OP(std::vector<OpCase>{own});
}

TEST_CASE("batchnorm: constant channels, outliers in front and NaN") {
  for (const auto& [device, fast] : {std::pair{Device::cpu, false}, {Device::cpu, true}, {Device::sim, true}}) {
    CAPTURE(name_of(device));
    CAPTURE(fast);
    Context ctx(device);
    ctx.use_fast_paths = fast;
    const std::int64_t M = 999, C = 3;
    std::vector<float> v;
    Rng rng(8);
    for (std::int64_t m = 0; m < M; ++m)  // constant; an outlier of 1000 std in the first row; NaN in one place
      v.insert(v.end(), {0.1f, m == 0 ? 1000.0f : rng.normal(), m == 500 ? NAN : 1.0f});
    const Tensor x = Tensor::from(ctx, v, {M, C});
    const Tensor gamma = Tensor::from(ctx, std::vector<float>{2, 1, 1}, {3});
    const Tensor beta = Tensor::from(ctx, std::vector<float>{0.25, 0, 0}, {3});
    BatchNormState state = state_of(ctx, C, DType::f32);
    const Tensor y = ops::batchnorm(ctx, x, gamma, beta, state, true, Activation::relu);
    const Values out = to_values(y);
    const Statistics st = statistics({M, C, true, false, false}, to_values(x));
    for (std::int64_t m = 0; m < M; ++m) {
      // mean = 0.1 up to rounding, amplified by gamma / sqrt(eps) = 632
      CHECK(std::abs(out[at(m * C)] - 0.25) <= 632 * 0.1 * double{std::numeric_limits<float>::epsilon()});
      const double u = static_cast<double>((v[at(m * C + 1)] - st.mean[1]) / std::sqrt(st.var[1] + kEps));
      CHECK(std::abs(out[at(m * C + 1)] - std::max(u, 0.0)) <=
            3e-4);  // 4 eps sqrt(64) E[d^2] / (2 var) u, with E[d^2] = 5 var and u = 31.6
      CHECK(std::isnan(out[at(m * C + 2)]));
    }
  }
}

TEST_CASE("batchnorm: on a device, parts, unaligned memory and launches") {
  // Several parts a channel and rows a thread, in packs and one by one; seven channel tiles of one element.
  std::vector<OpCase> cases;
  for (const Setup& s : {Setup{1031, 16, true, true, false},
                         {701, 3, true, true, true},
                         {2100, 2, true, false, true},
                         {57, 224, true, true, true},
                         {40, 1040, true, true, false},
                         {701, 3, true, true, false, 0, 0.5, true},
                         {1031, 16, true, true, true, 0, 0.5, true}})
    cases.push_back(bn(s));
  for (const Setup& s : {Setup{257, 16, true, true, false}, {131, 8, true, true, true}, {33, 16, false, false, true}}) {
    OpCase c = bn(s);  // one element late, so that nothing lies on 16 bytes
    c.name += " unaligned";
    c.inputs[0] = {s.M * s.C + 1};
    c.run = [s](Context& ctx, const std::vector<Tensor>& x) {
      BatchNormState state = state_of(ctx, s.C, x[0].dtype());
      const Tensor late = ops::reshape(ctx, ops::rows(ctx, x[0], 1, s.M * s.C + 1), {s.M, 1, 1, s.C});
      return ops::batchnorm(ctx, late, x[1], x[2], state, s.training, s.act(), s.residual ? x[3] : Tensor());
    };
    const auto late = [](std::vector<Values> in) {
      in[0].erase(in[0].begin());
      return in;
    };
    c.reference = [late, whole = c.reference](const std::vector<Values>& in) { return whole(late(in)); };
    c.adjust = [s, late](std::vector<Values>& in) {
      std::vector<Values> moved = late(in);
      adjust(s, moved);
      moved[0].insert(moved[0].begin(), 0.0);
      in = moved;
    };
    cases.push_back(c);
  }
  for (const OpCase& c : cases) {
    CAPTURE(c.name);
    CHECK_EQ(match(c), "");
  }

  for (const bool relu : {false, true})
    for (const bool residual : {false, true})
      for (const bool training : {false, true}) {
        LaunchLog log;
        Context ctx(Device::sim);
        std::vector<Tensor> x;
        for (const Array& a : make_inputs(bn({33, 8, training, relu, residual}), 5)) {
          x.push_back(Tensor::from(ctx, a.cast(DType::f32)));
          x.back().set_requires_grad(true);
          x.back().set_grad_buffer(Tensor::empty(ctx, a.shape()));  // as an optimiser does
        }
        BatchNormState state = state_of(ctx, 8, DType::f32);
        Tape tape;
        const TapeScope scope(ctx, &tape);
        ctx.launches = &log;
        const Activation act = relu ? Activation::relu6 : Activation::none;
        const Tensor y = ops::batchnorm(ctx, x[0], x[1], x[2], state, training, act, residual ? x[3] : Tensor());
        CHECK_EQ(log.size(), training ? 3 : 1);
        const Tensor loss = ops::sum(ctx, y);
        log.clear();
        tape.backward(ctx, loss);
        CHECK_EQ(
            log.size(),
            2 + 3);  // the gradients of the loss and of the sum, then batchnorm's: dgamma and dbeta written in place
      }
}

TEST_CASE("batchnorm: small batches and mismatches are named") {
  Context ctx;
  const Tensor one = Tensor::from(ctx, std::vector<float>{1, 1, 1}, {3}), x = Tensor::zeros(ctx, {1, 1, 1, 3});
  BatchNormState state = state_of(ctx, 3, DType::f32);
  CHECK_THROWS_WITH_AS(ops::batchnorm(ctx, x, one, one, state, true),
                       doctest::Contains("needs more than one value a channel"), Error);
  CHECK_NOTHROW(ops::batchnorm(ctx, x, one, one, state, false));
  CHECK_THROWS_WITH_AS(ops::batchnorm(ctx, Tensor::zeros(ctx, {2, 4}), one, one, state, true),
                       doctest::Contains("input has 4 channels of f32, a parameter has [3]"), Error);
  CHECK_THROWS_WITH_AS(ops::batchnorm(ctx, Tensor::zeros(ctx, {2, 3}), one, one, state, true, Activation::none,
                                      Tensor::zeros(ctx, {3, 3})),
                       doctest::Contains("batchnorm residual"), Error);
  CHECK_THROWS_WITH_AS(ops::batchnorm(ctx, one, one, one, state, true), doctest::Contains("[N, ..., C]"), Error);
  CHECK_THROWS_WITH_AS(ops::batchnorm(ctx, x, one, one, state, false, Activation::hardswish),
                       doctest::Contains("hardswish goes in an op of its own"), Error);
}
