#include <doctest/doctest.h>

#include <cmath>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"

using namespace akin;

namespace {

using Values = std::vector<double>;

Tensor leaf(Context& ctx, const Values& v) {
  Tensor t = Tensor::from(ctx, v, {static_cast<std::int64_t>(v.size())});
  t.set_requires_grad(true);
  return t;
}

Values grad(const Tensor& t) {
  REQUIRE(t.grad().defined());
  const Array a = t.grad().to_array();
  return {a.as<double>().begin(), a.as<double>().end()};
}

/// 3 x, not recorded.
Tensor tripled(Context& ctx, const Tensor& x) {
  const TapeScope off(ctx, nullptr);
  return ops::scale(ctx, x, 3);
}

}  // namespace

TEST_CASE("autograd: gradients of shared inputs add up") {
  Context ctx(Device::cpu, {.poison = true});
  Tape tape;
  const TapeScope scope(ctx, &tape);
  Tensor x = leaf(ctx, {1, -2, 3});
  SUBCASE("x + x") {
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, x, x)));
    CHECK(grad(x) == Values{2, 2, 2});
  }
  SUBCASE("x * x") {
    tape.backward(ctx, ops::sum(ctx, ops::mul(ctx, x, x)));
    CHECK(grad(x) == Values{2, -4, 6});
  }
  SUBCASE("a residual block: relu(x + x^2) + x") {
    const Tensor y = ops::relu(ctx, ops::add(ctx, x, ops::mul(ctx, x, x)));
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, y, x)));
    CHECK(grad(x) == Values{1 + 2 + 1, 1 - 4 + 1, 1 + 6 + 1});
  }
  SUBCASE("two residual blocks in a row") {
    Tensor h = x;
    for (int block = 0; block < 2; ++block) h = ops::add(ctx, ops::mul(ctx, h, h), h);  // h' = 2 h + 1
    tape.backward(ctx, ops::sum(ctx, h));
    Values expected;
    for (const double v : {1.0, -2.0, 3.0}) expected.push_back((2 * (v * v + v) + 1) * (2 * v + 1));
    CHECK(grad(x) == expected);
  }
  SUBCASE("views: both halves of a reshape") {
    const Tensor y = ops::reshape(ctx, ops::add(ctx, x, x), {3, 1});
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, ops::rows(ctx, y, 0, 2), ops::rows(ctx, y, 1, 3))));
    CHECK(grad(x) == Values{2, 4, 2});
  }
}

TEST_CASE("autograd: adding to one gradient leaves the sibling's alone") {
  Context ctx(Device::cpu, {.poison = true});
  // add() hands one buffer to both inputs; what comes later in the backward pass adds to a only.
  for (const bool careless : {false, true}) {
    CAPTURE(careless);
    Tensor a = leaf(ctx, {1, 2}), b = leaf(ctx, {5, 6});
    Tape tape;
    const TapeScope scope(ctx, &tape);
    Tensor early;
    if (careless)  // adds to the gradient that is there without asking whether others share its memory
      early = record(ctx, "careless", tripled(ctx, a), {a}, [a](const Tensor& dy, Grads&) {
        double* shared = Tensor(a.handle()->grad).data<double>();
        for (std::int64_t i = 0; i < dy.numel(); ++i) shared[i] += 3 * dy.data<double>()[i];
      });
    else
      early = ops::scale(ctx, a, 3);
    const Tensor late = ops::add(ctx, a, b);
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, early, late)));
    CHECK(grad(a) == Values{4, 4});
    CHECK((grad(b) == Values{1, 1}) != careless);  // the careless rule spoils b, so this check sees such a bug
  }
}

TEST_CASE("autograd: a second backward adds, zero_grad forgets") {
  Context ctx(Device::cpu, {.poison = true});
  Tape tape;
  const TapeScope scope(ctx, &tape);
  Tensor x = leaf(ctx, {1, 2}), y = leaf(ctx, {3, 4});
  for (int k = 1; k <= 3; ++k) {
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, x, y)));
    CHECK(grad(x) == Values{double(k), double(k)});
    CHECK(grad(y) == Values{double(k), double(k)});
  }
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
  tape.backward(ctx, ops::sum(ctx, ops::add(ctx, x, y)), 0.5);
  CHECK(grad(x) == Values{0.5, 0.5});
  CHECK(grad(y) == Values{3.5, 3.5});
}

