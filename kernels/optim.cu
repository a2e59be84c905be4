// optim: a block of 256 threads takes chunks of 1024 elements, 4 a thread: one 16-byte access for each of p, g, m (and
// v), all in flight together; every arena is read once and written once. A chunk mostly lies in one range or in
// none: the block keeps the index of the first range that ends behind its chunk (chunks of a block ascend, so the walk
// over the ranges is paid once a launch) and decides for the whole chunk; only a chunk with an edge inside looks up
// each element. What changes from step to step is read from device memory.
#include "kernels/optim.hpp"

#include "kernels/common/gpu/vector.cuh"

namespace akin {

namespace {

constexpr int kBlock = 256, kEach = kPack<float>, kChunk = kBlock * kEach;

/// What the elements of one range share in this step.
struct Piece {
  float decay, rate;
};

struct Sgd {
  float momentum;
  bool nesterov;
  float rate, scale;  // of this step
  __device__ void load(const OptimParams& s, float clip) {
    rate = s.rate;
    scale = s.grad_scale * clip;
  }
  __device__ Piece piece(double decay, double times) const {
    return {static_cast<float>(decay), rate * static_cast<float>(times)};
  }
  __device__ void operator()(const Piece& piece, float& p, float g, float& m, float&) const {
    const float d = scale * g + piece.decay * p;
    if (momentum == 0) {
      p -= piece.rate * d;
      return;
    }
    m = momentum * m + d;
    p -= piece.rate * (nesterov ? d + momentum * m : m);
  }
};

struct AdamW {
  float beta1, beta2, rest1, rest2, eps;
  float rate, root, scale;
  double lr;
  __device__ void load(const OptimParams& s, float clip) {
    rate = s.rate;
    root = s.root;
    scale = s.grad_scale * clip;
    lr = s.lr;
  }
  __device__ Piece piece(double decay, double times) const {
    return {static_cast<float>(1 - lr * times * decay), rate * static_cast<float>(times)};  // the factor that is kept
  }
  __device__ void operator()(const Piece& piece, float& p, float g, float& m, float& v) const {
    const float d = scale * g;
    m = beta1 * m + rest1 * d;
    v = beta2 * v + rest2 * d * d;
    p = piece.decay * p - piece.rate * m / (sqrtf(v) * root + eps);
  }
};

/// m and v may be nullptr where the rule has no use for them.
template <class Rule>
__global__ void __launch_bounds__(kBlock)
    step_kernel(std::int64_t n, Rule rule, const OptimParams* params, GradClip clip, const OptimRange* ranges, int R,
                float* p, const float* g, float* m, float* v, bf16* shadow, bool packs) {
  AKIN_SHARED(float, factor, [1]);
  if (threadIdx.x == 0) {
    double f = 1;
    if (clip.square_sum != nullptr) f = clip.max_norm / (sqrt(*clip.square_sum) + 1e-6);
    factor[0] = f > 1 ? 1.0f : static_cast<float>(f);  // NaN stays NaN
  }
  __syncthreads();
  rule.load(*params, factor[0]);
  int r = 0;
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * kChunk; base < n;
       base += static_cast<std::int64_t>(gridDim.x) * kChunk) {
    while (r < R && ranges[r].end <= base) ++r;
    const bool outside = r == R || ranges[r].begin >= base + kChunk;
    const bool inside = !outside && ranges[r].begin <= base && base + kChunk <= ranges[r].end;
    const Piece common = inside ? rule.piece(ranges[r].decay, ranges[r].rate) : rule.piece(0, 1);
    const auto piece_of = [&](std::int64_t i) {
      if (outside || inside) return common;
      int k = r;
      while (k < R && ranges[k].end <= i) ++k;
      return k < R && ranges[k].begin <= i ? rule.piece(ranges[k].decay, ranges[k].rate) : rule.piece(0, 1);
    };
    if (packs && base + kChunk <= n) {
      const std::int64_t i = base + static_cast<std::int64_t>(threadIdx.x) * kEach;
      Pack<float> pp = load_pack(p + i), pm{}, pv{};
      const Pack<float> pg = load_pack(g + i);
      if (m != nullptr) pm = load_pack(m + i);
      if (v != nullptr) pv = load_pack(v + i);
#pragma unroll
      for (int k = 0; k < kEach; ++k) rule(piece_of(i + k), pp.v[k], pg.v[k], pm.v[k], pv.v[k]);
      store_pack(p + i, pp);
      if (m != nullptr) store_pack(m + i, pm);
      if (v != nullptr) store_pack(v + i, pv);
      if (shadow != nullptr) {
        struct alignas(8) Half {
          bf16 v[kEach];
        } low;
#pragma unroll
        for (int k = 0; k < kEach; ++k) low.v[k] = float_to_bf16(pp.v[k]);
        *reinterpret_cast<Half*>(shadow + i) = low;
      }
    } else {
      for (std::int64_t i = base + threadIdx.x; i < base + kChunk && i < n; i += kBlock) {
        float pi = p[i], mi = m == nullptr ? 0.0f : m[i], vi = v == nullptr ? 0.0f : v[i];
        rule(piece_of(i), pi, g[i], mi, vi);
        p[i] = pi;
        if (m != nullptr) m[i] = mi;
        if (v != nullptr) v[i] = vi;
        if (shadow != nullptr) shadow[i] = float_to_bf16(pi);
      }
    }
  }
}

__global__ void set_params_kernel(OptimParams values, OptimParams* to) { *to = values; }

template <class Rule>
void run_step(const char* name, const Stream<ThisGpu>& stream, std::int64_t n, const Rule& rule,
              const OptimParams* params, const GradClip& clip, const OptimRange* ranges, std::int64_t R, float* p,
              const float* g, float* m, float* v, bf16* shadow) {
  AKIN_CHECK(R >= 0 && R <= 0x7fffffff, "{}: {} ranges", name, R);
  if (n > 0)
    launch(name, step_kernel<Rule>, {.grid = blocks_for(stream, n, kChunk), .block = kBlock}, stream, n, rule, params,
           clip, ranges, R, p, g, m, v, shadow, aligned16(p, g, m, v, shadow));
}

}  // namespace

