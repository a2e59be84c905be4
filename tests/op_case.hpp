// One struct gives an op's shapes, inputs and independent reference; four modes use it:
//   match      f64 specification, f32 specification and f32 fast path against the reference, values and gradients
//   gradcheck  f64, central differences
//   mutant     a wrong kernel planted on purpose must be rejected by match
//   bench      the same cases are timed by bench/ (bench/op_bench.hpp)
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "kernels/common/parallel.hpp"
#include "kernels/common/rng.hpp"

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

/// Runs the op and its backward; the op is applied twice to the same leaves when `twice`, so that the gradients go
/// through Accum::add as well as Accum::overwrite. Memory is poisoned with NaN and fenced.
inline Outcome evaluate(const OpCase& c, const std::vector<Array>& inputs, DType dtype, bool fast, bool twice) {
  Context ctx(Device::cpu, {.poison = true});
  ctx.use_fast_paths = fast;
  std::vector<Tensor> x;
  for (const Array& a : inputs) {
    x.push_back(Tensor::from(ctx, a.cast(dtype)));
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
      for (std::int64_t i = 0; i < y.numel(); ++i) r.push_back(static_cast<double>(rng.uniform(-1, 1)));
      const Tensor weights = Tensor::from(ctx, Array::from(r, y.shape()).cast(dtype));
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

/// "" when every precision agrees with the reference; tolerance 4 eps sqrt(K) max|ref|: K roundings of random sign,
/// each at most eps/2 of a partial sum, four standard deviations and more.
inline std::string match(const OpCase& c, std::uint64_t seed = 1) {
  const std::vector<Array> inputs = make_inputs(c, seed);
  std::vector<Values> raw;
  for (const Array& a : inputs) raw.emplace_back(a.as<double>().begin(), a.as<double>().end());
  const Values expected = c.reference(raw);
  const auto tolerance = [&](DType dtype, double depth) {
    const double eps =
        dtype == DType::f64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
    return 4 * eps * std::sqrt(std::max(depth, 1.0)) * c.amplify;
  };
  const Outcome f64 = evaluate(c, inputs, DType::f64, false, false);
  if (auto p = compare(c.name + " f64", f64.y, expected, tolerance(DType::f64, c.depth)); !p.empty()) return p;
  for (const bool fast : {false, true}) {
    const char* path = fast ? " f32 fast" : " f32 spec";
    for (const bool twice : {false, true}) {
      if (twice && !c.differentiable) continue;
      const Outcome f32 = evaluate(c, inputs, DType::f32, fast, twice);
      if (auto p = compare(c.name + path, f32.y, expected, tolerance(DType::f32, c.depth)); !p.empty()) return p;
      for (std::size_t k = 0; k < f32.dx.size(); ++k) {
        Values want = f64.dx[k];
        if (twice)
          for (double& v : want) v *= 2;
        const std::string what = fmt::format("{}{} gradient of input {}{}", c.name, path, k, twice ? ", added" : "");
        if (auto p = compare(what, f32.dx[k], want, tolerance(DType::f32, c.grad_depth)); !p.empty()) return p;
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

/// "" when two runs of the fast path give the same bits, values and gradients.
inline std::string repeatable(const OpCase& c, std::uint64_t seed = 3) {
  const std::vector<Array> inputs = make_inputs(c, seed);
  const Outcome first = evaluate(c, inputs, DType::f32, true, false),
                second = evaluate(c, inputs, DType::f32, true, false);
  if (auto p = compare(c.name + " again", second.y, first.y, 0.0); !p.empty()) return p;
  for (std::size_t k = 0; k < first.dx.size(); ++k)
    if (auto p = compare(fmt::format("{} gradient {} again", c.name, k), second.dx[k], first.dx[k], 0.0); !p.empty())
      return p;
  return "";
}

enum class Plant { last_value, unwritten_value, last_gradient };

/// The case with a bug planted behind its op: the last output off by 0.1 %, or never written, or its gradient off.
inline OpCase planted(OpCase c, Plant kind) {
  c.run = [run = c.run, kind](Context& ctx, const std::vector<Tensor>& x) {
    const Tensor good = run(ctx, x);
    Tensor y = Tensor::from(ctx, good.to_array());
    const std::int64_t last = y.numel() - 1;
    const auto spoil = [kind](auto& v) {
      v = kind == Plant::unwritten_value ? std::numeric_limits<std::remove_reference_t<decltype(v)>>::quiet_NaN()
                                         : v * static_cast<std::remove_reference_t<decltype(v)>>(1.001);
    };
    if (kind != Plant::last_gradient)
      y.dtype() == DType::f32 ? spoil(y.data<float>()[last]) : spoil(y.data<double>()[last]);
    return record(ctx, "planted", y, {good}, [kind, last](const Tensor& dy, Grads& d) {
      Tensor dx = Tensor::from(d.ctx(), dy.to_array());
      // Off in f32 only: the f64 gradient is the yardstick that gradcheck guards.
      if (kind == Plant::last_gradient && dx.dtype() == DType::f32) dx.data<float>()[last] += 0.05f;
      d.add(0, dx);
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
    std::int64_t elements = 0;                                                                                       \
    for (const auto& s : c.inputs) elements += s.numel();                                                            \
    if (c.differentiable && elements <= 600) CHECK_EQ(akin::test::gradcheck(c), "");                                 \
    CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::last_value)), "");                          \
    CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::unwritten_value)), "");                     \
    if (c.differentiable) CHECK_NE(akin::test::match(akin::test::planted(c, akin::test::Plant::last_gradient)), ""); \
  }

/// Match and repeatability of each case with one and with two threads.
#define AKIN_TEST_THREADS(cases)               \
  for (const int n : {1, 2})                   \
    for (const auto& c : (cases)) {            \
      CAPTURE(c.name);                         \
      CAPTURE(n);                              \
      const akin::test::Threads threads(n);    \
      CHECK_EQ(akin::test::match(c), "");      \
      CHECK_EQ(akin::test::repeatable(c), ""); \
    }
