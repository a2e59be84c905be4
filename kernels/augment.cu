// augment: a block of 256 threads an image, blocks stride over the batch. Every thread draws the image's eleven numbers
// itself (sixty multiplications, no barrier, no shared memory); then each makes packs of 16 bytes of the output, so
// that stores are whole and neighbours read neighbouring bytes. The source is read through the L1 cache: an image of
// bytes is a few kilobytes, and a bilinear pixel reads four of them. Light needs the mean of the moved image before the
// first value can be written: the block then goes over its pixels twice, which costs arithmetic but no memory traffic.
#include "kernels/augment.hpp"

#include "kernels/common/gpu/reduce.cuh"
#include "kernels/common/gpu/vector.cuh"

namespace akin {

namespace {

constexpr int kBlock = 256, kMaxChannels = 16;

/// What all images of a launch share.
struct AugmentPlan {
  const std::uint8_t* data;
  std::int64_t N;
  int H, W, C, K;
  bool gathered;
  AugmentOptions o;
  std::uint64_t seed;
  float gain[kMaxChannels], bias[kMaxChannels], border[kMaxChannels];  // y = v gain + bias for v in 0..255
};

/// One image of the batch: its source and how it moves.
struct Moved {
  const std::uint8_t* x;
  AugmentParams p;
  double xx, xy, yx, yy;  // the inverse of M, affine moves only
};

/// Element i of an output image.
struct Place {
  int h, w, k;
  __device__ Place(const AugmentPlan& plan, int i) : h(i / (plan.W * plan.K)) {
    const int at = i - h * plan.W * plan.K;
    w = at / plan.K;
    k = at - w * plan.K;
  }
  __device__ void next(const AugmentPlan& plan) {
    if (++k < plan.K) return;
    k = 0;
    if (++w < plan.W) return;
    w = 0;
    ++h;
  }
};

/// Channel k of pixel (h, w), which may lie one step outside, in 0..255.
__device__ __forceinline__ float source_pixel(const AugmentPlan& plan, const std::uint8_t* x, int h, int w, int k) {
  if (h < 0 || w < 0 || h >= plan.H || w >= plan.W) {
    if (plan.o.border != Border::edge) return plan.border[k];
    h = min(max(h, 0), plan.H - 1);
    w = min(max(w, 0), plan.W - 1);
  }
  const std::uint8_t* pixel = x + (static_cast<std::int64_t>(h) * plan.W + w) * plan.C;
  if (plan.C == plan.K) return pixel[k];
  if (plan.C == 1) return pixel[0];
  int sum = 0;
  for (int c = 0; c < plan.C; ++c) sum += pixel[c];
  return static_cast<float>(sum) / static_cast<float>(plan.C);
}

/// What output pixel (h, w) shows, in 0..255.
template <bool Affine>
__device__ __forceinline__ float moved_pixel(const AugmentPlan& plan, const Moved& m, int h, int w, int k) {
  if constexpr (!Affine) {
    int row = h - static_cast<int>(m.p.dy), column = w - static_cast<int>(m.p.dx);
    if (m.p.flip_h) column = plan.W - 1 - column;
    if (m.p.flip_v) row = plan.H - 1 - row;
    return source_pixel(plan, m.x, row, column, k);
  } else {
    const double cx = 0.5 * (plan.W - 1), cy = 0.5 * (plan.H - 1);
    const double u = w - cx - m.p.dx, v = h - cy - m.p.dy;
    // What lies farther out than one pixel looks like the border.
    const float x = fminf(fmaxf(static_cast<float>(cx + m.xx * u + m.xy * v), -1.0f), static_cast<float>(plan.W));
    const float y = fminf(fmaxf(static_cast<float>(cy + m.yx * u + m.yy * v), -1.0f), static_cast<float>(plan.H));
    const int x0 = min(static_cast<int>(x + 1), plan.W), y0 = min(static_cast<int>(y + 1), plan.H);
    const float fx = x + 1 - static_cast<float>(x0), fy = y + 1 - static_cast<float>(y0);
    const float a = source_pixel(plan, m.x, y0 - 1, x0 - 1, k), b = source_pixel(plan, m.x, y0 - 1, x0, k);
    const float c = source_pixel(plan, m.x, y0, x0 - 1, k), d = source_pixel(plan, m.x, y0, x0, k);
    const float top = a + fx * (b - a), low = c + fx * (d - c);
    return top + fy * (low - top);
  }
}

template <class T, bool Affine>
__global__ void __launch_bounds__(kBlock, 2)
    augment_kernel(AugmentPlan plan, const AugmentItem* items, std::int64_t B, T* out, bool packs) {
  AKIN_SHARED(double, scratch, [32]);
  const int n = plan.H * plan.W * plan.K;
  const bool light = plan.o.brightness != 0 || plan.o.contrast != 0;
  for (std::int64_t b = blockIdx.x; b < B; b += gridDim.x) {
    const AugmentItem item = items[b];
    T* y = out + b * n;
    const std::int64_t place = plan.gathered ? b : item.image;
    if (place < 0 || place >= plan.N) {
      for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlock) y[i] = from_float<T>(nanf(""));
      continue;
    }
    Moved m{plan.data + place * plan.H * plan.W * plan.C,
            draw_augment(plan.o, plan.H, plan.W, plan.seed, item.epoch, item.image),
            0,
            0,
            0,
            0};
    if constexpr (Affine) {
      const double angle = m.p.angle, scale = m.p.scale, shear = m.p.shear, f = m.p.flip_h ? -1 : 1,
                   g = m.p.flip_v ? -1 : 1;
      const double c = cos(angle) / scale, s = sin(angle) / scale;
      m.xx = f * (c + shear * s);
      m.xy = f * (s - shear * c);
      m.yx = g * -s;
      m.yy = g * c;
    }
    float mean = 0, base = 0;
    if (light) {
      double sum = 0;
      for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlock) {
        const Place q(plan, i);
        sum += moved_pixel<Affine>(plan, m, q.h, q.w, q.k);
      }
      sum = block_sum(sum, scratch);
      __syncthreads();  // the next image writes scratch again
      mean = static_cast<float>(sum / n);
      base = mean + 255 * m.p.brightness;
    }
    const int top = static_cast<int>(m.p.cut_y) - plan.o.cutout / 2,
              left = static_cast<int>(m.p.cut_x) - plan.o.cutout / 2;
    const auto finished = [&](const Place& q) {
      const bool cut = q.h >= top && q.h < top + plan.o.cutout && q.w >= left && q.w < left + plan.o.cutout;
      float v = moved_pixel<Affine>(plan, m, q.h, q.w, q.k);
      if (light) v = fminf(fmaxf(base + m.p.contrast * (v - mean), 0.0f), 255.0f);
      return cut ? 0.0f : v * plan.gain[q.k] + plan.bias[q.k];
    };
    const int whole = packs ? n / kPack<T> * kPack<T> : 0;
    for (int i = static_cast<int>(threadIdx.x) * kPack<T>; i < whole; i += kBlock * kPack<T>) {
      Pack<T> pack;
      Place q(plan, i);
#pragma unroll
      for (int j = 0; j < kPack<T>; ++j, q.next(plan)) pack.v[j] = from_float<T>(finished(q));
      store_pack(y + i, pack);
    }
    for (int i = whole + static_cast<int>(threadIdx.x); i < n; i += kBlock)
      y[i] = from_float<T>(finished(Place(plan, i)));
  }
}

}  // namespace

