#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/optim.hpp"
#include "kernels/reduce.hpp"
#include "tests/gpu_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

using Values = std::vector<double>;

Values random(std::int64_t n, std::uint64_t seed, std::uint32_t stream) {
  Values v;
  Rng rng(seed, stream);
  for (std::int64_t i = 0; i < n; ++i) v.push_back(rng.uniform(-1, 1));
  return v;
}

struct Sgd {
  double lr, momentum, decay;
  bool nesterov;
  double rate = 1;  ///< of the elements in the last range
};

/// torch.optim.SGD as its documentation states it, one parameter at a time, the first step apart.
double sgd_reference(const Sgd& o, double p, const std::function<double(int)>& gradient, int steps, bool decays) {
  double buffer = 0;
  for (int t = 1; t <= steps; ++t) {
    double d = gradient(t);
    if (decays) d = d + o.decay * p;
    if (o.momentum != 0) {
      buffer = t == 1 ? d : o.momentum * buffer + d;
      d = o.nesterov ? d + o.momentum * buffer : buffer;
    }
    p = p - o.lr * d;
  }
  return p;
}

/// torch.optim.AdamW as its documentation states it.
double adamw_reference(double lr, double decay, double p, const std::function<double(int)>& gradient, int steps) {
  double m = 0, v = 0;
  for (int t = 1; t <= steps; ++t) {
    const double g = gradient(t);
    p = p - lr * decay * p;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double m_hat = m / (1 - std::pow(0.9, t)), v_hat = v / (1 - std::pow(0.999, t));
    p = p - lr * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
  return p;
}

constexpr int kSteps = 5;
constexpr std::int64_t kSizes[] = {1, 7, 10, 31, 33, 257, 40001};

/// Ranges with a gap in the middle: the gap and the end do not decay. The last one has a rate of its own.
std::vector<OptimRange> ranges(std::int64_t n, double decay, double rate = 1) {
  return {{0, n / 3, decay}, {n / 3, n / 3, 99}, {n / 2, n - n / 8, decay, rate}};
}
bool in_last(std::int64_t i, std::int64_t n) { return i >= n / 2 && i < n - n / 8; }
bool decays(std::int64_t i, std::int64_t n) { return i < n / 3 || in_last(i, n); }

/// Parameters of order 1 and five steps of some 8 roundings each, every one at most eps/2 of a number below 4.
template <class T>
constexpr double tolerance() {
  return kSteps * 8 * 4 * 0.5 * static_cast<double>(std::numeric_limits<T>::epsilon());
}

template <class T>
struct Arena {
  std::int64_t n;
  std::vector<T> p, m, v;
  explicit Arena(std::int64_t size) : n(size), m(std::size_t(size), T(0)), v(std::size_t(size), T(0)) {
    for (const double x : random(n, 1, 0)) p.push_back(static_cast<T>(x));
  }
  std::vector<T> gradient(int t) const {
    std::vector<T> g;
    for (const double x : random(n, 2, static_cast<std::uint32_t>(t))) g.push_back(static_cast<T>(x));
    return g;
  }
};

std::vector<Values> gradients(std::int64_t n) {
  std::vector<Values> g{{}};
  for (int t = 1; t <= kSteps; ++t) g.push_back(random(n, 2, static_cast<std::uint32_t>(t)));
  return g;
}

template <class T>
bool sgd_agrees(std::int64_t n, const Sgd& o, const SgdStep& step, double found_rate = 1) {
  Arena<T> a(n);
  for (int t = 1; t <= kSteps; ++t)
    sgd_step<T>(n, step, ranges(n, o.decay, o.rate * found_rate), a.p.data(), a.gradient(t).data(),
                o.momentum == 0 ? nullptr : a.m.data());
  const Values p = random(n, 1, 0);
  const auto g = gradients(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    Sgd own = o;
    own.lr *= in_last(i, n) ? o.rate : 1;
    const double expected = sgd_reference(
        own, p[at], [&](int t) { return g[static_cast<std::size_t>(t)][at]; }, kSteps, decays(i, n));
    if (!(std::abs(static_cast<double>(a.p[at]) - expected) <= tolerance<T>())) return false;
  }
  return true;
}

}  // namespace

