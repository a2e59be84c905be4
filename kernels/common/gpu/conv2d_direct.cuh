// conv2d with few channels on tensor cores, forward and data gradient: 3 x 3 windows, 16, 32 or 64 channels on either
// side, or up to 8 going in. An implicit product would fetch each pixel nine times and spend its instructions on
// addresses; here a block fetches a tile of pixels once, with those around it (common/gpu/halo.cuh), while it works on
// the tile before, and keeps all weights on the chip: in registers where 16 channels meet 16, else in shared memory.
//
// A warp makes 16 positions at a time: two runs of eight neighbours in a row. Output channels are dealt to the
// columns of the products so that a lane ends with 4 or 8 neighbouring ones, which it stores at once.
//
// The data gradient with stride 1 is the same product of dy with the taps reversed. With stride 2 (Spread) a position
// of dy becomes 2 x 2 pixels of dx, which 1, 2, 2 and 4 of the taps reach; they see the position itself and the next
// one right and below.
#pragma once

#include "kernels/activation.hpp"
#include "kernels/common/gpu/conv2d_direct.hpp"
#include "kernels/common/gpu/halo.cuh"
#include "kernels/common/gpu/moments.cuh"

namespace akin {

namespace {

using gpu::HaloPlan;
using gpu::HaloWindow;

/// What else a kernel does: makes 2 x 2 pixels of a position; leaves statistics of its results; or masks them and
/// leaves sums, for a batch norm whose ReLU is told from its input, or from its output.
enum class Way { plain, spread, moments, norm_x, norm_y };

/// CI channels are read (8: up to 8) and CO made.
template <int CI, int CO, int Stride, Way kWay>
struct Direct {
  static constexpr int kIn = CI, kOut = CO, kStride = Stride;
  static constexpr bool kSpread = kWay == Way::spread, kMoments = kWay == Way::moments;
  static constexpr bool kNorm = kWay == Way::norm_x || kWay == Way::norm_y, kMaskFromY = kWay == Way::norm_y;
  static constexpr int kChunks = CI / 8;                    ///< 16 bytes of a pixel
  static constexpr int kSteps = CI == 8 ? 5 : 9 * CI / 16;  ///< of 16 products; with 8 channels a step has two taps
  static constexpr int kLine =
      (2 * kSteps + 1) * 16;  ///< bytes of an output channel's weights: an odd number of chunks
  static constexpr int kWarpsN = CO == 64 ? 2 : 1, kWarpsM = kHaloBlock / 32 / kWarpsN;
  static constexpr int kTiles = CO / kWarpsN / 8;  ///< of 8 channels that a warp makes
  static constexpr int kClasses = kSpread ? 4 : 1;
  static constexpr bool kHeld = kSteps * kTiles <= 20;  ///< weights in registers
  /// Products of 16 positions that a warp makes, and how many at once.
  static constexpr int kProducts = kWarpsN == 1 && (CI == 64 || Stride == 2 || kSpread) ? 2 : 4;
  static constexpr int kAtOnce =
      kHeld || kNorm || (kSpread && CO > 16) || (kMoments && Stride == 2 && CO == 32) ? 1 : 2;
  static constexpr int kRuns = kWarpsM * 2 * kProducts;
  static constexpr int kBlocks = CI == 64 || CO == 64 || (kSpread && CO > 16) ? 1 : 2;
  static_assert(kRuns <= gpu::kMostRuns);
};

/// Line of an output channel's weights: 4 or 8 neighbours go to one lane of a product's result.
template <class D>
__device__ __forceinline__ int weight_line(int channel) {
  constexpr int mine = 2 * D::kTiles, warp = 4 * mine;
  const int rest = channel % warp;
  return channel / warp * warp + rest % mine / 2 * 8 + rest / mine * 2 + rest % 2;
}

/// Weights [K,3,3,C] to lines of shared memory. `gradient`: K are the channels that are read.
template <class D>
__device__ __forceinline__ void fetch_weights(const bf16* w, int C, bool gradient, unsigned char* to) {
  const int thread = static_cast<int>(threadIdx.x);
  const auto at = [&](int channel, int tap, int in) {
    return reinterpret_cast<bf16*>(to + weight_line<D>(channel) * D::kLine + (tap * D::kIn + in) * 2);
  };
  if constexpr (D::kIn == 8) {
    for (int i = thread; i < D::kOut * 80; i += kHaloBlock) {  // the tenth tap is zero
      const int channel = i / 80, tap = i % 80 / 8, c = i % 8;
      *at(channel, tap, c) = tap < 9 && c < C ? w[(channel * 9 + tap) * C + c] : bf16{};
    }
  } else if (!gradient) {
    for (int i = thread; i < D::kOut * 9 * D::kChunks; i += kHaloBlock)
      store_pack(at(i / (9 * D::kChunks), 0, i % (9 * D::kChunks) * 8), load_pack(w + i * 8));
  } else {
    constexpr int kPacks = D::kOut / 8;
    for (int i = thread; i < D::kIn * 9 * kPacks; i += kHaloBlock) {
      const int in = i / (9 * kPacks), tap = i / kPacks % 9, channel = i % kPacks * 8;
      const Pack<bf16> v = load_pack(w + i * 8);
#pragma unroll
      for (int e = 0; e < 8; ++e) *at(channel + e, D::kSpread ? tap : 8 - tap, in) = v.v[e];
    }
  }
}

/// What a tap sees, as rows and columns from a position's first pixel.
struct Tap {
  int r, s;
};
template <class D>
__device__ __forceinline__ constexpr Tap tap_of(int tap) {
  if (D::kSpread) return {tap / 3 == 0 ? 1 : 0, tap % 3 == 0 ? 1 : 0};
  return {tap / 3, tap % 3};
}
/// Pixel of a position's 2 x 2 that a tap reaches.
template <class D>
__device__ __forceinline__ constexpr int class_of(int tap) {
  return D::kSpread ? (tap / 3 == 1 ? 0 : 2) + (tap % 3 == 1 ? 0 : 1) : 0;
}

/// Bytes from a run's first pixel to the chunk that this lane gives ldmatrix.
template <class D>
class LanePixels {
 public:
  __device__ __forceinline__ explicit LanePixels(const HaloTiles& g) {
    const int lane = static_cast<int>(threadIdx.x) % 32, low = lane % 8, half = lane / 16;
    line_ = g.pitch * D::kChunks * 16;
    const auto column = [&](int s) { return low + halo_column<D::kStride>(g, s); };
    if constexpr (D::kIn == 8) {
#pragma unroll
      for (int i = 0; i < D::kSteps; ++i) {
        const int tap = min(2 * i + half, 8);
        at_[i] = tap / 3 * line_ + column(tap % 3) * 16;
        keep(at_[i]);
      }
    } else {
#pragma unroll
      for (int s = 0; s < kColumns; ++s) {
        at_[s] = halo_chunk<D::kChunks>(column(s), half);
        keep(at_[s]);
      }
    }
  }
  /// Of step `k` of the 16-channel steps of a tap; with 8 channels of step k alone.
  __device__ __forceinline__ int at(Tap tap, int k) const {
    if constexpr (D::kIn == 8) return at_[k];
    return tap.r * line_ + (at_[tap.s] ^ (k * 32));  // what is exchanged is less than a pixel
  }

