#include "kernels/kd_multi.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;
using ops::KdSources;

namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Setup {
  std::int64_t B;
  std::vector<std::int64_t> classes;
  std::vector<double> alpha;
  double T;
  double range = 3;
};

KdSources sources(const Setup& s) {
  KdSources out{.offsets = {0}, .alpha = s.alpha, .temperature = s.T};
  for (const std::int64_t c : s.classes) out.offsets.push_back(out.offsets.back() + c);
  return out;
}

std::int64_t columns(const Setup& s) { return sources(s).offsets.back(); }

Array teacher(const Setup& s) {
  Rng rng(77);
  std::vector<double> z;
  for (std::int64_t i = 0; i < s.B * columns(s); ++i)
    z.push_back(rng.uniform(static_cast<float>(-s.range), static_cast<float>(s.range)));
  return Array::from(z, {s.B, columns(s)});
}

/// sum_s alpha_s T^2 / B sum_b CE(softmax(z/T), softmax(g/T)), each source on its own
double loss_of(const Setup& s, const Values& g) {
  const Array za = teacher(s);
  const auto z = za.as<double>();
  const KdSources k = sources(s);
  long double loss = 0;
  for (std::size_t i = 0; i < s.classes.size(); ++i)
    for (std::int64_t b = 0; b < s.B; ++b) {
      long double zt = 0, zs = 0, cross = 0;
      const auto each = [&](auto&& f) {
        for (std::int64_t c = k.offsets[i]; c < k.offsets[i + 1]; ++c) f(at(b * columns(s) + c));
      };
      each([&](std::size_t j) { zt += std::exp(static_cast<long double>(z[j]) / s.T); });
      each([&](std::size_t j) { zs += std::exp(static_cast<long double>(g[j]) / s.T); });
      each([&](std::size_t j) {
        cross -=
            std::exp(static_cast<long double>(z[j]) / s.T) / zt * (static_cast<long double>(g[j]) / s.T - std::log(zs));
      });
      loss += s.alpha[i] * s.T * s.T / static_cast<double>(s.B) * cross;
    }
  return static_cast<double>(loss);
}

OpCase kd(const Setup& s) {
  const double widest = static_cast<double>(*std::max_element(s.classes.begin(), s.classes.end()));
  return {
      .name = fmt::format("kd_multi {} rows, {} sources, {} columns, T {}", s.B, s.classes.size(), columns(s), s.T),
      .inputs = {{s.B, columns(s)}},
      .run =
          [s](Context& ctx, const std::vector<Tensor>& x) {
            return ops::kd_multi(ctx, x[0], Tensor::from(ctx, teacher(s).cast(x[0].dtype())), sources(s));
          },
      .reference = [s](const std::vector<Values>& x) { return Values{loss_of(s, x[0])}; },
      .depth = widest,
      .grad_depth = widest,
      .amplify = 4 + 2 * s.range / s.T,  // exp turns an error eps x of its argument into one of eps |x| of its value
      .low = -s.range,
      .high = s.range,
      .bf16 = false};
}

/// The same number from plain ops: a linear layer picks the columns of a source and divides by T, then the soft
/// cross-entropy is a sum of hard ones, each weighted with the teacher's probability.
Tensor composition(Context& ctx, const Tensor& student, const Setup& s) {
  const KdSources k = sources(s);
  const Array z = teacher(s);
  Tensor total;
  for (std::size_t i = 0; i < s.classes.size(); ++i) {
    const std::int64_t C = s.classes[i];
    std::vector<double> pick(at(C * columns(s)), 0.0);
    for (std::int64_t c = 0; c < C; ++c) pick[at(c * columns(s) + k.offsets[i] + c)] = 1 / s.T;
    const Tensor w = Tensor::from(ctx, Array::from(pick, {C, columns(s)}).cast(student.dtype()));
    const Tensor g = ops::linear(ctx, student, w, {});
    for (std::int64_t c = 0; c < C; ++c) {
      std::vector<double> weight;
      for (std::int64_t b = 0; b < s.B; ++b) {
        double sum = 0;
        const auto e = [&](std::int64_t j) {
          return std::exp(z.as<double>()[at(b * columns(s) + k.offsets[i] + j)] / s.T);
        };
        for (std::int64_t j = 0; j < C; ++j) sum += e(j);
        weight.push_back(e(c) / sum * s.alpha[i] * s.T * s.T / static_cast<double>(s.B));
      }
      const Tensor hit = Tensor::from(ctx, std::vector<std::int64_t>(at(s.B), c), {s.B});
      const Tensor part =
          ops::sum(ctx, ops::softmax_ce(ctx, g, hit, Tensor::from(ctx, Array::from(weight, {s.B}).cast(g.dtype()))));
      total = total.defined() ? ops::add(ctx, total, part) : part;
    }
  }
  return total;
}

}  // namespace

