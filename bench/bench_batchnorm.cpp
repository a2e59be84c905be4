#include "bench/op_bench.hpp"
#include "kernels/batchnorm.hpp"

using namespace akin;
using namespace akin::bench;

namespace {

struct Parameters {
  explicit Parameters(std::int64_t C) : values(static_cast<std::size_t>(8 * C), 0.5f), C_(C) {}
  float* operator[](int i) { return values.data() + i * C_; }
  std::vector<float> values;
  std::int64_t C_;
};

void forward(benchmark::State& state, const Activation& a, bool residual, bool fast) {
  const std::int64_t n = a.M * a.C;
  Rotating<> t{n, n, residual ? n : 0};
  Parameters p(a.C);
  const BatchNormShape s{a.M, a.C, true, true, 1e-5, 0.1};
  const auto size = static_cast<double>(n);
  measure(state, {8 * size, (residual ? 16 : 12) * size}, [&] {
    const BatchNormForward<float> f{t[0], p[0], p[1], residual ? t[2] : nullptr, p[2], p[3], p[4], p[5], t[1]};
    fast ? fast::batchnorm_fwd(s, f) : spec::batchnorm_fwd<float>(s, f);
    t.next();
  });
}

void backward(benchmark::State& state, const Activation& a, bool residual, bool fast) {
  const std::int64_t n = a.M * a.C;
  Rotating<> t{n, n, n, n, residual ? n : 0};  // x, y, dy, dx, dresidual
  Parameters p(a.C);
  const BatchNormShape s{a.M, a.C, true, true, 1e-5, 0.1};
  const auto size = static_cast<double>(n);
  measure(state, {12 * size, (residual ? 32 : 28) * size}, [&] {
    const BatchNormBackward<float> b{
        t[0], t[1], t[2], p[0], p[1], p[2], t[3], residual ? t[4] : nullptr, p[3], p[4], Accum::overwrite};
    fast ? fast::batchnorm_bwd(s, b) : spec::batchnorm_bwd<float>(s, b);
    t.next();
  });
}

const bool registered = [] {
  for (const bool fast : {true, false})
    for (const bool residual : {false, true})
      for (const Activation& a : kActivations) {
        if (!fast && a.C != 16) continue;
        const std::string name = fmt::format("{}{}/{}", residual ? "_residual" : "", fast ? "" : "/spec", a.str());
        add("fwd" + name, [=](benchmark::State& state) { forward(state, a, residual, fast); });
        add("bwd" + name, [=](benchmark::State& state) { backward(state, a, residual, fast); });
      }
  return true;
}();

}  // namespace