TEST_CASE("autograd: gradients land in the arena given to the leaves") {
  Context ctx(Device::cpu, {.poison = true});
  const Tensor arena = Tensor::empty(ctx, {5}, DType::f64);
  Tensor a = leaf(ctx, {1, 2}), b = leaf(ctx, {3, 4, 5});
  a.set_grad_buffer(arena.view({2}));
  b.set_grad_buffer(arena.view({3}, 2));
  CHECK_FALSE(a.grad().defined());
  Tape tape;
  const TapeScope scope(ctx, &tape);
  for (int step = 0; step < 2; ++step) {
    a.zero_grad();
    b.zero_grad();
    const Tensor left = ops::sum(ctx, ops::mul(ctx, a, a)), right = ops::sum(ctx, ops::add(ctx, b, b));
    tape.backward(ctx, ops::add(ctx, left, right));
    const Array all = arena.to_array();
    CHECK(Values(all.as<double>().begin(), all.as<double>().end()) == Values{2, 4, 2, 2, 2});
    CHECK_EQ(a.grad().data<double>(), arena.data<double>());
  }
  CHECK_THROWS_WITH_AS(a.set_grad_buffer(arena), doctest::Contains("grad buffer: [5] for a tensor of [2]"), Error);
}

TEST_CASE("autograd: what needs no gradient gets none and costs nothing") {
  Context ctx;
  Tape tape;
  Tensor x = leaf(ctx, {1, 2});
  const Tensor fixed = Tensor::from(ctx, Values{3, 4}, {2});
  {
    const TapeScope scope(ctx, &tape);
    CHECK_FALSE(ops::add(ctx, fixed, fixed).requires_grad());
    CHECK_EQ(tape.size(), 0);
    const Tensor y = ops::mul(ctx, x, fixed);
    CHECK(y.requires_grad());
    CHECK_EQ(tape.size(), 1);
    CHECK_FALSE(y.detach().requires_grad());
    tape.backward(ctx, ops::sum(ctx, ops::add(ctx, y, ops::scale(ctx, y.detach(), 100))));
    CHECK(grad(x) == Values{3, 4});
    CHECK_FALSE(fixed.grad().defined());
  }
  CHECK_FALSE(ops::add(ctx, x, x).requires_grad());  // no tape
}

TEST_CASE("autograd: a gradient never stops silently") {
  Context ctx;
  Tape tape;
  const TapeScope scope(ctx, &tape);
  Tensor x = leaf(ctx, {1, 2});
  const Tensor y = record_no_backward(ctx, "argsort", Tensor::from(ctx, Values{0, 1}, {2}), {x});
  CHECK(y.requires_grad());
  CHECK_THROWS_WITH_AS(tape.backward(ctx, ops::sum(ctx, y)), doctest::Contains("argsort: has no backward"), Error);
  tape.clear();

  const Tensor fixed = Tensor::from(ctx, Values{3, 4}, {2});
  CHECK_THROWS_WITH_AS(tape.backward(ctx, ops::sum(ctx, fixed)), doctest::Contains("depends on no parameter"), Error);
  CHECK_THROWS_WITH_AS(tape.backward(ctx, ops::add(ctx, x, x)), doctest::Contains("shape [2], one element"), Error);
  tape.clear();

  const Tensor loss = ops::sum(ctx, x);
  tape.backward(ctx, loss);
  CHECK_THROWS_WITH_AS(tape.backward(ctx, loss), doctest::Contains("not recorded on this tape"), Error);
  CHECK(grad(x) == Values{1, 1});

  const Tensor again =
      record(ctx, "wrong", ops::sum(ctx, x).detach(), {x}, [](const Tensor& dy, Grads& d) { d.add(0, dy); });
  CHECK_THROWS_WITH_AS(tape.backward(ctx, again), doctest::Contains("gradient [1] for an input of shape [2]"), Error);
}

