// The CPU fast path. A tile of L = C * ceil(64 / C) consecutive elements starts at channel 0, so per-channel numbers
// repeated L / C times line up with it and the inner loops are long, contiguous and free of index arithmetic.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/batchnorm.hpp"
#include "kernels/common/parallel.hpp"

// The loops are called through a pointer, and only what is inlined into them is vectorised.
#define AKIN_FLATTEN __attribute__((flatten))

namespace akin::fast {

namespace {

constexpr std::int64_t kTile = 64;         // elements: four 512-bit vectors
constexpr std::int64_t kFlush = 64;        // tiles summed in float before the sums move to double
constexpr std::int64_t kGrainTiles = 128;  // tiles a piece

std::int64_t tile_of(std::int64_t C) { return C * ((kTile + C - 1) / C); }

/// values[c] repeated to fill a tile
std::vector<float> tiled(const std::vector<double>& values, std::int64_t L) {
  std::vector<float> out(static_cast<std::size_t>(L));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(values[i % values.size()]);
  return out;
}

/// Mean of up to 16 rows spread over x, rounded to float: close enough for sums of squares around it to keep their
/// digits, even when a row is an outlier. Exact for a constant channel.
template <class T>
std::vector<double> rough_mean(std::int64_t M, std::int64_t C, const T* x) {
  const std::int64_t rows = std::min<std::int64_t>(M, 16);
  std::vector<double> mean(static_cast<std::size_t>(C));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < C; ++c)
      mean[static_cast<std::size_t>(c)] += static_cast<double>(widened(x[r * M / rows * C + c]));
  for (double& v : mean) v = static_cast<double>(static_cast<float>(v / static_cast<double>(rows)));
  return mean;
}

std::int64_t tiles_of(std::int64_t total, std::int64_t L) { return (total + L - 1) / L; }
std::int64_t grain_of(std::int64_t L) { return kGrainTiles * kTile / std::min(L, kGrainTiles * kTile); }

/// Runs body(piece, begin element, end element) over ranges that start at tiles.
template <class Body>
void for_tiles(std::int64_t total, std::int64_t L, Body&& body) {
  parallel_pieces(tiles_of(total, L), grain_of(L), [&](std::int64_t piece, std::int64_t begin, std::int64_t end) {
    body(piece, begin * L, std::min(total, end * L));
  });
}

/// Per-channel sums of two functions of the element: term(i, l, a, b) adds to a[l], b[l] for element i at tile lane l.
template <class Term>
void channel_sums(std::int64_t M, std::int64_t C, Term&& term, std::vector<double>& sum_a, std::vector<double>& sum_b) {
  const std::int64_t L = tile_of(C), total = M * C;
  std::vector<std::vector<double>> part(static_cast<std::size_t>(pieces_of(tiles_of(total, L), grain_of(L))));
  for_tiles(total, L, [&](std::int64_t piece, std::int64_t begin, std::int64_t end) AKIN_FLATTEN {
    auto& p = part[static_cast<std::size_t>(piece)];  // added in order
    p.assign(static_cast<std::size_t>(2 * L), 0.0);
    std::vector<float> acc(static_cast<std::size_t>(2 * L));
    float *a = acc.data(), *b = acc.data() + L;
    for (std::int64_t i = begin; i < end;) {
      std::fill(acc.begin(), acc.end(), 0.0f);
      const std::int64_t stop = std::min(end, i + kFlush * L);
      if (L == kTile) {
        for (; i + kTile <= stop; i += kTile) term.template operator()<kTile>(i, kTile, a, b);
      } else {
        for (; i + L <= stop; i += L) term.template operator()<0>(i, L, a, b);
      }
      if (i < stop) {
        term.template operator()<0>(i, stop - i, a, b);
        i = stop;
      }
      for (std::int64_t l = 0; l < 2 * L; ++l)
        p[static_cast<std::size_t>(l)] += static_cast<double>(acc[static_cast<std::size_t>(l)]);
    }
  });
  sum_a.assign(static_cast<std::size_t>(C), 0.0);
  sum_b.assign(static_cast<std::size_t>(C), 0.0);
  for (const auto& p : part)
    for (std::size_t l = 0; l < p.size() / 2; ++l) {
      sum_a[l % static_cast<std::size_t>(C)] += p[l];
      sum_b[l % static_cast<std::size_t>(C)] += p[p.size() / 2 + l];
    }
}

/// (x - mean) a + beta of lane l: subtracting first keeps the digits when the mean is large.
struct Affine {
  const float *mean, *a, *beta;
  float operator()(float x, std::int64_t l) const { return (x - mean[l]) * a[l] + beta[l]; }
};

/// Calls body(i, l) for all elements, with l the lane in the tile.
template <class Body>
void apply(std::int64_t M, std::int64_t C, Body&& body) {
  const std::int64_t L = tile_of(C);
  for_tiles(M * C, L, [&](std::int64_t, std::int64_t begin, std::int64_t end) AKIN_FLATTEN {
    for (std::int64_t i = begin; i < end; i += L) {
      const std::int64_t n = std::min(L, end - i);
      if (n == kTile) {
#pragma GCC ivdep
        for (std::int64_t l = 0; l < kTile; ++l) body(i + l, l);
      } else {
#pragma GCC ivdep
        for (std::int64_t l = 0; l < n; ++l) body(i + l, l);
      }
    }
  });
}

/// Mean and variance of each channel over all rows.
struct Spread {
  std::vector<double> mean, var;
};

template <class T>
Spread spread_of(const BatchNormShape& s, const BatchNormForward<T>& t) {
  const auto C = static_cast<std::size_t>(s.C);
  Spread out{std::vector<double>(C), std::vector<double>(C)};
  if (t.moments.parts > 0) {
    for (std::size_t c = 0; c < C; ++c) {
      const RowMoments all = joined(t.moments, s.C, static_cast<std::int64_t>(c));
      out.mean[c] = all.mean;
      out.var[c] = all.square / static_cast<double>(s.population());
    }
    return out;
  }
  const auto M = static_cast<double>(s.M);
  std::vector<double> shift = rough_mean(s.M, s.C, t.x), sum, sum_sq;
  const std::vector<float> shift_tile = tiled(shift, tile_of(s.C));
  const T* x = t.x;
  const float* k = shift_tile.data();
  channel_sums(
      s.M, s.C,
      [x, k]<std::int64_t Fixed>(std::int64_t i, std::int64_t n, float* p, float* q) {
        const std::int64_t len = Fixed ? Fixed : n;
#pragma GCC ivdep
        for (std::int64_t l = 0; l < len; ++l) {
          const float d = widened(x[i + l]) - k[l];
          p[l] += d;
          q[l] += d * d;
        }
      },
      sum, sum_sq);
  for (std::size_t c = 0; c < C; ++c) {
    const double d = sum[c] / M;
    out.mean[c] = shift[c] + d;
    const double v = sum_sq[c] / M - d * d;
    out.var[c] = v < 0 ? 0 : v;  // rounding; NaN stays NaN
  }
  return out;
}

}  // namespace

