#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

#include "engine/launch_on.hpp"
#include "kernels/common/row_math.hpp"
#include "kernels/kd_multi.hpp"
#include "kernels/softmax_ce.hpp"
#include "nn/evaluate.hpp"
#include "tests/op_case.hpp"
#include "tests/sanitized.hpp"

using namespace akin;
using namespace akin::test;

namespace {

std::vector<std::int64_t> targets(std::int64_t B, std::int64_t C) {
  std::vector<std::int64_t> t;
  for (std::int64_t b = 0; b < B; ++b) t.push_back((b * 7 + 3) % C);
  return t;
}

OpCase make(std::int64_t B, std::int64_t C, bool weighted, double range = 3) {
  Values weight(static_cast<std::size_t>(B), 1.0);
  if (weighted)
    for (std::size_t b = 0; b < weight.size(); ++b) weight[b] = 0.25 * static_cast<double>((b + 1) % 5);
  weight.back() = weighted ? 0.75 : 1.0;
  return {.name = fmt::format("softmax_ce {}x{}{}", B, C, weighted ? " weighted" : ""),
          .inputs = {{B, C}},
          .run =
              [=](Context& ctx, const std::vector<Tensor>& x) {
                const Tensor t = Tensor::from(ctx, targets(B, C), {B});
                const Tensor w = weighted ? Tensor::from(ctx, Array::from(weight, {B}).cast(x[0].dtype())) : Tensor();
                return ops::softmax_ce(ctx, x[0], t, w);
              },
          .reference =
              [=](const std::vector<Values>& x) {
                Values y;
                for (std::int64_t b = 0; b < B; ++b) {
                  long double z = 0;
                  for (std::int64_t c = 0; c < C; ++c)
                    z += std::exp(static_cast<long double>(x[0][static_cast<std::size_t>(b * C + c)]));
                  const long double hit =
                      x[0][static_cast<std::size_t>(b * C + targets(B, C)[static_cast<std::size_t>(b)])];
                  y.push_back(weight[static_cast<std::size_t>(b)] * static_cast<double>(std::log(z) - hit));
                }
                return y;
              },
          .depth = static_cast<double>(C),
          .grad_depth = static_cast<double>(C),
          .amplify = 4,  // the loss is a difference of two numbers of the size of the range
          .low = -range,
          .high = range,
          .bf16 = false};
}

/// A function of kernels/softmax_ce.hpp in the emulator, memory poisoned and fenced.
struct OnSim {
  Context ctx{Device::sim, {.poison = true}};
  template <class T>
  Tensor give(const std::vector<T>& v) {
    return Tensor::from(ctx, v, {static_cast<std::int64_t>(v.size())});
  }
  template <class Body>
  void run(Body&& body) {
    on_gpu(ctx, {"test", {}}, [&](const auto& stream) { body(stream); });
    ctx.allocator->flush();
    CHECK_EQ(ctx.allocator->stats().fence_breaks, 0);
  }
};

template <class T>
std::vector<T> values_of(const Tensor& t) {
  const Array a = t.to_array();
  return {a.as<T>().begin(), a.as<T>().end()};
}

}  // namespace

TEST_CASE("softmax_ce: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  for (const std::int64_t B : {1, 7, 33})
    for (const std::int64_t C : {2, 7, 10, 31, 257})
      for (const bool weighted : {false, true}) cases.push_back(make(B, C, weighted));
  cases.push_back(make(300, 3, true));    // several rows a warp
  cases.push_back(make(33, 1000, true));  // all a warp's registers; whole packs
  cases.push_back(make(9, 1023, false));
  cases.push_back(make(7, 1025, true));  // a block a row
  cases.push_back(make(40, 1337, false));
  AKIN_TEST_OP(cases);
}