template <class Gpu>
void set_params(const Stream<Gpu>& stream, const OptimParams& values, OptimParams* to) {
  launch("set_params", set_params_kernel, {}, stream, values, to);
}

template <class Gpu>
void sgd_step(const Stream<Gpu>& stream, std::int64_t n, const OptimParams* params, double momentum, bool nesterov,
              const GradClip& clip, const OptimRange* ranges, std::int64_t R, float* p, const float* g, float* m,
              bf16* shadow) {
  AKIN_CHECK(!nesterov || momentum > 0, "sgd_step: Nesterov needs a momentum above 0, found {}", momentum);
  AKIN_CHECK(momentum == 0 || m != nullptr || n == 0, "sgd_step: momentum {} without a momentum arena", momentum);
  const Sgd rule{.momentum = static_cast<float>(momentum), .nesterov = nesterov, .rate = 0, .scale = 0};
  run_step("sgd_step", stream, n, rule, params, clip, ranges, R, p, g, momentum == 0 ? nullptr : m, nullptr, shadow);
}

template <class Gpu>
void adamw_step(const Stream<Gpu>& stream, std::int64_t n, const OptimParams* params, double beta1, double beta2,
                double eps, const GradClip& clip, const OptimRange* ranges, std::int64_t R, float* p, const float* g,
                float* m, float* v, bf16* shadow) {
  const AdamW rule{.beta1 = static_cast<float>(beta1),
                   .beta2 = static_cast<float>(beta2),
                   .rest1 = static_cast<float>(1 - beta1),
                   .rest2 = static_cast<float>(1 - beta2),
                   .eps = static_cast<float>(eps),
                   .rate = 0,
                   .root = 0,
                   .scale = 0,
                   .lr = 0};
  run_step("adamw_step", stream, n, rule, params, clip, ranges, R, p, g, m, v, shadow);
}

using S = Stream<ThisGpu>;
template void set_params<ThisGpu>(const S&, const OptimParams&, OptimParams*);
template void sgd_step<ThisGpu>(const S&, std::int64_t, const OptimParams*, double, bool, const GradClip&,
                                const OptimRange*, std::int64_t, float*, const float*, float*, bf16*);
template void adamw_step<ThisGpu>(const S&, std::int64_t, const OptimParams*, double, double, double, const GradClip&,
                                  const OptimRange*, std::int64_t, float*, const float*, float*, float*, bf16*);

}  // namespace akin