TEST_CASE("autograd: TapeScope restores what was there, also after an exception") {
  Context ctx;
  Tape outer, inner;
  CHECK(ctx.tape == nullptr);
  {
    const TapeScope a(ctx, &outer);
    CHECK(ctx.tape == &outer);
    try {
      const TapeScope b(ctx, &inner);
      CHECK(ctx.tape == &inner);
      fail("leave");
    } catch (const Error&) {
    }
    CHECK(ctx.tape == &outer);
    {
      const TapeScope off(ctx, nullptr);
      CHECK(ctx.tape == nullptr);
    }
    Tensor x = leaf(ctx, {1});
    const Tensor y = record(ctx, "throws", ops::scale(ctx, x, 1).detach(), {x}, [](const Tensor&, Grads& d) {
      CHECK(d.ctx().tape == nullptr);  // backward rules are not recorded
      fail("broken rule");
    });
    CHECK_THROWS_WITH_AS(outer.backward(ctx, y), doctest::Contains("broken rule"), Error);
    CHECK(ctx.tape == &outer);
    CHECK_EQ(outer.size(), 0);
  }
  CHECK(ctx.tape == nullptr);
}

TEST_CASE("autograd: after backward only the leaves and their gradients hold memory") {
  Context ctx;
  const auto in_use = [&] { return ctx.allocator->stats().in_use; };
  Tensor x = Tensor::zeros(ctx, {1000, 10}), w = Tensor::zeros(ctx, {1000, 10});
  x.set_requires_grad(true);
  w.set_requires_grad(true);
  const std::size_t leaves = in_use();
  Tape tape;
  std::size_t forward = 0;
  {
    const TapeScope scope(ctx, &tape);
    Tensor h = x;
    for (int i = 0; i < 8; ++i) h = ops::relu(ctx, ops::mul(ctx, h, w));
    const Tensor loss = ops::sum(ctx, h);
    h = Tensor();
    forward = in_use();
    CHECK(forward > leaves + 12 * x.bytes());  // what the rules need is kept
    tape.backward(ctx, loss);
  }
  CHECK_EQ(tape.size(), 0);
  CHECK_EQ(in_use(), 2 * leaves);  // each leaf and its gradient
  x.zero_grad();
  w.zero_grad();
  CHECK_EQ(in_use(), leaves);
  // Nodes are freed while the pass runs: the peak stays near the forward pass instead of doubling it.
  CHECK(ctx.allocator->stats().peak_in_use < forward + 6 * x.bytes());
}

TEST_CASE("gradcheck: names the input and element of a wrong rule, and a missing gradient") {
  Context ctx(Device::cpu, {.poison = true});
  const std::vector<Array> inputs{Array::from(Values{0.5, -0.25, 0.75}, {3})};
  const auto square = [](Context& c, const std::vector<Tensor>& x) { return ops::mul(c, x[0], x[0]); };
  CHECK_EQ(gradcheck(ctx, square, inputs), "");
  const auto off = [](Context& c, const std::vector<Tensor>& x) {
    return record(c, "off", ops::mul(c, x[0], x[0]).detach(), {x[0]}, [x0 = x[0].detach()](const Tensor& dy, Grads& d) {
      Tensor dx = Tensor::empty(d.ctx(), x0.shape(), DType::f64);
      for (std::int64_t i = 0; i < 3; ++i)
        dx.data<double>()[i] = dy.data<double>()[i] * x0.data<double>()[i] * (i == 1 ? 2.00001 : 2);
      d.add(0, dx);
    });
  };
  CHECK(gradcheck(ctx, off, inputs).starts_with("input 0 element 1"));
  const auto cut = [](Context& c, const std::vector<Tensor>& x) { return ops::add(c, x[0].detach(), x[1]); };
  CHECK_EQ(gradcheck(ctx, cut, {inputs[0], inputs[0]}), "input 0: no gradient arrived");
}