TEST_CASE("softmax_ce: a mutant that forgets the target's -1 is rejected") {
  OpCase wrong = make(7, 10, false);
  const auto right = wrong.run;
  wrong.run = [right](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor y = right(ctx, x);
    return record(ctx, "mutant", y.detach(), {x[0]}, [x0 = x[0].detach()](const Tensor& dy, Grads& d) {
      const auto [dx, mode] = d.into(0);
      for (std::int64_t b = 0; b < 7; ++b)
        for (std::int64_t c = 0; c < 10; ++c) {
          if (dy.dtype() == DType::f64)
            store(dx.data<double>()[b * 10 + c], dy.data<double>()[b] * 0.1, mode);
          else
            store(dx.data<float>()[b * 10 + c], dy.data<float>()[b] * 0.1f, mode);
        }
    });
  };
  CHECK_NE(gradcheck(wrong), "");
}

TEST_CASE("softmax_ce: huge logits stay finite, NaN shows, bad targets are named") {
  Context ctx;
  const Tensor t = Tensor::from(ctx, std::vector<std::int64_t>{1}, {1});
  const Tensor big = Tensor::from(ctx, std::vector<float>{3e4f, -3e4f}, {1, 2});
  CHECK_EQ(ops::softmax_ce(ctx, big, t).item(), doctest::Approx(6e4));
  const Tensor nan = Tensor::from(ctx, std::vector<float>{NAN, 0.0f}, {1, 2});
  CHECK(std::isnan(ops::softmax_ce(ctx, nan, t).item()));
  const Tensor bad = Tensor::from(ctx, std::vector<std::int64_t>{2}, {1});
  CHECK_THROWS_WITH_AS(ops::softmax_ce(ctx, big, bad), doctest::Contains("target 2 in row 0 is outside 0..1"), Error);
  CHECK_THROWS_WITH_AS(ops::softmax_ce(ctx, Tensor::zeros(ctx, {2, 2}), t), doctest::Contains("2 rows of logits"),
                       Error);
}

TEST_CASE("softmax: rows sum to one at any temperature") {
  const std::vector<double> x{1, 2, 3, -1, 500, 499};
  for (const double T : {0.5, 1.0, 4.0}) {
    std::vector<double> p(6, NAN);
    softmax<double>(2, 3, T, x.data(), p.data());
    for (int b = 0; b < 2; ++b) {
      double z = 0;
      for (int c = 0; c < 3; ++c) z += std::exp((x[std::size_t(b * 3 + c)] - x[std::size_t(b * 3 + 2 - b)]) / T);
      for (int c = 0; c < 3; ++c)
        CHECK_EQ(p[std::size_t(b * 3 + c)],
                 doctest::Approx(std::exp((x[std::size_t(b * 3 + c)] - x[std::size_t(b * 3 + 2 - b)]) / T) / z)
                     .epsilon(1e-13));
    }
  }
}

TEST_CASE("softmax_ce: one class has no loss, and one launch a direction, on a device") {
  LaunchLog log;
  Context ctx(Device::sim, {.poison = true});
  ctx.launches = &log;
  Tensor x = Tensor::from(ctx, std::vector<float>{3, -2, 0}, {3, 1});
  x.set_requires_grad(true);
  Tape tape;
  const TapeScope scope(ctx, &tape);
  const Tensor y = ops::softmax_ce(ctx, x, Tensor::from(ctx, std::vector<std::int64_t>{0, 0, 0}, {3}));
  CHECK_EQ(values_of<float>(y), std::vector<float>{0, 0, 0});
  tape.backward(ctx, ops::mean(ctx, y));
  CHECK_EQ(values_of<float>(x.grad()), std::vector<float>{0, 0, 0});
  CHECK_EQ(std::count(log.begin(), log.end(), "softmax_ce_fwd"), 1);
  CHECK_EQ(std::count(log.begin(), log.end(), "softmax_ce_bwd"), 1);
}