TEST_CASE_TEMPLATE("optim: sgd follows torch's recurrence", T, float, double) {
  for (const std::int64_t n : kSizes)
    for (const Sgd& o :
         {Sgd{0.1, 0.9, 5e-2, false}, Sgd{0.1, 0.9, 5e-2, true}, Sgd{0.05, 0, 1e-2, false}, Sgd{0.1, 0.5, 0, false},
          Sgd{0.1, 0.9, 5e-2, false, 0.25}, Sgd{0.05, 0.9, 5e-2, true, 2}, Sgd{0.05, 0, 1e-2, false, 0.1}}) {
      CAPTURE(n);
      CAPTURE(o.momentum);
      CAPTURE(o.nesterov);
      CHECK(sgd_agrees<T>(n, o, {.lr = o.lr, .momentum = o.momentum, .nesterov = o.nesterov}));
    }
}

TEST_CASE("optim: sgd mutants are rejected") {
  const Sgd o{0.1, 0.9, 5e-2, true};
  CHECK(sgd_agrees<float>(33, o, {.lr = 0.1, .momentum = 0.9, .nesterov = true}));
  CHECK_FALSE(sgd_agrees<float>(33, o, {.lr = 0.1, .momentum = 0.9, .nesterov = false}));
  CHECK_FALSE(sgd_agrees<float>(33, o, {.lr = 0.1, .momentum = 0.9, .nesterov = true, .grad_scale = 1.001}));
  CHECK_FALSE(sgd_agrees<float>(33, o, {.lr = 0.1001, .momentum = 0.9, .nesterov = true}));
  CHECK_FALSE(sgd_agrees<float>(33, o, {.lr = 0.1, .momentum = 0.9, .nesterov = true}, 1.001));
}

TEST_CASE_TEMPLATE("optim: adamw follows torch's recurrence, and coupled decay does not", T, float, double) {
  const double lr = 0.01, decay = 0.1;
  for (const auto& [n, rate] : {std::pair{std::int64_t{1}, 1.0},
                                {7, 1.0},
                                {10, 0.25},
                                {31, 1.0},
                                {33, 1.0},
                                {33, 0.25},
                                {257, 2.0},
                                {40001, 1.0},
                                {40001, 0.1}}) {
    CAPTURE(n);
    CAPTURE(rate);
    Arena<T> a(n);
    for (int t = 1; t <= kSteps; ++t)
      adamw_step<T>(n, {.lr = lr, .t = t}, ranges(n, decay, rate), a.p.data(), a.gradient(t).data(), a.m.data(),
                    a.v.data());
    const Values p = random(n, 1, 0);
    const auto g = gradients(n);
    double worst = 0, coupled = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto gradient = [&](int t) { return g[static_cast<std::size_t>(t)][at]; };
      const double wd = decays(i, n) ? decay : 0, own = in_last(i, n) ? lr * rate : lr;
      worst =
          std::fmax(worst, std::abs(static_cast<double>(a.p[at]) - adamw_reference(own, wd, p[at], gradient, kSteps)));
      CHECK(std::isfinite(static_cast<double>(a.p[at])));
      const auto mixed = [&](int t) { return gradient(t) + wd * p[at]; };
      coupled =
          std::fmax(coupled, std::abs(static_cast<double>(a.p[at]) - adamw_reference(own, 0, p[at], mixed, kSteps)));
    }
    CHECK(worst <= tolerance<T>());
    if (n >= 7) CHECK(coupled > 10 * tolerance<float>());
  }
}

TEST_CASE("optim: known values of one step") {
  // p = 1, g = 0.5, lr 0.1, decay 0.01: d = 0.51.
  const std::vector<OptimRange> all{{0, 1, 0.01}};
  double p = 1, g = 0.5, m = 0, v = 0;
  sgd_step<double>(1, {.lr = 0.1}, all, &p, &g, &m);
  CHECK_EQ(p, doctest::Approx(1 - 0.1 * 0.51).epsilon(1e-15));
  CHECK_EQ(m, doctest::Approx(0.51).epsilon(1e-15));
  p = 1;
  m = 0;
  sgd_step<double>(1, {.lr = 0.1, .nesterov = true}, all, &p, &g, &m);
  CHECK_EQ(p, doctest::Approx(1 - 0.1 * 1.9 * 0.51).epsilon(1e-15));
  p = 1;
  m = 0;
  // The first AdamW step has length lr whatever the gradient: 0.999 - 0.1 g / (|g| + eps).
  adamw_step<double>(1, {.lr = 0.1, .t = 1}, all, &p, &g, &m, &v);
  CHECK_EQ(p, doctest::Approx(0.999 - 0.1 * 0.5 / (0.5 + 1e-8)).epsilon(1e-14));
  p = 1;
  g = 5;
  m = 0;
  sgd_step<double>(1, {.lr = 0.1, .grad_scale = 0.1}, all, &p, &g, &m);
  CHECK_EQ(p, doctest::Approx(1 - 0.1 * 0.51).epsilon(1e-15));
}

