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

void forward(benchmark::State& state, const bench::Activation& a, bool residual, bool fast) {
  const std::int64_t n = a.M * a.C;
  Rotating<> t{n, n, residual ? n : 0};
  Parameters p(a.C);
  const BatchNormShape s{a.M, a.C, true, akin::Activation::relu, 1e-5, 0.1};
  measure(state, batchnorm_fwd_work(s, residual, sizeof(float)), [&] {
    const BatchNormForward<float> f{.x = t[0],
                                    .gamma = p[0],
                                    .beta = p[1],
                                    .residual = residual ? t[2] : nullptr,
                                    .running_mean = p[2],
                                    .running_var = p[3],
                                    .mean = p[4],
                                    .invstd = p[5],
                                    .scale = p[6],
                                    .y = t[1]};
    batchnorm_fwd(fast ? kFast : kSpec, s, f, nullptr);
    t.next();
  });
}

void backward(benchmark::State& state, const bench::Activation& a, bool residual, bool fast) {
  const std::int64_t n = a.M * a.C;
  Rotating<> t{n, n, n, n, residual ? n : 0};  // x, y, dy, dx, dresidual
  Parameters p(a.C);
  const BatchNormShape s{a.M, a.C, true, akin::Activation::relu, 1e-5, 0.1};
  measure(state, batchnorm_bwd_work(s, residual, sizeof(float)), [&] {
    const BatchNormBackward<float> b{.x = t[0],
                                     .y = t[1],
                                     .dy = t[2],
                                     .gamma = p[0],
                                     .mean = p[1],
                                     .invstd = p[2],
                                     .beta = residual ? nullptr : p[5],
                                     .scale = residual ? nullptr : p[6],
                                     .dx = t[3],
                                     .dresidual = residual ? t[4] : nullptr,
                                     .dgamma = p[3],
                                     .dbeta = p[4]};
    batchnorm_bwd(fast ? kFast : kSpec, s, b, nullptr);
    t.next();
  });
}

const bool registered = [] {
  for (const bool fast : {true, false})
    for (const bool residual : {false, true})
      for (const bench::Activation& a : kActivations) {
        if (!fast && a.C != 16) continue;
        const std::string name = fmt::format("{}{}/{}", residual ? "_residual" : "", fast ? "" : "/spec", a.str());
        add("fwd" + name, [=](benchmark::State& state) { forward(state, a, residual, fast); });
        add("bwd" + name, [=](benchmark::State& state) { backward(state, a, residual, fast); });
      }
  return true;
}();

}  // namespace