TEST_CASE("softmax_ce: on a device huge logits stay finite, NaN and bad targets show in their row alone") {
  for (const std::int64_t C : {2, 4, 33, 1500}) {
    CAPTURE(C);
    Context ctx(Device::sim, {.poison = true});
    std::vector<float> v(static_cast<std::size_t>(5 * C), -3e4f);
    for (std::size_t b = 0; b < 5; ++b) v[b * static_cast<std::size_t>(C)] = 3e4f;
    v.back() = NAN;
    Tensor x = Tensor::from(ctx, v, {5, C});
    x.set_requires_grad(true);
    const Tensor t = Tensor::from(ctx, std::vector<std::int64_t>{1, 0, C, -1, 0}, {5});
    Tape tape;
    const TapeScope scope(ctx, &tape);
    const Tensor y = ops::softmax_ce(ctx, x, t);
    const auto loss = values_of<float>(y);
    CHECK_EQ(loss[0], 6e4f);
    CHECK_EQ(loss[1], 0.0f);
    for (const std::size_t b : {2u, 3u, 4u}) CHECK(std::isnan(loss[b]));
    tape.backward(ctx, ops::sum(ctx, y));
    const auto g = values_of<float>(x.grad());
    CHECK_EQ(g[0], 1.0f);
    CHECK_EQ(g[1], -1.0f);
    for (std::int64_t c = 0; c < C; ++c) {
      CHECK_EQ(g[static_cast<std::size_t>(C + c)], 0.0f);
      for (const std::int64_t b : {2, 3, 4}) CHECK(std::isnan(g[static_cast<std::size_t>(b * C + c)]));
    }
  }
  Context ctx(Device::sim);
  CHECK_THROWS_WITH_AS(ops::softmax_ce(ctx, Tensor::zeros(ctx, {2, 2}, DType::bf16),
                                       Tensor::from(ctx, std::vector<std::int64_t>{0, 0}, {2})),
                       doctest::Contains("works on f32 on a GPU, found bf16"), Error);
}

TEST_CASE("softmax_ce: a row's bits do not depend on how many rows a block of the device gets") {
  for (const Device device : gpu_devices())
    for (const std::int64_t B : {1, 7, 31, 33, 257})
      for (const std::int64_t C : {1, 10, 100, 1025}) {
        if (kSanitized && B * C > 9000) continue;
        CAPTURE(B);
        CAPTURE(C);
        Context ctx(device, {.poison = true});
        const auto n = static_cast<std::size_t>(B * C);
        Rng rng(3);
        std::vector<float> logits(n), dy(static_cast<std::size_t>(B));
        std::vector<std::int64_t> targets(static_cast<std::size_t>(B));
        for (float& v : logits) v = rng.uniform(-4, 4);
        for (float& v : dy) v = rng.uniform(-1, 1);
        for (auto& v : targets) v = rng.below(static_cast<std::uint32_t>(C));
        const Tensor x = Tensor::from(ctx, logits, {B, C}), t = Tensor::empty(ctx, {B}, DType::i64);
        t.copy_from(targets.data());
        const Tensor g = Tensor::from(ctx, dy, {B});
        std::vector<std::vector<float>> seen;
        for (const int multiprocessors : {1, 2, 9, 132}) {  // 8 to 1 rows a block
          const Tensor y = Tensor::empty(ctx, {B}), dx = Tensor::empty(ctx, {B, C});
          on_gpu(ctx, {"test", {}}, [&](auto stream) {
            GpuLimits limits = *stream.limits;
            limits.multiprocessors = multiprocessors;
            stream.limits = &limits;
            softmax_ce_fwd(stream, B, C, x.data<float>(), t.data<std::int64_t>(), static_cast<const float*>(nullptr),
                           y.data<float>());
            softmax_ce_bwd(stream, B, C, x.data<float>(), t.data<std::int64_t>(), static_cast<const float*>(nullptr),
                           g.data<float>(), dx.data<float>(), Accum::overwrite);
          });
          const Array a = y.to_array(), b = dx.to_array();
          std::vector<float> all(a.as<float>().begin(), a.as<float>().end());
          all.insert(all.end(), b.as<float>().begin(), b.as<float>().end());
          seen.push_back(std::move(all));
        }
        for (const std::vector<float>& other : seen) CHECK(other == seen[0]);
      }
}