TEST_CASE("optim: the thread count changes no bit") {
  const std::int64_t n = 40001;
  const int threads = max_threads();
  std::vector<Arena<float>> results;
  for (const int k : {1, 2, 3}) {
    set_threads(k);
    Arena<float> a(n);
    for (int t = 1; t <= 2; ++t) {
      sgd_step<float>(n, {.lr = 0.1, .nesterov = true}, ranges(n, 5e-4), a.p.data(), a.gradient(t).data(), a.m.data());
      adamw_step<float>(n, {.lr = 0.1, .t = t}, ranges(n, 5e-4), a.p.data(), a.gradient(t).data(), a.m.data(),
                        a.v.data());
    }
    results.push_back(a);
  }
  set_threads(threads);
  CHECK(results[0].p == results[1].p);
  CHECK(results[0].p == results[2].p);
}

TEST_CASE("optim: a NaN gradient shows, the norm is the norm, clipping bounds it") {
  float p = 1, g = NAN, m = 0;
  sgd_step<float>(1, {.lr = 0.1}, {}, &p, &g, &m);
  CHECK(std::isnan(p));
  const std::vector<float> v{3, 4, 0, 0, 0};
  CHECK_EQ(grad_norm<float>(5, v.data()), 5);
  const float big[] = {3e30f, 4e30f};  // the square overflows float
  CHECK_EQ(grad_norm<float>(2, big), doctest::Approx(5e30).epsilon(1e-6));
  CHECK_EQ(clip_scale(0.5, 1), 1);
  CHECK_EQ(clip_scale(0, 1), 1);
  CHECK_EQ(clip_scale(4, 1), doctest::Approx(0.25).epsilon(1e-6));
  CHECK(std::isnan(clip_scale(NAN, 1)));
}

TEST_CASE("optim: impossible asks are named") {
  std::vector<float> a(10), b(10), c(10), d(10);
  const auto sgd = [&](const SgdStep& s, std::vector<OptimRange> r, float* m) {
    sgd_step<float>(10, s, r, a.data(), b.data(), m);
  };
  CHECK_THROWS_WITH_AS(sgd({.lr = 1}, {{0, 11, 0.1}}, c.data()), doctest::Contains("range 0..11"), Error);
  CHECK_THROWS_WITH_AS(sgd({.lr = 1}, {{3, 5, 0.1}, {4, 6, 0.1}}, c.data()),
                       doctest::Contains("4..6 does not follow 5"), Error);
  CHECK_THROWS_WITH_AS(sgd({.lr = 1, .momentum = 0, .nesterov = true}, {}, c.data()), doctest::Contains("Nesterov"),
                       Error);
  CHECK_THROWS_WITH_AS(sgd({.lr = 1}, {}, nullptr), doctest::Contains("without a momentum arena"), Error);
  CHECK_THROWS_WITH_AS(adamw_step<float>(10, {.lr = 1, .t = 0}, {}, a.data(), b.data(), c.data(), d.data()),
                       doctest::Contains("step 0"), Error);
}