TEST_CASE("kd_multi: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  for (const double T : {1.0, 2.5}) {
    cases.push_back(kd({1, {2}, {1.0}, T}));
    cases.push_back(kd({7, {10}, {0.5}, T}));
    cases.push_back(kd({5, {2, 5, 7}, {0.25, 0.125, 0.625}, T}));
    cases.push_back(kd({10, {7, 2, 31}, {0.0, 0.75, 0.25}, T}));
    cases.push_back(kd({33, {2, 5, 7, 257}, {0.1, 0.2, 0.3, 0.4}, T}));
    cases.push_back(kd({3, {1, 33, 10}, {0.5, 0.25, 0.25}, T}));  // one class: no information, zero gradient
  }
  AKIN_TEST_OP(cases);
}

TEST_CASE("kd_multi: the same bits on any number of threads") {
  const std::vector<OpCase> cases{kd({65, {10, 26, 24, 100}, {0.4, 0.3, 0.0, 0.3}, 2.0})};
  AKIN_TEST_THREADS(cases);
}

TEST_CASE("kd_multi: fused = unfused composition, values and gradients") {
  for (const double T : {1.0, 2.5}) {
    const Setup s{7, {2, 5, 7}, {0.2, 0.0, 0.8}, T};
    OpCase unfused = kd(s);
    unfused.run = [s](Context& ctx, const std::vector<Tensor>& x) { return composition(ctx, x[0], s); };
    const auto in = make_inputs(kd(s), 6);
    const Outcome a = evaluate(kd(s), in, {"f64 spec", DType::f64}, false),
                  b = evaluate(unfused, in, {"f64 spec", DType::f64}, false);
    const double tol = 4 * std::numeric_limits<double>::epsilon() * std::sqrt(14.0 * 7) * 10;  // 14 parts, range 10
    CHECK_EQ(compare("loss", a.y, b.y, tol), "");
    CHECK_EQ(compare("gradient", a.dx[0], b.dx[0], tol), "");
  }
}

TEST_CASE("kd_multi: mutants are rejected") {
  const Setup s{7, {3, 5, 4}, {0.25, 0.5, 0.25}, 2.5};
  OpCase no_square = kd(s);
  no_square.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    return ops::scale(ctx, kd(s).run(ctx, x), 1 / (s.T * s.T));
  };
  CHECK_NE(match(no_square), "");

  OpCase shifted = kd(s);  // the second source starts one column late
  shifted.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    KdSources k = sources(s);
    k.offsets[1] += 1;
    return ops::kd_multi(ctx, x[0], Tensor::from(ctx, teacher(s).cast(x[0].dtype())), k);
  };
  CHECK_NE(match(shifted), "");

  OpCase half = kd(s);  // the right value with the gradient of T = 1
  half.run = [s](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor y = kd(s).run(ctx, {x[0].detach()});
    return record(ctx, "mutant", y.detach(), {x[0]}, [s, x0 = x[0].detach()](const Tensor& dy, Grads& d) {
      const KdSources k = sources(s);
      const Tensor g = Tensor::empty(d.ctx(), x0.shape(), DType::f64);
      const Array z = teacher(s);
      double loss = 0;
      kd_multi(kSpec, {s.B, 3, k.offsets.data(), k.alpha.data(), 1.0}, z.as<double>().data(), x0.data<double>(),
               g.data<double>(), nullptr, &loss);
      for (std::int64_t i = 0; i < g.numel(); ++i) g.data<double>()[i] *= dy.item();
      d.add(0, g);
    });
  };
  CHECK_NE(gradcheck(half), "");
}

