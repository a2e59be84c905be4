// One struct gives an op's shapes, inputs and independent reference; three modes use it:
//   match      f64 specification, specification and fast path in f32 and bf16, and the CUDA kernels (f32 and bf16; in
//              the emulator under several schedules, and on a card where there is one) against the reference, values
//              and gradients
//   gradcheck  f64, central differences
//   mutant     a wrong kernel planted on purpose must be rejected by match
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"
#include "kernels/common/sim/sim_device.hpp"
#include "tests/places.hpp"
#include "tests/sanitized.hpp"

namespace akin::test {

using Values = std::vector<double>;

struct OpCase {
  std::string name;
  std::vector<Shape> inputs;  ///< differentiable inputs
  std::function<Tensor(Context&, const std::vector<Tensor>&)> run;
  /// The output in double from plain loops that share no code with akin.
  std::function<Values(const std::vector<Values>&)> reference;
  double depth = 1;       ///< terms summed into an output element
  double grad_depth = 1;  ///< terms summed into a gradient element
  double amplify = 1;     ///< extra rounding of ops that subtract nearly equal numbers; each use says why
  double low = -1, high = 1;
  std::function<void(std::vector<Values>&)> adjust = {};  ///< moves inputs off kinks (max, relu)
  bool differentiable = true;
  std::vector<std::size_t> parameters = {};  ///< inputs that stay f32 when activations are bf16
  bool bf16 = true;                          ///< false: an op of f32 alone (losses)
};

/// Inputs rounded to float, so that every precision computes from the same numbers.
inline std::vector<Array> make_inputs(const OpCase& c, std::uint64_t seed) {
  std::vector<Values> values;
  for (std::size_t k = 0; k < c.inputs.size(); ++k) {
    Rng rng(seed, static_cast<std::uint32_t>(k));
    Values v;
    for (std::int64_t i = 0; i < c.inputs[k].numel(); ++i)
      v.push_back(rng.uniform(static_cast<float>(c.low), static_cast<float>(c.high)));
    values.push_back(v);
  }
  if (c.adjust) c.adjust(values);
  std::vector<Array> arrays;
  for (std::size_t k = 0; k < values.size(); ++k)
    arrays.push_back(Array::from(values[k], c.inputs[k]).cast(DType::f32).cast(DType::f64));
  return arrays;
}

struct Outcome {
  Values y;
  std::vector<Values> dx;
};

inline Values to_values(const Tensor& t) {
  const Array a = t.to_array().cast(DType::f64);
  const auto s = a.as<double>();
  return {s.begin(), s.end()};
}

/// Where and in which type an op runs.
struct Place {
  std::string name;
  DType dtype;
  bool fast = false;
  std::function<std::shared_ptr<GpuDevice>()> card = {};  ///< empty: the CPU
  Device device = Device::cpu;
};

/// Every place but the f64 specification.
inline std::vector<Place> places(const OpCase& c) {
  std::vector<Place> all = {{"f32 spec", DType::f32, false}, {"f32 fast", DType::f32, true}};
  if (c.bf16) {
    all.push_back({"bf16 spec", DType::bf16, false});
    all.push_back({"bf16 fast", DType::bf16, true});
  }
  const auto sim = [](sim::Policy policy, std::uint64_t seed) {
    return [=] { return open_sim(sim_options(policy, seed)); };
  };
  // The sanitizers look at every access: one schedule shows them what three show the plain build.
  if (!kSanitized) {
    all.push_back({"sim fifo f32", DType::f32, true, sim(sim::Policy::fifo, 1), Device::sim});
    all.push_back({"sim lifo f32", DType::f32, true, sim(sim::Policy::lifo, 1), Device::sim});
  }
  all.push_back({"sim pct f32", DType::f32, true, sim(sim::Policy::pct, 7), Device::sim});
  if (c.bf16) all.push_back({"sim pct bf16", DType::bf16, true, sim(sim::Policy::pct, 8), Device::sim});
  if (cuda_usable()) {
    const auto card = [] { return open_cuda(); };
    all.push_back({"cuda f32", DType::f32, true, card, Device::cuda});
    if (c.bf16) all.push_back({"cuda bf16", DType::bf16, true, card, Device::cuda});
  }
  std::erase_if(all, [](const Place& p) { return !chosen(p.device); });
  return all;
}

/// Runs the op and its backward; the op is applied twice to the same leaves when `twice`, so that the gradients go
/// through Accum::add as well as Accum::overwrite. Memory is poisoned with NaN and fenced. `rounded`: all numbers are
/// such as bf16 holds.
inline Outcome evaluate(const OpCase& c, const std::vector<Array>& inputs, const Place& place, bool twice,
                        bool rounded = false) {
  Context ctx(place.device, place.card ? place.card() : nullptr, {.poison = chosen().poison});
  ctx.use_fast_paths = place.fast;
  if (place.dtype == DType::bf16) ctx.activations = DType::bf16;
  std::vector<Tensor> x;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const bool parameter = std::find(c.parameters.begin(), c.parameters.end(), k) != c.parameters.end();
    x.push_back(Tensor::from(ctx, inputs[k].cast(parameter && place.dtype == DType::bf16 ? DType::f32 : place.dtype)));
    if (c.differentiable) x.back().set_requires_grad(true);
  }
  Outcome out;
  Tape tape;
  {
    const TapeScope scope(ctx, c.differentiable ? &tape : nullptr);
    const Tensor y = c.run(ctx, x);
    out.y = to_values(y);
    if (c.differentiable) {
      Rng rng(99);
      Values r;
      for (std::int64_t i = 0; i < y.numel(); ++i) {
        const float v = rng.uniform(-1, 1);
        r.push_back(static_cast<double>(rounded ? bf16_to_float(float_to_bf16(v)) : v));
      }
      const Tensor weights = Tensor::from(ctx, Array::from(r, y.shape()).cast(y.dtype()));
      Tensor loss = ops::sum(ctx, ops::mul(ctx, y, weights));
      if (twice) loss = ops::add(ctx, loss, ops::sum(ctx, ops::mul(ctx, c.run(ctx, x), weights)));
      tape.backward(ctx, loss);
      for (Tensor& t : x) {
        AKIN_CHECK(t.grad().defined(), "{}: an input got no gradient", c.name);
        out.dx.push_back(to_values(t.grad()));
      }
    }
  }
  x.clear();
  ctx.allocator->flush();
  AKIN_CHECK(ctx.allocator->stats().fence_breaks == 0, "{}: wrote past the end of a buffer", c.name);
  return out;
}