template <class T>
void batchnorm_moments(const BatchNormShape& s, const BatchNormForward<T>& t, float* own) {
  const auto C = static_cast<std::size_t>(s.C);
  const auto rows = static_cast<double>(t.moments.parts > 0 ? s.population() : s.M);  // that the variance is over
  const Spread spread = s.M == 0 ? Spread{std::vector<double>(C), std::vector<double>(C)} : spread_of(s, t);
  for (std::size_t c = 0; c < C; ++c) {
    own[c] = static_cast<float>(spread.mean[c]);
    own[C + c] = static_cast<float>(spread.var[c] * rows);
  }
  own[2 * C] = static_cast<float>(s.M);
}

template <class T>
void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<T>& t) {
  if (s.M == 0 || s.C == 0) return;
  const auto C = static_cast<std::size_t>(s.C);
  const auto M = static_cast<double>(s.population());
  const std::int64_t L = tile_of(s.C);
  std::vector<double> mean, var, a(C), b(C);
  if (s.training) {
    Spread spread = spread_of(s, t);
    mean = std::move(spread.mean);
    var = std::move(spread.var);
    for (std::size_t c = 0; c < C; ++c) {
      const double unbiased = M > 1 ? var[c] * M / (M - 1) : var[c];
      t.running_mean[c] = static_cast<float>((1 - s.momentum) * t.running_mean[c] + s.momentum * mean[c]);
      t.running_var[c] = static_cast<float>((1 - s.momentum) * t.running_var[c] + s.momentum * unbiased);
    }
  } else {
    mean.assign(t.running_mean, t.running_mean + s.C);
    var.assign(t.running_var, t.running_var + s.C);
  }
  for (std::size_t c = 0; c < C; ++c) {
    const double invstd = 1 / std::sqrt(var[c] + s.eps);
    t.mean[c] = static_cast<float>(mean[c]);
    t.invstd[c] = static_cast<float>(invstd);
    a[c] = t.gamma[c] * invstd;
    b[c] = t.beta[c];
    if (t.scale) t.scale[c] = static_cast<float>(a[c]);
  }
  const std::vector<float> m_tile = tiled(mean, L), a_tile = tiled(a, L), b_tile = tiled(b, L);
  const Affine affine{m_tile.data(), a_tile.data(), b_tile.data()};
  const T *x = t.x, *r = t.residual;
  T* y = t.y;
  with_activation(s.act, [&]<Activation kAct>() {
    if (r)
      apply(s.M, s.C, [=](std::int64_t i, std::int64_t l) {
        store(y[i], activate(kAct, affine(widened(x[i]), l) + widened(r[i])));
      });
    else
      apply(s.M, s.C, [=](std::int64_t i, std::int64_t l) { store(y[i], activate(kAct, affine(widened(x[i]), l))); });
  });
}

