#include "kernels/batchnorm.hpp"

#include <cmath>

#include "kernels/common/instantiate.hpp"

namespace akin {

namespace fast {

// kernels/batchnorm_omp.cpp
template <class T>
void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<T>& t);
template <class T>
void batchnorm_moments(const BatchNormShape& s, const BatchNormForward<T>& t, float* own);
template <class T>
void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<T>& t);
template <class T>
void batchnorm_sums(const BatchNormShape& s, const BatchNormBackward<T>& t, float* own);

}  // namespace fast

namespace {

template <class T>
RowMoments moments_of(const BatchNormShape& s, const BatchNormForward<T>& t, std::int64_t c) {
  if (t.moments.parts > 0) return joined(t.moments, s.C, c);
  RowMoments all{static_cast<double>(s.M)};
  for (std::int64_t m = 0; m < s.M; ++m) all.mean += static_cast<double>(widened(t.x[m * s.C + c]));
  all.mean /= all.rows;
  for (std::int64_t m = 0; m < s.M; ++m) {
    const double d = static_cast<double>(widened(t.x[m * s.C + c])) - all.mean;
    all.square += d * d;
  }
  return all;
}

/// du and xhat of elements of channel c.
template <class T>
struct Gradient {
  const BatchNormShape& s;
  const BatchNormBackward<T>& t;
  double mean, invstd;
  Gradient(const BatchNormShape& shape, const BatchNormBackward<T>& tensors, std::int64_t c)
      : s(shape), t(tensors), mean(static_cast<double>(t.mean[c])), invstd(static_cast<double>(t.invstd[c])) {}
  double du(std::int64_t i) const {
    if (t.ranks > 0 && t.dresidual) return static_cast<double>(widened(t.dresidual[i]));
    if (s.act == Activation::none) return static_cast<double>(widened(t.dy[i]));
    return static_cast<double>(activation_gradient(s.act, widened(t.y[i]), widened(t.dy[i])));
  }
  double xhat(std::int64_t i) const { return (static_cast<double>(widened(t.x[i])) - mean) * invstd; }
};

/// sum du and sum du xhat of a channel
struct Sums {
  double dbeta = 0, dgamma = 0;
};

template <class T>
Sums sums_of(const Gradient<T>& g, std::int64_t c) {
  Sums sums;
  for (std::int64_t m = 0; m < g.s.M; ++m) {
    const std::int64_t i = m * g.s.C + c;
    sums.dbeta += g.du(i);
    sums.dgamma += g.du(i) * g.xhat(i);
  }
  return sums;
}

}  // namespace

template <class Dev, class T>
void batchnorm_moments(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float* own,
                       float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_moments(s, t, own);
  }
  for (std::int64_t c = 0; c < s.C; ++c) {
    const RowMoments m = moments_of(s, t, c);
    own[c] = static_cast<float>(m.mean);
    own[s.C + c] = static_cast<float>(m.square);
  }
  own[2 * s.C] = static_cast<float>(s.M);
}

template <class Dev, class T>
void batchnorm_fwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormForward<T>& t, float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_fwd(s, t);
  }
  using Real = Full<T>;
  const auto M = static_cast<double>(s.population());
  for (std::int64_t c = 0; c < s.C; ++c) {
    double mean = static_cast<double>(t.running_mean[c]), var = static_cast<double>(t.running_var[c]);
    if (s.training) {
      const RowMoments all = moments_of(s, t, c);
      mean = all.mean;
      var = all.square / M;
      const double unbiased = M > 1 ? all.square / (M - 1) : var;
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
void batchnorm_sums(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float* own,
                    float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_sums(s, t, own);
  }
  using Real = Full<T>;
  for (std::int64_t c = 0; c < s.C; ++c) {
    const Gradient<T> g(s, t, c);
    const Sums sums = sums_of(g, c);
    for (std::int64_t i = c; t.dresidual && i < s.M * s.C; i += s.C) store(t.dresidual[i], static_cast<Real>(g.du(i)));
    if (t.dgamma) store(t.dgamma[c], static_cast<Real>(sums.dgamma), t.dgamma_mode);
    if (t.dbeta) store(t.dbeta[c], static_cast<Real>(sums.dbeta), t.dbeta_mode);
    own[c] = static_cast<float>(sums.dbeta);
    own[s.C + c] = static_cast<float>(sums.dgamma * g.invstd);
  }
}

template <class Dev, class T>
void batchnorm_bwd(const Stream<Dev>& stream, const BatchNormShape& s, const BatchNormBackward<T>& t, float*) {
  if constexpr (kFastType<T>) {
    if (stream.fast) return fast::batchnorm_bwd(s, t);
  }
  using Real = Full<T>;
  const auto M = static_cast<double>(s.population());
  for (std::int64_t c = 0; c < s.C; ++c) {
    const Gradient<T> g(s, t, c);
    Sums sums;
    if (t.ranks == 0) sums = sums_of(g, c);
    for (std::int64_t r = 0; r < t.ranks; ++r) {
      sums.dbeta += static_cast<double>(t.of_ranks[r * s.C + c]);
      sums.dgamma += static_cast<double>(t.of_ranks[(t.ranks + r) * s.C + c]) / g.invstd;
    }
    for (std::int64_t m = 0; m < s.M; ++m) {
      const std::int64_t i = m * s.C + c;
      const double u = g.du(i);  // before dresidual is written: it may be dy
      const double centred = s.training ? u - sums.dbeta / M - g.xhat(i) * sums.dgamma / M : u;
      if (t.dx) store(t.dx[i], static_cast<Real>(static_cast<double>(t.gamma[c]) * g.invstd * centred), t.dx_mode);
      if (t.dresidual && t.ranks == 0) store(t.dresidual[i], static_cast<Real>(u));
    }
    if (t.ranks > 0) continue;
    if (t.dgamma) store(t.dgamma[c], static_cast<Real>(sums.dgamma), t.dgamma_mode);
    if (t.dbeta) store(t.dbeta[c], static_cast<Real>(sums.dbeta), t.dbeta_mode);
  }
}

template <class Dev>
std::int64_t batchnorm_scratch(const Stream<Dev>&, const BatchNormShape&) {
  return 0;
}

template std::int64_t batchnorm_scratch(const Stream<Cpu>&, const BatchNormShape&);
#define AKIN_INSTANTIATE(T)                                                                                      \
  template void batchnorm_fwd(const Stream<Cpu>&, const BatchNormShape&, const BatchNormForward<T>&, float*);    \
  template void batchnorm_bwd(const Stream<Cpu>&, const BatchNormShape&, const BatchNormBackward<T>&, float*);   \
  template void batchnorm_moments(const Stream<Cpu>&, const BatchNormShape&, const BatchNormForward<T>&, float*, \
                                  float*);                                                                       \
  template void batchnorm_sums(const Stream<Cpu>&, const BatchNormShape&, const BatchNormBackward<T>&, float*, float*);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