inline std::string compare(const std::string& what, const Values& found, const Values& expected, double relative) {
  if (found.size() != expected.size())
    return fmt::format("{}: {} elements, expected {}", what, found.size(), expected.size());
  double scale = 0;
  for (const double e : expected) scale = std::max(scale, std::abs(e));
  const double tol = relative * std::max(scale, 1e-30);
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!(std::abs(found[i] - expected[i]) <= tol))
      return fmt::format("{}: element {} is {:.9g}, expected {:.9g} (tolerance {:.3g})", what, i, found[i], expected[i],
                         tol);
  return "";
}

/// "" when every place agrees with the reference. Tolerance relative to max|ref|: 4 eps sqrt(K), K roundings of random
/// sign, each at most eps/2 of a partial sum, four standard deviations and more; sums are in float also when storage is
/// bf16, whose own rounding (2^-8, at most twice: once more where a gradient is added) comes on top.
inline std::string match(const OpCase& c, std::uint64_t seed = 1) {
  const auto tolerance = [&](DType dtype, double depth) {
    const double eps =
        dtype == DType::f64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
    return 4 * eps * std::sqrt(std::max(depth, 1.0)) * c.amplify + (dtype == DType::bf16 ? 0x1p-7 : 0.0);
  };
  for (const bool rounded : {false, true}) {
    if (rounded && !c.bf16) continue;
    std::vector<Array> inputs = make_inputs(c, seed);
    std::vector<Values> raw;
    for (Array& a : inputs) {
      if (rounded) a = a.cast(DType::bf16).cast(DType::f64);
      raw.emplace_back(a.as<double>().begin(), a.as<double>().end());
    }
    const Values expected = c.reference(raw);
    const Outcome f64 = evaluate(c, inputs, {"f64 spec", DType::f64}, false, rounded);
    if (auto p = compare(c.name + " f64 spec", f64.y, expected, tolerance(DType::f64, c.depth)); !p.empty()) return p;
    for (const Place& place : places(c)) {
      if ((place.dtype == DType::bf16) != rounded) continue;
      for (const bool twice : {false, true}) {
        if (twice && !c.differentiable) continue;
        const Outcome out = evaluate(c, inputs, place, twice, rounded);
        const std::string what = c.name + " " + place.name;
        if (auto p = compare(what, out.y, expected, tolerance(place.dtype, c.depth)); !p.empty()) return p;
        for (std::size_t k = 0; k < out.dx.size(); ++k) {
          Values want = f64.dx[k];
          if (twice)
            for (double& v : want) v *= 2;
          const std::string which = fmt::format("{} gradient of input {}{}", what, k, twice ? ", added" : "");
          if (auto p = compare(which, out.dx[k], want, tolerance(place.dtype, c.grad_depth)); !p.empty()) return p;
        }
      }
    }
  }
  return "";
}