namespace {

/// Five steps on the device beside five of the specification; "" or what differs. `mutant` changes the device's rate.
std::string device_differs(Context& ctx, std::int64_t n, std::int64_t first, bool adamw, bool nesterov, double momentum,
                           double clip, float mutant = 1) {
  Arena<float> a(n);
  const auto decay = ranges(n, adamw ? 0.1 : 5e-2, 0.25);
  const Tensor p = on_device(ctx, a.p, first), m = on_device(ctx, a.m, first), v = on_device(ctx, a.v, first);
  const Tensor shadow = room<bf16>(ctx, n, first), table = bytes_on_device(ctx, decay);
  const Tensor params = bytes_on_device(ctx, std::vector<OptimParams>(1));
  const Tensor scratch = room<double>(ctx, kSumBlocks), square = room<double>(ctx, 1);
  for (int t = 1; t <= kSteps; ++t) {
    const std::vector<float> g = a.gradient(t);
    const Tensor dg = on_device(ctx, g, first);
    const double lr = 0.1 / t, scale = clip > 0 ? clip_scale(grad_norm<float>(n, g.data()), clip) : 0.5;
    OptimParams now = adamw ? optim_params(AdamWStep{.lr = lr, .t = t, .grad_scale = clip > 0 ? 1 : 0.5})
                            : optim_params(SgdStep{.lr = lr, .grad_scale = clip > 0 ? 1 : 0.5});
    now.rate *= mutant;
    LaunchLog log;
    ctx.launches = &log;
    on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
      set_params(stream, now, as<OptimParams>(params));
      GradClip c;
      if (clip > 0) {
        sum_squares(stream, n, 1.0, dg.data<float>(), scratch.data<double>(), square.data<double>());
        c = {square.data<double>(), clip};
      }
      if (adamw)
        adamw_step(stream, n, as<OptimParams>(params), 0.9, 0.999, 1e-8, c, as<OptimRange>(table), 3, p.data<float>(),
                   dg.data<float>(), m.data<float>(), v.data<float>(), shadow.data<bf16>());
      else
        sgd_step(stream, n, as<OptimParams>(params), momentum, nesterov, c, as<OptimRange>(table), 3, p.data<float>(),
                 dg.data<float>(), momentum == 0 ? nullptr : m.data<float>(), shadow.data<bf16>());
    });
    ctx.launches = nullptr;
    CHECK_EQ(log.size(), clip > 0 ? 4u : 2u);  // parameters, (sum of squares in two,) one step
    if (adamw)
      adamw_step<float>(n, {.lr = lr, .t = t, .grad_scale = scale}, decay, a.p.data(), g.data(), a.m.data(),
                        a.v.data());
    else
      sgd_step<float>(n, {.lr = lr, .momentum = momentum, .nesterov = nesterov, .grad_scale = scale}, decay, a.p.data(),
                      g.data(), momentum == 0 ? nullptr : a.m.data());
  }
  const auto close = [](const std::vector<float>& found, const std::vector<float>& expected) {
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double e = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
      if (!(e <= worst)) worst = e;
    }
    return worst <= tolerance<float>();
  };
  const std::vector<float> values = to_host<float>(p);
  if (!close(values, a.p)) return "parameters";
  if (!close(to_host<float>(m), a.m)) return "first moments";
  if (!close(to_host<float>(v), a.v)) return "second moments";
  const std::vector<bf16> low = to_host<bf16>(shadow);
  for (std::size_t i = 0; i < low.size(); ++i)
    if (low[i].bits != float_to_bf16(values[i]).bits) return "shadow";
  return "";
}

}  // namespace

TEST_CASE("optim: the CUDA kernels follow the specification, clipped or not, with a bf16 copy") {
  on_gpus([](Context& ctx) {
    for (const std::int64_t n : {1, 7, 31, 33, 257, 5000, 12289})
      for (const std::int64_t first : {0, 1}) {
        if (first == 1 && n > 5000) continue;
        CAPTURE(n);
        CAPTURE(first);
        for (const double clip : {0.0, 0.25}) {
          CHECK_EQ(device_differs(ctx, n, first, false, false, 0.9, clip), "");
          CHECK_EQ(device_differs(ctx, n, first, true, false, 0.9, clip), "");
        }
        CHECK_EQ(device_differs(ctx, n, first, false, true, 0.9, 0), "");
        CHECK_EQ(device_differs(ctx, n, first, false, false, 0, 0), "");
      }
    CHECK_EQ(device_differs(ctx, 33, 0, false, true, 0.9, 0, 1.001f), "parameters");
    CHECK_EQ(device_differs(ctx, 33, 0, true, false, 0.9, 0, 1.001f), "parameters");
  });
}

TEST_CASE("optim: a NaN gradient shows on the device, and a norm beyond float is clipped") {
  on_gpus([](Context& ctx) {
    for (const auto& [gradient, expected] : {std::pair{std::vector<float>{NAN, 0}, std::vector<float>{NAN, NAN}},
                                             {{3e30f, 4e30f}, {1 - 0.6f, 1 - 0.8f}}}) {
      const Tensor g = on_device(ctx, gradient), p = on_device(ctx, std::vector<float>{1, 1});
      const Tensor params = bytes_on_device(ctx, std::vector<OptimParams>{optim_params(SgdStep{.lr = 1})});
      const Tensor scratch = room<double>(ctx, kSumBlocks), square = room<double>(ctx, 1);
      on_gpu(ctx, {"test", {}}, [&](const auto& stream) {
        sum_squares(stream, 2, 1.0, g.data<float>(), scratch.data<double>(), square.data<double>());
        sgd_step(stream, 2, as<OptimParams>(params), 0, false, {square.data<double>(), 1.0}, nullptr, 0,
                 p.data<float>(), g.data<float>(), nullptr, nullptr);
      });
      const std::vector<float> found = to_host<float>(p);
      for (std::size_t i = 0; i < 2; ++i) {
        if (std::isnan(expected[i]))
          CHECK(std::isnan(found[i]));
        else
          CHECK(std::abs(found[i] - expected[i]) <= 4e-7f);  // a division, a product, a difference
      }
    }
  });
}