TEST_CASE("pseudo_label: as FixMatch's host code, ties to the first, NaN refused") {
  for (const std::int64_t C : {1, 2, 10, 16, 257, 1000, 1200}) {
    CAPTURE(C);
    const std::int64_t B = 37;
    const auto columns = static_cast<std::size_t>(C);
    std::vector<float> x;
    Rng rng(12);
    for (std::int64_t i = 0; i < B * C; ++i) x.push_back(rng.uniform(-2, 2));
    for (std::size_t b = 0; b < 37; b += 3) x[b * columns + b % columns] = 12;                // confident
    for (const std::size_t c : {columns / 3, columns / 2, columns - 1}) x[columns + c] = 20;  // ties, never confident
    const double threshold = 0.95;
    // What distill/student/train.cpp does with the same logits.
    const Array p = softmax_rows(Array::from(x, {B, C}));
    const std::vector<int> best = argmax_rows(p);
    std::vector<std::int64_t> target(best.begin(), best.end());
    std::vector<float> mask;
    int confident = 0;
    for (std::size_t b = 0; b < best.size(); ++b) {
      mask.push_back(double{p.as<float>()[b * columns + static_cast<std::size_t>(best[b])]} >= threshold ? 1.0f : 0.0f);
      confident += mask.back() == 1;
    }
    CHECK(confident >= 13);
    for (const bool hurt : {false, true}) {
      if (hurt) {
        x[5 * columns + columns - 1] = NAN;
        x[6 * columns] = INFINITY;
        for (const std::size_t b : {5u, 6u}) {
          confident -= mask[b] == 1;
          mask[b] = 0;
          target[b] = 0;
        }
      }
      for (const bool fast : {false, true})
        for (const int n : {1, 3}) {
          const Threads threads(n);
          std::vector<std::int64_t> t(best.size(), 77);
          std::vector<float> m(best.size(), NAN);
          std::vector<std::int32_t> counted{100, 10};  // it adds
          pseudo_label(Stream<Cpu>{fast, nullptr}, B, C, threshold, x.data(), t.data(), m.data(), counted.data());
          CHECK_EQ(t, target);
          CHECK_EQ(m, mask);
          CHECK_EQ(counted, std::vector<std::int32_t>{100 + confident, hurt ? 12 : 10});
        }
      OnSim sim;
      const Tensor in = sim.give(x), t = Tensor::empty(sim.ctx, {B}, DType::i64), m = Tensor::empty(sim.ctx, {B});
      const Tensor counted = Tensor::from(sim.ctx, std::vector<std::int32_t>{100, 10}, {2});  // it adds
      sim.run([&](const auto& stream) {
        pseudo_label(stream, B, C, threshold, in.data<float>(), t.data<std::int64_t>(), m.data<float>(),
                     counted.data<std::int32_t>());
      });
      CHECK_EQ(values_of<std::int64_t>(t), target);
      CHECK_EQ(values_of<float>(m), mask);
      CHECK_EQ(values_of<std::int32_t>(counted), std::vector<std::int32_t>{100 + confident, hurt ? 12 : 10});
    }
  }
}

TEST_CASE("softmax: in float as in double, in place too; NaN and infinity spoil their row alone") {
  Rng rng(5);
  for (const std::int64_t C : {1, 2, 31, 32, 33, 257, 1000})
    for (const double T : {0.05, 1.0, 30.0}) {
      CAPTURE(C);
      CAPTURE(T);
      const std::int64_t B = 9;
      std::vector<float> x, p;
      for (std::int64_t i = 0; i < B * C; ++i) x.push_back(rng.uniform(-4, 4));
      x[static_cast<std::size_t>(3 * C)] = NAN;
      x[static_cast<std::size_t>(5 * C)] = INFINITY;
      p = x;
      const std::vector<double> exact(x.begin(), x.end());
      std::vector<double> want(exact.size());
      softmax<double>(B, C, T, exact.data(), want.data());
      softmax<float>(B, C, static_cast<float>(T), p.data(), p.data());
      double worst = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i) / C;
        if (row == 3 || row == 5) {
          CHECK(std::isnan(p[i]) == std::isnan(want[i]));
          CHECK((row == 5 || std::isnan(p[i])));
          continue;
        }
        // Arguments of exp of up to 8 / T and log C, each rounded a few times, then exp and the sum.
        const double tolerance = (8 / T + std::log(double(C)) + 4) * 3 * 0x1p-24;
        worst = std::max(worst, std::abs(p[i] - want[i]) / (want[i] * tolerance + 1e-37));
      }
      CHECK(worst <= 1);
    }
}

