#include "engine/gradcheck.hpp"

#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "kernels/common/rng.hpp"

namespace akin {

namespace {

double weighted(const Tensor& y, const std::vector<double>& r) {
  double s = 0;
  for (std::int64_t i = 0; i < y.numel(); ++i) s += y.data<double>()[i] * r[static_cast<std::size_t>(i)];
  return s;
}

}  // namespace

std::string gradcheck(Context& ctx, const std::function<Tensor(Context&, const std::vector<Tensor>&)>& f,
                      const std::vector<Array>& inputs, double tolerance, std::uint64_t seed) {
  std::vector<Tensor> x;
  for (const Array& a : inputs) {
    x.push_back(Tensor::from(ctx, a.cast(DType::f64)));
    x.back().set_requires_grad(true);
  }
  Tape tape;
  std::vector<double> r;
  {
    const TapeScope scope(ctx, &tape);
    const Tensor y = f(ctx, x);
    Rng rng(seed);
    for (std::int64_t i = 0; i < y.numel(); ++i) r.push_back(rng.uniform(-1, 1));
    tape.backward(ctx, ops::sum(ctx, ops::mul(ctx, y, Tensor::from(ctx, r, y.shape()))));
  }
  const TapeScope off(ctx, nullptr);
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Tensor g = x[k].grad();
    if (!g.defined()) return fmt::format("input {}: no gradient arrived", k);
    double* values = x[k].data<double>();
    std::vector<double> numeric;
    double top = 1;
    for (std::int64_t i = 0; i < x[k].numel(); ++i) {
      const double keep = values[i], h = 1e-5 * std::max(1.0, std::abs(keep));
      values[i] = keep + h;
      const double up = weighted(f(ctx, x), r);
      values[i] = keep - h;
      const double down = weighted(f(ctx, x), r);
      values[i] = keep;
      numeric.push_back((up - down) / (2 * h));
      top = std::max(top, std::abs(numeric.back()));
    }
    for (std::int64_t i = 0; i < x[k].numel(); ++i) {
      const double expected = numeric[static_cast<std::size_t>(i)], found = g.data<double>()[i];
      if (!(std::abs(found - expected) <= tolerance * top))
        return fmt::format("input {} element {}: backward gives {:.12g}, differences give {:.12g}", k, i, found,
                           expected);
    }
  }
  return "";
}

}  // namespace akin