inline std::string gradcheck(const OpCase& c, std::uint64_t seed = 2) {
  Context ctx(Device::cpu, {.poison = true});
  const std::string problem = akin::gradcheck(ctx, c.run, make_inputs(c, seed));
  return problem.empty() ? "" : c.name + ": " + problem;
}

/// While alive, parallel loops use n threads.
class Threads {
 public:
  explicit Threads(int n) : before_(max_threads()) { set_threads(n); }
  ~Threads() { set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// "" when the fast path gives the same bits on any number of threads, values and gradients, in f32 and in bf16.
inline std::string same_bits(const OpCase& c, std::uint64_t seed = 3) {
  const std::vector<Array> inputs = make_inputs(c, seed);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    if (dtype == DType::bf16 && !c.bf16) continue;
    const auto run = [&](int n) {
      const Threads threads(n);
      return evaluate(c, inputs, Place{"fast", dtype, true}, false);
    };
    const Outcome alone = run(1);
    for (const int n : {2, 3, 2}) {
      const Outcome several = run(n);
      const std::string name = fmt::format("{} {} on {} threads", c.name, name_of(dtype), n);
      if (auto p = compare(name, several.y, alone.y, 0.0); !p.empty()) return p;
      for (std::size_t k = 0; k < alone.dx.size(); ++k)
        if (auto p = compare(fmt::format("{}, gradient {}", name, k), several.dx[k], alone.dx[k], 0.0); !p.empty())
          return p;
    }
  }
  return "";
}

enum class Plant { last_value, unwritten_value, last_gradient };

/// The case with a bug planted behind its op: the last output off by 0.1 %, or never written, or its gradient off.
inline OpCase planted(OpCase c, Plant kind) {
  c.run = [run = c.run, kind](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor good = run(ctx, x);
    Array spoilt = good.to_array().cast(DType::f64);
    double& last = spoilt.as<double>().back();
    // bf16 would round 0.1 % away.
    if (kind == Plant::last_value) last *= good.dtype() == DType::bf16 ? 1.1 : 1.001;
    if (kind == Plant::unwritten_value) last = std::numeric_limits<double>::quiet_NaN();
    return record(ctx, "planted", Tensor::from(ctx, spoilt.cast(good.dtype())), {good},
                  [kind](const Tensor& dy, Grads& d) {
                    Array dx = dy.to_array().cast(DType::f64);
                    // Off in f32 only: the f64 gradient is the yardstick that gradcheck guards.
                    if (kind == Plant::last_gradient && dy.dtype() != DType::f64) dx.as<double>().back() += 0.05;
                    d.add(0, Tensor::from(d.ctx(), dx.cast(dy.dtype())));
                  });
  };
  return c;
}

}  // namespace akin::test

/// Runs the three test modes over `cases` (gradcheck where `small`), each problem reported by name.
#define AKIN_TEST_OP(cases)                                                                                          \
  for (const auto& c : (cases)) {                                                                                    \
    CAPTURE(c.name);                                                                                                 \
    CHECK_EQ(akin::test::match(c), "");                                                                              \
    if (akin::test::chosen().values_only) continue;                                                                  \
    std::int64_t elements = 0;                                                                                       \
    for (const auto& s : c.inputs) elements += s.numel();                                                            \
    if (c.differentiable && elements <= 600) CHECK_EQ(akin::test::gradcheck(c), "");                                 \
    CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::last_value)), "");                          \
    CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::unwritten_value)), "");                     \
    if (c.differentiable) CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::last_gradient)), ""); \
  }

/// Match of each case on one and on two threads, and the same bits on any number of them.
#define AKIN_TEST_THREADS(cases)              \
  for (const auto& c : (cases)) {             \
    CAPTURE(c.name);                          \
    for (const int n : {1, 2}) {              \
      CAPTURE(n);                             \
      const akin::test::Threads threads(n);   \
      CHECK_EQ(akin::test::match(c), "");     \
    }                                         \
    CHECK_EQ(akin::test::same_bits(c), "");   \
  }