namespace {

/// All of it, or where `own` is given the half before it.
template <class T>
void backward(const BatchNormShape& s, const BatchNormBackward<T>& t, float* own) {
  if (s.C == 0) return;
  const auto C = static_cast<std::size_t>(s.C);
  const auto M = static_cast<double>(s.population());
  const std::int64_t L = tile_of(s.C);
  const std::vector<float> mean_tile = tiled({t.mean, t.mean + s.C}, L);
  const float* mt = mean_tile.data();
  const T *x = t.x, *y = t.y, *dy = t.dy;
  T* dres = t.dresidual;
  // Pass 1: sums of du and du (x - mean); du goes to dresidual when that is wanted, so that pass 2 reads one array
  // less.
  std::vector<double> sum_du, sum_dux;
  const auto sums = [&](auto du) {
    channel_sums(
        s.M, s.C,
        [=]<std::int64_t Fixed>(std::int64_t i, std::int64_t n, float* p, float* q) {
          const std::int64_t len = Fixed ? Fixed : n;
#pragma GCC ivdep
          for (std::int64_t l = 0; l < len; ++l) {
            const float u = du(i + l, l);
            p[l] += u;
            q[l] += u * (widened(x[i + l]) - mt[l]);
          }
        },
        sum_du, sum_dux);
  };
  // Without a residual x tells where y is above 0 (and below 6): a pass then reads two arrays, not three.
  const bool recomputed = t.beta && t.scale && s.act != Activation::none;
  std::vector<float> scale_tile, beta_tile;
  if (recomputed) {
    scale_tile = tiled({t.scale, t.scale + s.C}, L);
    beta_tile = tiled({t.beta, t.beta + s.C}, L);
  }
  const Affine affine{mt, scale_tile.data(), beta_tile.data()};
  // Calls body(du) with what gives du of an element and its lane.
  const auto with_gradient = [=](auto&& body) {
    if (s.act == Activation::none) return body([=](std::int64_t i, std::int64_t) { return widened(dy[i]); });
    with_activation(s.act, [&]<Activation kAct>() {
      // dy is read in any case: a load under a condition is not vectorised.
      if (recomputed)
        body([=](std::int64_t i, std::int64_t l) {
          const float g = widened(dy[i]);
          return activation_gradient(kAct, widened(narrowed<T>(affine(widened(x[i]), l))), g);
        });
      else
        body([=](std::int64_t i, std::int64_t) {
          const float g = widened(dy[i]);
          return activation_gradient(kAct, widened(y[i]), g);
        });
    });
  };
  const bool kept = dres && (s.act != Activation::none || dres != dy);
  if (t.ranks == 0)
    with_gradient([&](auto du) {
      if (kept)
        sums([=](std::int64_t i, std::int64_t l) {
          const float u = du(i, l);  // 0 or dy, which bf16 holds
          store(dres[i], u);
          return u;
        });
      else
        sums(du);
    });

  std::vector<double> a(C), b(C), k(C);  // dx = a du + b (x - mean) + k
  for (std::size_t c = 0; c < C; ++c) {
    const double invstd = t.invstd[c], scale = t.gamma[c] * invstd;
    double sum = 0, dot = 0;  // of du, and of du (x - mean) / std^2
    if (t.ranks == 0) {
      const double dgamma = sum_dux[c] * invstd;
      if (t.dgamma) store(t.dgamma[c], static_cast<float>(dgamma), t.dgamma_mode);
      if (t.dbeta) store(t.dbeta[c], static_cast<float>(sum_du[c]), t.dbeta_mode);
      sum = sum_du[c];
      dot = dgamma * invstd;
    }
    for (std::size_t r = 0; r < static_cast<std::size_t>(t.ranks); ++r) {
      sum += t.of_ranks[r * C + c];
      dot += t.of_ranks[(static_cast<std::size_t>(t.ranks) + r) * C + c];
    }
    if (own) own[c] = static_cast<float>(sum), own[C + c] = static_cast<float>(dot);
    a[c] = scale;
    b[c] = s.training ? -scale * dot / M : 0;
    k[c] = s.training ? -scale * sum / M : 0;
  }
  if (!t.dx || own) return;
  const std::vector<float> a_tile = tiled(a, L), b_tile = tiled(b, L), k_tile = tiled(k, L);
  const float *at = a_tile.data(), *bt = b_tile.data(), *kt = k_tile.data();
  T* dx = t.dx;
  const auto finish = [&](auto du) {
    const auto value = [=](std::int64_t i, std::int64_t l) {
      return at[l] * du(i, l) + (bt[l] * (widened(x[i]) - mt[l]) + kt[l]);
    };
    if (t.dx_mode == Accum::add)
      apply(s.M, s.C, [=](std::int64_t i, std::int64_t l) { store(dx[i], value(i, l), Accum::add); });
    else
      apply(s.M, s.C, [=](std::int64_t i, std::int64_t l) { store(dx[i], value(i, l)); });
  };
  if (dres)
    finish([=](std::int64_t i, std::int64_t) { return widened(dres[i]); });
  else
    with_gradient(finish);
}

}  // namespace

template <class T>
void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<T>& t) {
  backward(s, t, nullptr);
}

template <class T>
void batchnorm_sums(const BatchNormShape& s, const BatchNormBackward<T>& t, float* own) {
  backward(s, t, own);
}

#define AKIN_INSTANTIATE(T)                                                                     \
  template void batchnorm_fwd(const BatchNormShape& s, const BatchNormForward<T>&);             \
  template void batchnorm_moments(const BatchNormShape& s, const BatchNormForward<T>&, float*); \
  template void batchnorm_bwd(const BatchNormShape& s, const BatchNormBackward<T>&);            \
  template void batchnorm_sums(const BatchNormShape& s, const BatchNormBackward<T>&, float*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin::fast