 private:
  static constexpr int kColumns = D::kSpread ? 2 : 3;
  int line_;
  int at_[D::kIn == 8 ? D::kSteps : kColumns];
};

/// The weights of 16 products and two tiles of channels, as mma takes them.
template <class D>
class LaneWeights {
 public:
  __device__ __forceinline__ LaneWeights(unsigned char* lines, int first_line) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    at_ = shared_address(lines + (first_line + lane / 16 * 8 + lane % 8) * D::kLine + lane / 8 % 2 * 16);
    keep(at_);
    if constexpr (D::kHeld)
#pragma unroll
      for (int i = 0; i < D::kSteps; ++i)
#pragma unroll
        for (int j = 0; j < D::kTiles / 2; ++j) ldmatrix_x4(held_[i][j], at_ + j * 16 * D::kLine + i * 32);
  }
  __device__ __forceinline__ void get(std::uint32_t (&b)[4], int step, int pair) const {
    if constexpr (D::kHeld)
#pragma unroll
      for (int i = 0; i < 4; ++i) b[i] = held_[step][pair][i];
    else
      ldmatrix_x4(b, at_ + pair * 16 * D::kLine + step * 32);
  }

 private:
  SharedAddress at_;
  std::uint32_t held_[D::kHeld ? D::kSteps : 1][D::kHeld ? D::kTiles / 2 : 1][4];
};

/// The results of a tile.
struct DirectResult {
  bf16* y;
  int rows, columns;  ///< of an image
  Accum mode;
  float* moments;  ///< where the statistics of the blocks go, or nullptr
};

/// What a batch norm had where this lane makes the gradient of its output.
template <class D>
struct Beside {
  Packed<bf16, 2 * D::kTiles> x{}, y{};
  __device__ __forceinline__ void load(const NormGradient<bf16>& norm, std::int64_t at) {
    x = *reinterpret_cast<const Packed<bf16, 2 * D::kTiles>*>(norm.x + at);
    if constexpr (D::kMaskFromY) y = *reinterpret_cast<const Packed<bf16, 2 * D::kTiles>*>(norm.y + at);
  }
};

/// Leaves of the gradients v, as they are stored, those where the ReLU let something through, and sums them.
template <class D, int Channels>
__device__ __forceinline__ void mask(Packed<bf16, 2 * D::kTiles>& v, const Beside<D>& beside,
                                     const float (&norms)[3][Channels], int channel, LaneSums<D::kTiles>& sums) {
#pragma unroll
  for (int j = 0; j < D::kTiles; ++j) {
    float du[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int c = channel + 2 * j + e;
      const float x = beside.x[2 * j + e] - norms[0][c];
      const float y = D::kMaskFromY ? beside.y[2 * j + e] : fmaf(x, norms[1][c], norms[2][c]);  // as in the forward
      du[e] = activation_gradient(Activation::relu, y, v[2 * j + e]);
      sums.add(2 * j + e, du[e], x);
    }
    v.word[j] = bf16_pair(du[0], du[1]);
  }
}

template <class D>
__global__ void __launch_bounds__(kHaloBlock, D::kBlocks)
    conv2d_direct(const HaloTiles g, const bf16* x, const bf16* w, bool gradient, DirectResult to,
                  const NormGradient<bf16> norm, int buffer) {
  AKIN_DYNAMIC_SHARED(unsigned char, shared);
  AKIN_SHARED(HaloRun, runs, [gpu::kMostRuns]);
  constexpr int kWeights = (D::kOut * D::kLine + 127) / 128 * 128;
  unsigned char* pixels = shared + kWeights;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  const int warp_m = thread / 32 / D::kWarpsN, warp_n = thread / 32 % D::kWarpsN;

  constexpr int step = D::kSpread ? 2 : 1, kMine = 2 * D::kTiles;  // channels of a lane, side by side
  if (thread < D::kRuns) runs[thread] = halo_run<D::kChunks, D::kStride>(g, thread, to.rows, to.columns, step, D::kOut);
  fetch_weights<D>(w, g.C, gradient, shared);
  AKIN_SHARED(float, norms, [3][D::kNorm ? D::kOut : 1]);  // mean, scale, beta
  if constexpr (D::kNorm)
    if (thread < D::kOut) {
      norms[0][thread] = norm.mean[thread];
      norms[1][thread] = norm.gamma[thread] * norm.invstd[thread];
      norms[2][thread] = norm.beta[thread];
    }
  if constexpr (D::kIn == 8)
    if (g.C < 8)  // channels that are not there
      for (int i = thread; i < 2 * buffer / 16; i += kHaloBlock)
        store_pack(reinterpret_cast<bf16*>(pixels + i * 16), Pack<bf16>{});
  __syncthreads();
  const LaneWeights<D> weights(shared, warp_n * D::kTiles * 8);
  const LanePixels<D> seen(g);
  const ImageLoader<D::kIn, D::kStride> images(g, pixels);
  const auto load = [&](int tile, int half) {
    images.load(g, x, tile, half * buffer);
    cp_async_commit();
  };

  [[maybe_unused]] LaneMoments<D::kTiles> moments;
  [[maybe_unused]] LaneSums<D::kTiles> sums;
  const int channel = warp_n * (D::kTiles * 8) + lane % 4 * kMine;  // the first of a lane
  int half = 0;
  load(static_cast<int>(blockIdx.x), 0);
  for (int tile = static_cast<int>(blockIdx.x); tile < g.tiles; tile += static_cast<int>(gridDim.x), half ^= 1) {
    load(tile + static_cast<int>(gridDim.x), half ^ 1);
    cp_async_wait<1>();
    __syncthreads();
    const HaloCorner corner = halo_corner(g, tile);
    const std::int64_t first_result =
        ((std::int64_t{corner.n} * to.rows + corner.p * step) * to.columns + corner.q * step) * D::kOut + channel;
    bf16* results = to.y + first_result;
    Place limits[D::kClasses];
#pragma unroll
    for (int c = 0; c < D::kClasses; ++c)
      limits[c] = Place::limit(g.N - corner.n, (D::kSpread ? (to.rows + 1 - c / 2) / 2 : g.P) - corner.p,
                               (D::kSpread ? (to.columns + 1 - c % 2) / 2 : g.Q) - corner.q);
    const SharedAddress first = shared_address(pixels) + half * buffer;
#pragma unroll
    for (int m0 = 0; m0 < D::kProducts; m0 += D::kAtOnce) {
      float sum[D::kAtOnce][D::kClasses][D::kTiles][4] = {};
      SharedAddress at[D::kAtOnce];
#pragma unroll
      for (int m = 0; m < D::kAtOnce; ++m)
        at[m] = first + runs[(warp_m * D::kProducts + m0 + m) * 2 + lane / 8 % 2].pixel;
      [[maybe_unused]] Beside<D> beside[D::kAtOnce][2];  // under way while the products are made
      if constexpr (D::kNorm)
#pragma unroll
        for (int m = 0; m < D::kAtOnce; ++m)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const HaloRun run = runs[(warp_m * D::kProducts + m0 + m) * 2 + h];
            if (run.place.right(lane / 4).below(limits[0]))
              beside[m][h].load(norm, first_result + run.result + lane / 4 * D::kOut);
          }
      const auto multiply = [&](const std::uint32_t(&a)[D::kAtOnce][4], int tap, int w_step) {
#pragma unroll
        for (int j = 0; j < D::kTiles / 2; ++j) {
          std::uint32_t b[4];
          weights.get(b, w_step, j);
#pragma unroll
          for (int m = 0; m < D::kAtOnce; ++m) {
            float(&c)[D::kTiles][4] = sum[m][class_of<D>(tap)];
            mma_m16n8k16_bf16(c[2 * j], a[m], b, c[2 * j]);
            mma_m16n8k16_bf16(c[2 * j + 1], a[m], b + 2, c[2 * j + 1]);
          }
        }
      };
      if constexpr (D::kIn == 8) {
#pragma unroll
        for (int i = 0; i < D::kSteps; ++i) {
          std::uint32_t a[D::kAtOnce][4];
#pragma unroll
          for (int m = 0; m < D::kAtOnce; ++m) ldmatrix_x4(a[m], at[m] + seen.at({}, i));
          multiply(a, 0, i);
        }
      } else {
        constexpr int kInSteps = D::kIn / 16, kSide = D::kSpread ? 2 : 3;
#pragma unroll
        for (int r = 0; r < kSide; ++r)
#pragma unroll
          for (int s = 0; s < kSide; ++s)
#pragma unroll
            for (int k = 0; k < kInSteps; ++k) {
              std::uint32_t a[D::kAtOnce][4];
#pragma unroll
              for (int m = 0; m < D::kAtOnce; ++m) ldmatrix_x4(a[m], at[m] + seen.at({r, s}, k));
#pragma unroll
              for (int tap = 0; tap < 9; ++tap)
                if (tap_of<D>(tap).r == r && tap_of<D>(tap).s == s) multiply(a, tap, tap * kInSteps + k);
            }
      }
      if constexpr (D::kMoments)
        if (m0 == 0 && tile == static_cast<int>(blockIdx.x))
          moments.start(sum[0][0], runs[warp_m * D::kProducts * 2].place.below(limits[0]));
#pragma unroll
      for (int m = 0; m < D::kAtOnce; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const HaloRun run = runs[(warp_m * D::kProducts + m0 + m) * 2 + h];
          const Place place = run.place.right(lane / 4);
#pragma unroll
          for (int c = 0; c < D::kClasses; ++c) {
            if (!place.below(limits[c])) continue;
            const int offset = run.result + (lane / 4 * step + c / 2 * to.columns + c % 2) * D::kOut;
            auto* y = reinterpret_cast<Packed<bf16, 2 * D::kTiles>*>(results + offset);
            Packed<bf16, 2 * D::kTiles> v;
            int adds = D::kMoments ? 0 : static_cast<int>(to.mode == Accum::add);
            if constexpr (!D::kMoments) keep(adds);  // else all that follows is made twice
            if (adds != 0) {
              v = *y;
#pragma unroll
              for (int j = 0; j < D::kTiles; ++j)
                sum[m][c][j][2 * h] += v[2 * j], sum[m][c][j][2 * h + 1] += v[2 * j + 1];
            }
#pragma unroll
            for (int j = 0; j < D::kTiles; ++j) v.word[j] = bf16_pair(sum[m][c][j][2 * h], sum[m][c][j][2 * h + 1]);
            if constexpr (D::kNorm) mask<D>(v, beside[m][h], norms, channel, sums);
            *y = v;
            if constexpr (D::kMoments) moments.add(v);
          }
        }
    }
    __syncthreads();  // nobody reads the buffer any more that is filled next
  }
  cp_async_wait<0>();
  if constexpr (D::kMoments) {
    AKIN_SHARED(float, means, [D::kWarpsM][D::kOut]);
    AKIN_SHARED(float, squares, [D::kWarpsM][D::kOut]);
    AKIN_SHARED(float, counts, [D::kWarpsM]);
    moments.join(means[warp_m] + warp_n * (D::kTiles * 8), squares[warp_m] + warp_n * (D::kTiles * 8),
                 warp_n == 0 ? counts + warp_m : nullptr);
    __syncthreads();
    write_moments(means, squares, counts, to.moments);
  }
  if constexpr (D::kNorm) {
    AKIN_SHARED(float, totals, [D::kWarpsM][D::kOut]);
    AKIN_SHARED(float, dots, [D::kWarpsM][D::kOut]);
    sums.join(totals[warp_m] + warp_n * (D::kTiles * 8), dots[warp_m] + warp_n * (D::kTiles * 8));
    __syncthreads();
    write_sums(totals, dots, norm.sums);
  }
}