TEST_CASE("kd_multi: huge logits stay finite, NaN shows, a source of weight zero is not looked at") {
  for (const Device device : {Device::cpu, Device::sim}) {
    CAPTURE(name_of(device));
    const KdSources two{.offsets = {0, 2, 4}, .alpha = {1.0, 0.0}, .temperature = 1.0};
    Context ctx(device);
    const auto tensor = [&](std::vector<float> v) { return Tensor::from(ctx, v, {1, 4}); };
    const Tensor z = tensor({3e4f, -3e4f, NAN, 0});
    CHECK_EQ(ops::kd_multi(ctx, tensor({-3e4f, 3e4f, 0, 0}), z, two).item(), doctest::Approx(6e4));
    CHECK_EQ(ops::kd_multi(ctx, tensor({3e4f, -3e4f, 0, 0}), z, two).item(), 0.0);
    CHECK(std::isnan(ops::kd_multi(ctx, tensor({NAN, 0, 0, 0}), z, two).item()));
    CHECK(std::isnan(ops::kd_multi(ctx, tensor({0, NAN, 0, 0}), z, two).item()));
    CHECK(std::isnan(ops::kd_multi(ctx, tensor({0, 0, 0, 0}), tensor({0, NAN, 0, 0}), two).item()));

    Tensor g = tensor({1, 2, 3, NAN});
    g.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    tape.backward(ctx, ops::kd_multi(ctx, g, z, two));
    const Values dg = to_values(g.grad());
    CHECK_EQ(dg[2], 0.0);
    CHECK_EQ(dg[3], 0.0);
    CHECK_EQ(dg[0], doctest::Approx(1 / (1 + std::exp(1.0)) - 1));
  }
}

TEST_CASE("kd_multi: on a device, packs, long rows, many sources, one kernel for all") {
  std::vector<OpCase> cases;
  cases.push_back(kd({7, {8, 4, 100}, {0.5, 0.25, 0.25}, 2.0}));  // whole packs
  cases.push_back(kd({5, {1000, 12}, {0.5, 0.5}, 1.0}));          // all of a warp's registers
  cases.push_back(kd({3, {1001, 10, 1023}, {0.5, 0.25, 0.25}, 1.0}));
  cases.push_back(kd({3, {1025, 10, 2000, 7}, {0.5, 0.25, 0.125, 0.125}, 4.0}));  // blocks beside warps
  cases.push_back(kd({20, {1100, 1400}, {0.5, 0.0}, 1.0}));                       // long ones alone, one of no weight
  Setup many{9, {}, {}, 1.5};                                                     // several units a warp
  for (std::int64_t i = 0; i < 90; ++i) {
    many.classes.push_back(1 + i % 13);
    many.alpha.push_back(i % 5 == 0 ? 0.0 : 0.01 * static_cast<double>(1 + i % 4));
  }
  cases.push_back(kd(many));
  for (const OpCase& c : cases) {
    CAPTURE(c.name);
    CHECK_EQ(match(c), "");
  }

  const auto launches = [](const Setup& s) {
    LaunchLog log;
    Context ctx(Device::sim, {.poison = true});
    Tensor g = Tensor::from(ctx, make_inputs(kd(s), 3)[0].cast(DType::f32));
    g.set_requires_grad(true);
    Tape tape;
    const TapeScope scope(ctx, &tape);
    ctx.launches = &log;
    const Tensor loss = kd(s).run(ctx, {g});
    ctx.launches = nullptr;
    CHECK(loss.item() > 0);
    return log;
  };
  const LaunchLog two{"kd_multi", "kd_multi_loss"};
  CHECK_EQ(launches(many), two);
  Setup thousand{2, {}, {}, 1.0};
  for (std::int64_t i = 0; i < 1000; ++i) thousand.classes.push_back(2 + i % 3), thousand.alpha.push_back(0.001);
  CHECK_EQ(launches(thousand), two);
  thousand.classes.resize(1024 + 30, 3);  // more than a launch holds
  thousand.alpha.resize(1024 + 30, 0.001);
  CHECK_EQ(launches(thousand).size(), 3);
  CHECK_EQ(match(kd(thousand)), "");
}

TEST_CASE("kd_multi: wrong sources are named") {
  Context ctx;
  const Tensor g = Tensor::zeros(ctx, {2, 5});
  const auto message = [&](const KdSources& k, const Tensor& student, const Tensor& t) -> std::string {
    try {
      ops::kd_multi(ctx, student, t, k);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  CHECK(has(message({{0, 2, 4}, {1, 1}, 1}, g, g), "the sources have 4 classes, the logits 5 columns"));
  CHECK(has(message({{0, 2, 5}, {1}, 1}, g, g), "1 weights need 2 column offsets from 0, found 3"));
  CHECK(has(message({{0, 3, 3, 5}, {1, 1, 1}, 1}, g, g), "source 1 has no column"));
  CHECK(has(message({{0, 5}, {1}, 0}, g, g), "temperature 0 must be positive"));
  CHECK(has(message({{0, 5}, {1}, 1}, g, Tensor::zeros(ctx, {2, 4})), "must have one shape"));
  CHECK(has(message({{0, 5}, {1}, 1}, Tensor::zeros(ctx, {0, 5}), Tensor::zeros(ctx, {0, 5})), "no row"));
}
