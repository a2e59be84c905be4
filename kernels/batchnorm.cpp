#include "kernels/batchnorm.hpp"

#include <cmath>

#include "kernels/common/instantiate.hpp"

namespace akin {

namespace fast {

// kernels/batchnorm_omp.cpp
template <class T>
void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<T>& t);
template <class T>
void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<T>& t);

}  // namespace fast

template <class Dev, class T>
void batchnorm_fwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_fwd(s, t);
  }
  using Real = Full<T>;
  const auto M = static_cast<double>(s.M);
  for (std::int64_t c = 0; c < s.C; ++c) {
    double mean = static_cast<double>(t.running_mean[c]), var = static_cast<double>(t.running_var[c]);
    if (s.training) {
      mean = var = 0;
      for (std::int64_t m = 0; m < s.M; ++m) mean += static_cast<double>(widened(t.x[m * s.C + c]));
      mean /= M;
      for (std::int64_t m = 0; m < s.M; ++m) {
        const double d = static_cast<double>(widened(t.x[m * s.C + c])) - mean;
        var += d * d;
      }
      var /= M;
      const double unbiased = s.M > 1 ? var * M / (M - 1) : var;
      t.running_mean[c] =
          static_cast<Real>((1 - s.momentum) * static_cast<double>(t.running_mean[c]) + s.momentum * mean);
      t.running_var[c] =
          static_cast<Real>((1 - s.momentum) * static_cast<double>(t.running_var[c]) + s.momentum * unbiased);
    }
    const double invstd = 1 / std::sqrt(var + s.eps);
    t.mean[c] = static_cast<Real>(mean);
    t.invstd[c] = static_cast<Real>(invstd);
    for (std::int64_t m = 0; m < s.M; ++m) {
      const std::int64_t i = m * s.C + c;
      Real u = static_cast<Real>((static_cast<double>(widened(t.x[i])) - mean) * invstd) * t.gamma[c] + t.beta[c];
      if (t.residual) u += widened(t.residual[i]);
      store(t.y[i], activate(s.act, u));
    }
  }
}

template <class Dev, class T>
void batchnorm_bwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_bwd(s, t);
  }
  using Real = Full<T>;
  const auto M = static_cast<double>(s.M);
  for (std::int64_t c = 0; c < s.C; ++c) {
    const auto mean = static_cast<double>(t.mean[c]), invstd = static_cast<double>(t.invstd[c]);
    double dbeta = 0, dgamma = 0;
    const auto du = [&](std::int64_t i) {
      if (s.act == Activation::none) return static_cast<double>(widened(t.dy[i]));
      return static_cast<double>(activation_gradient(s.act, widened(t.y[i]), widened(t.dy[i])));
    };
    const auto xhat = [&](std::int64_t i) { return (static_cast<double>(widened(t.x[i])) - mean) * invstd; };
    for (std::int64_t m = 0; m < s.M; ++m) {
      const std::int64_t i = m * s.C + c;
      dbeta += du(i);
      dgamma += du(i) * xhat(i);
    }
    for (std::int64_t m = 0; m < s.M; ++m) {
      const std::int64_t i = m * s.C + c;
      const double u = du(i);  // before dresidual is written: it may be dy
      const double centred = s.training ? u - dbeta / M - xhat(i) * dgamma / M : u;
      if (t.dx) store(t.dx[i], static_cast<Real>(static_cast<double>(t.gamma[c]) * invstd * centred), t.dx_mode);
      if (t.dresidual) store(t.dresidual[i], static_cast<Real>(u));
    }
    if (t.dgamma) store(t.dgamma[c], static_cast<Real>(dgamma), t.dgamma_mode);
    if (t.dbeta) store(t.dbeta[c], static_cast<Real>(dbeta), t.dbeta_mode);
  }
}

template <class Dev>
std::int64_t batchnorm_scratch(const Stream<Dev>&, const BatchNormShape&) {
  return 0;
}

template std::int64_t batchnorm_scratch(const Stream<Cpu>&, const BatchNormShape&);
#define AKIN_INSTANTIATE(T)                                                                                   \
  template void batchnorm_fwd(const Stream<Cpu>&, const BatchNormShape&, const BatchNormForward<T>&, float*); \
  template void batchnorm_bwd(const Stream<Cpu>&, const BatchNormShape&, const BatchNormBackward<T>&, float*);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