template <class D>
bool start(const Stream<ThisGpu>& stream, const char* name, const HaloWindow& window, std::int64_t C, const bf16* x,
           const bf16* w, bool gradient, const DirectResult& to, PartMoments* moments, NormGradient<bf16>* norm) {
  constexpr std::int64_t weights = (D::kOut * D::kLine + 127) / 128 * 128, pixel = D::kChunks * 16;
  const std::int64_t room = direct_room(*stream.limits, D::kBlocks, kStaticShared) - weights;
  // Buffers are rounded up to 128 bytes: 8 pixels of 16.
  const HaloPlan plan =
      gpu::plan_halo(window, D::kRuns, room / 2 / pixel - 8, kHaloBlock / (D::kIn == 8 ? C : D::kChunks));
  if (!worth_it(plan, *stream.limits)) return false;
  const std::int64_t buffer = (plan.pixels() * pixel + 127) / 128 * 128;
  const std::int64_t blocks =
      std::min<std::int64_t>(plan.tiles, std::int64_t{stream.limits->multiprocessors} * D::kBlocks);
  launch(name, conv2d_direct<D>,
         {.grid = blocks, .block = kHaloBlock, .shared = static_cast<std::size_t>(weights + 2 * buffer)}, stream,
         halo_tiles(window, plan, C), x, w, gradient, to, norm == nullptr ? NormGradient<bf16>{} : *norm,
         static_cast<int>(buffer));
  if (moments != nullptr) moments->parts = blocks;
  if (norm != nullptr) norm->parts = blocks;
  return true;
}

}  // namespace
}  // namespace akin
