// conv2d's weight gradient with few channels on tensor cores (see conv2d_direct.cu): dw[k,tap,c] is the product of dy
// across with x shifted by the tap. A block fetches tiles of dy and of x with the pixels around; a warp makes a part
// of the weights of all nine taps, whose sums stay in registers through the whole launch, from every tile of the block
// or, where there are fewer parts than warps, from its share of the positions. Blocks leave their sums in a workspace;
// sum_parts_of_columns adds them in order, in double.
#include "kernels/common/gpu/columns.cuh"
#include "kernels/common/gpu/conv2d_direct.hpp"
#include "kernels/common/gpu/halo.cuh"

namespace akin {

namespace {

using gpu::HaloPlan;
using gpu::HaloWindow;

constexpr int kWarps = kHaloBlock / 32;

/// x has CI channels (8: up to 8), dy has K.
template <int CI, int Channels, int Stride>
struct DirectWeight {
  static constexpr int kIn = CI, kK = Channels, kStride = Stride;
  static constexpr int kChunks = CI / 8, kDyChunks = Channels / 8;
  static constexpr int kRows = Channels >= 32 ? 32 : 16,
                       kColumns = CI == 8 ? 8 : 16;  ///< of a warp's part, for each tap
  static constexpr int kPartsK = Channels / kRows, kParts = kPartsK * (CI / kColumns), kGroups = kWarps / kParts;
  static constexpr int kBlocks = direct_weight_blocks(Channels);
  static_assert(kParts * kGroups == kWarps);
};

template <class D>
__global__ void __launch_bounds__(kHaloBlock, D::kBlocks)
    conv2d_direct_weight(const HaloTiles gx, const HaloTiles gy, const bf16* x, const bf16* dy, float* part,
                         int x_bytes, int dy_bytes) {
  AKIN_DYNAMIC_SHARED(unsigned char, shared);
  AKIN_SHARED(HaloRun, runs, [gpu::kMostRuns]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int low = lane % 8, bit3 = lane / 8 % 2, bit4 = lane / 16;
  const int group = warp / D::kParts, k0 = warp % D::kPartsK * D::kRows,
            c0 = warp % D::kParts / D::kPartsK * D::kColumns;
  const int buffer = x_bytes + dy_bytes;

  if (thread < gpu::kMostRuns) runs[thread] = halo_run<D::kChunks, D::kStride>(gx, thread, 0, 0, 0, 0);
  // Positions after the last, and channels that are not there, stay zero.
  for (int i = thread; i < 2 * buffer / 16; i += kHaloBlock)
    store_pack(reinterpret_cast<bf16*>(shared + i * 16), Pack<bf16>{});
  __syncthreads();
  const ImageLoader<D::kIn, D::kStride> images(gx, shared);
  const HaloLoader<D::kDyChunks, 1> gradient(gy, shared + x_bytes);
  const auto load = [&](int tile, int half) {
    if (tile < gx.tiles) gradient.load(gy, dy, halo_corner(gx, tile), half * buffer);
    images.load(gx, x, tile, half * buffer);
    cp_async_commit();
  };

  const int line = gx.pitch * D::kChunks * 16;
  int seen[3], across[D::kRows / 16];
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    seen[s] = halo_chunk<D::kChunks>(low + halo_column<D::kStride>(gx, s), D::kIn == 8 ? 0 : c0 / 8 + bit4);
    keep(seen[s]);
  }
#pragma unroll
  for (int i = 0; i < D::kRows / 16; ++i) {
    across[i] = x_bytes + halo_chunk<D::kDyChunks>(8 * bit4 + low, k0 / 8 + 2 * i + bit3);
    keep(across[i]);
  }
  float sum[9][D::kRows / 16][D::kColumns / 8][4] = {};
  int half = 0;
  load(static_cast<int>(blockIdx.x), 0);
  for (int tile = static_cast<int>(blockIdx.x); tile < gx.tiles; tile += static_cast<int>(gridDim.x), half ^= 1) {
    load(tile + static_cast<int>(gridDim.x), half ^ 1);
    cp_async_wait<1>();
    __syncthreads();
    const SharedAddress first = shared_address(shared) + half * buffer;
    for (int run = 2 * group; run < gx.runs; run += 2 * D::kGroups) {
      std::uint32_t a[D::kRows / 16][4];
#pragma unroll
      for (int i = 0; i < D::kRows / 16; ++i) ldmatrix_x4_trans(a[i], first + across[i] + run * (D::kDyChunks * 128));
      const SharedAddress pixel = first + runs[run + bit3].pixel;
#pragma unroll
      for (int tap = 0; tap < 9; ++tap) {
        std::uint32_t b[4];
        const SharedAddress at = pixel + tap / 3 * line + seen[tap % 3];
        if constexpr (D::kIn == 8)
          ldmatrix_x2_trans(b, at);
        else
          ldmatrix_x4_trans(b, at);
#pragma unroll
        for (int i = 0; i < D::kRows / 16; ++i)
#pragma unroll
          for (int j = 0; j < D::kColumns / 8; ++j) mma_m16n8k16_bf16(sum[tap][i][j], a[i], b + 2 * j, sum[tap][i][j]);
      }
    }
    __syncthreads();  // nobody reads the buffer any more that is filled next
  }
  cp_async_wait<0>();

  // Groups one after the other.
  auto* all = reinterpret_cast<float*>(shared);
  for (int turn = 0; turn < D::kGroups; ++turn) {
    if (group == turn)
#pragma unroll
      for (int tap = 0; tap < 9; ++tap)
#pragma unroll
        for (int i = 0; i < D::kRows / 16; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h)
#pragma unroll
            for (int j = 0; j < D::kColumns / 8; ++j) {
              const int k = k0 + 16 * i + 8 * h + lane / 4, c = c0 + 8 * j + lane % 4 * 2;
              auto* to = reinterpret_cast<float2*>(all + (k * 9 + tap) * D::kIn + c);
              float2 v = make_float2(sum[tap][i][j][2 * h], sum[tap][i][j][2 * h + 1]);
              if (turn > 0) v.x += to->x, v.y += to->y;
              *to = v;
            }
    __syncthreads();
  }
  part += static_cast<std::int64_t>(blockIdx.x) * (D::kK * 9 * gx.C);
  for (int i = thread; i < D::kK * 9 * gx.C; i += kHaloBlock)
    part[i] = D::kIn == 8 ? all[i / gx.C * 8 + i % gx.C] : all[i];
}

template <class D>
bool start(const Stream<ThisGpu>& stream, const Conv2dShape& s, const bf16* x, const bf16* dy, float* dw, Accum mode,
           float* workspace) {
  const HaloWindow window{s.N, s.H, s.W, s.P(), s.Q(), s.stride, s.pad, 3};
  constexpr std::int64_t pixel = D::kChunks * 16, position = D::kDyChunks * 16;
  const std::int64_t room = direct_room(*stream.limits, D::kBlocks, kStaticShared);
  const std::int64_t runs = D::kK == 64 ? gpu::kMostRuns / 2 : gpu::kMostRuns;
  // Of a buffer x and dy are rounded up to 128 bytes each.
  const std::int64_t pixels = (room / 2 - 256 - runs * 8 * position) / pixel;
  const HaloPlan plan = gpu::plan_halo(window, runs, pixels, kHaloBlock / (D::kIn == 8 ? s.C : D::kChunks));
  if (!worth_it(plan, *stream.limits)) return false;
  HaloPlan flat = plan;  // dy without a border
  flat.rows = plan.th, flat.cols = flat.pitch = plan.tw;
  const auto whole = [](std::int64_t bytes) { return (bytes + 127) / 128 * 128; };
  const std::int64_t x_bytes = whole(plan.pixels() * pixel), dy_bytes = whole((plan.runs() + 1) / 2 * 16 * position);
  const std::int64_t shared = std::max<std::int64_t>(2 * (x_bytes + dy_bytes), D::kK * 9 * D::kIn * 4);
  if (shared > room) return false;  // the sums of all weights
  const std::int64_t blocks =
      std::min<std::int64_t>(plan.tiles, std::int64_t{stream.limits->multiprocessors} * D::kBlocks);
  launch("conv2d_direct_bwd_weight", conv2d_direct_weight<D>,
         {.grid = blocks, .block = kHaloBlock, .shared = static_cast<std::size_t>(shared)}, stream,
         halo_tiles(window, plan, s.C), halo_tiles({s.N, s.P(), s.Q(), s.P(), s.Q(), 1, 0, 1}, flat, s.K), x, dy,
         workspace, static_cast<int>(x_bytes), static_cast<int>(dy_bytes));
  launch("add_pieces", sum_parts_of_columns<float>, finish_shape(s.w_size()), stream, static_cast<int>(blocks),
         s.w_size(), workspace, dw, mode);
  return true;
}

}  // namespace

template <class Gpu>
bool conv2d_direct_bwd_weight(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* x, const bf16* dy, float* dw,
                              Accum mode, float* workspace) {
  if (workspace == nullptr || !is_direct(s) || !aligned16(dy) || (s.C >= 8 && !aligned16(x))) return false;
  return with_direct_channels(s.C, s.K, [&]<int CI, int K>() {
    if (s.stride == 1) return start<DirectWeight<CI, K, 1>>(stream, s, x, dy, dw, mode, workspace);
    return start<DirectWeight<CI, K, 2>>(stream, s, x, dy, dw, mode, workspace);
  });
}

template bool conv2d_direct_bwd_weight<ThisGpu>(const Stream<ThisGpu>&, const Conv2dShape&, const bf16*, const bf16*,
                                                float*, Accum, float*);

}  // namespace akin