template <class Gpu, class T>
void augment(const Stream<Gpu>& stream, const ImageView& x, bool gathered, const AugmentItem* items, std::int64_t B,
             const AugmentOptions& o, const Normalization& norm, std::uint64_t seed, T* out) {
  check_augment(x, o, norm);
  const auto K = static_cast<std::int64_t>(norm.mean.size());
  AKIN_CHECK(K <= kMaxChannels, "augment: {} output channels, at most {} on a GPU", K, kMaxChannels);
  AKIN_CHECK(x.H <= 0x7fffffff / x.W / (K > x.C ? K : x.C), "augment: images of {} x {} x {} are too large for a GPU",
             x.H, x.W, x.C);
  AugmentPlan plan{.data = x.data,
                   .N = x.N,
                   .H = static_cast<int>(x.H),
                   .W = static_cast<int>(x.W),
                   .C = static_cast<int>(x.C),
                   .K = static_cast<int>(K),
                   .gathered = gathered,
                   .o = o,
                   .seed = seed,
                   .gain = {},
                   .bias = {},
                   .border = {}};
  for (std::size_t k = 0; k < norm.mean.size(); ++k) {
    plan.gain[k] = static_cast<float>(1 / (255 * double{norm.std[k]}));
    plan.bias[k] = static_cast<float>(-double{norm.mean[k]} / double{norm.std[k]});
    plan.border[k] = o.border == Border::mean ? 255 * norm.mean[k] : 0.0f;
  }
  // Packs must not cross from image to image.
  const bool packs = aligned16(out) && x.H * x.W * K % kPack<T> == 0;
  const auto kernel = o.affine() ? augment_kernel<T, true> : augment_kernel<T, false>;
  launch("augment", kernel, {.grid = blocks_for(stream, B * kBlock, kBlock, 64), .block = kBlock}, stream, plan, items,
         B, out, packs);
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                             \
  template void augment<ThisGpu, T>(const S&, const ImageView&, bool, const AugmentItem*, std::int64_t, \
                                    const AugmentOptions&, const Normalization&, std::uint64_t, T*);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