TEST_CASE("softmax_ce: the fast path's exponential is within 1.5 units of the last place over all floats") {
  double worst = 0, worst_denormal = 0;
  std::int64_t wrong = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32);
       bits += 4999) {  // prime: all exponents, both signs, NaNs
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits)), found = fast::exp_float(x);
    const double exact = std::exp(static_cast<double>(x));
    if (std::isnan(x)) {
      wrong += !std::isnan(found);
    } else if (std::isinf(static_cast<float>(exact))) {
      wrong += found != std::numeric_limits<float>::infinity();
    } else if (exact < static_cast<double>(std::numeric_limits<float>::min())) {
      worst_denormal = std::max(worst_denormal, std::fabs(found - exact) / 0x1p-149);
    } else {
      const double error = std::fabs(found - exact) / std::ldexp(1.0, std::ilogb(exact) - 23);
      if (!(error <= worst)) worst = error;
    }
  }
  CHECK_EQ(wrong, 0);
  CHECK(worst <= 1.5);
  CHECK(worst_denormal <= 1);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK_EQ(fast::exp_float(0.0f), 1.0f);
  CHECK_EQ(fast::exp_float(-inf), 0.0f);
  CHECK_EQ(fast::exp_float(inf), inf);
  for (const float x : {-104.5f, -103.98f, 88.7228f, 88.7229f, 88.73f, 1e30f, -1e30f}) {
    CAPTURE(x);
    const float exact = std::exp(x), found = fast::exp_float(x);
    CHECK((found == exact || std::fabs(found - exact) <= 1.5f * 0x1p-23f * exact + 0x1p-149f));
  }
}

TEST_CASE("softmax_ce and kd_multi: NaN and infinities come out of the fast path where they come out of the loops") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const auto alike = [](float a, float b) {
    return a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= 1e-5f * std::max(1.0f, std::fabs(a));
  };
  for (const std::int64_t C : {1, 7, 33, 100})
    for (const float odd : {nan, inf, -inf, 3e38f})
      for (const std::int64_t place : {std::int64_t{0}, C / 2, C - 1}) {
        CAPTURE(C);
        CAPTURE(odd);
        CAPTURE(place);
        std::vector<float> x, z;
        Rng rng(5);
        for (std::int64_t c = 0; c < 2 * C; ++c) x.push_back(rng.uniform(-3, 3)), z.push_back(rng.uniform(-3, 3));
        x[static_cast<std::size_t>(place)] = odd;
        const std::vector<std::int64_t> target{C / 2, 0};
        const std::vector<float> dy{0.5f, 2.0f};
        std::vector<float> y[2], dx[2], added[2], dg[2], loss[2];
        for (const bool fast : {false, true}) {
          const Stream<Cpu>& stream = fast ? kFast : kSpec;
          y[fast].resize(2);
          loss[fast].resize(2);
          dx[fast] = dg[fast] = std::vector<float>(x.size(), nan);
          added[fast] = z;
          softmax_ce_fwd<Cpu, float>(stream, 2, C, x.data(), target.data(), nullptr, y[fast].data());
          softmax_ce_bwd<Cpu, float>(stream, 2, C, x.data(), target.data(), nullptr, dy.data(), dx[fast].data(),
                                     Accum::overwrite);
          softmax_ce_bwd<Cpu, float>(stream, 2, C, x.data(), target.data(), nullptr, dy.data(), added[fast].data(),
                                     Accum::add);
          const std::int64_t offset[] = {0, C};
          const double alpha[] = {0.7};
          const KdShape shape{2, 1, offset, alpha, 2.0};
          kd_multi<Cpu, float>(stream, shape, z.data(), x.data(), dg[fast].data(), nullptr, &loss[fast][0]);
          kd_multi<Cpu, float>(stream, shape, x.data(), z.data(), nullptr, nullptr, &loss[fast][1]);
        }
        for (const auto* pair : {y, dx, added, dg, loss})
          for (std::size_t i = 0; i < pair[0].size(); ++i) {
            CAPTURE(i);
            CHECK(alike(pair[0][i], pair[1][i]));
          }
      }
}
