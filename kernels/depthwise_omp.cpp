// depthwise by hand, in float: vectors of neighbouring channels, sums in registers; bf16 is widened as rows are copied
// and rounded as results are stored. Forward and data gradient are one loop: outputs j of a row, `out_step` pixels
// apart, each the sum over rows and taps u of in[in_first + j in_step + u] times a weight. The data gradient with a
// stride serves the input pixels of one remainder after another, as conv2d.cu does: those see dy with stride 1 through
// every stride-th tap, reversed.
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/common/parallel.hpp"
#include "kernels/depthwise.hpp"

namespace akin::fast {

namespace {

constexpr std::int64_t kGrainElements = 1 << 14;
template <class T>
constexpr std::int64_t kLine = 64 / sizeof(T);  // elements of a cache line

template <int B>
struct Lanes {
  typedef float Vector __attribute__((vector_size(B * 4), aligned(4), may_alias));
  typedef float Aligned __attribute__((vector_size(B * 4)));  // a template's argument loses aligned(4)
  typedef std::uint32_t Bits __attribute__((vector_size(B * 4)));
  typedef std::uint16_t Halves __attribute__((vector_size(B * 2)));
};
template <>
struct Lanes<1> {
  typedef float Vector;
};
template <int B>
using Vector = typename Lanes<B>::Vector;

template <int B>
const Vector<B>& at(const float* p) {
  return *reinterpret_cast<const Vector<B>*>(p);
}
template <int B>
Vector<B>& at(float* p) {
  return *reinterpret_cast<Vector<B>*>(p);
}

/// B outputs beside each other.
template <int B>
void put(float* to, const Vector<B>& sum, Accum mode) {
  Vector<B>& y = at<B>(to);
  y = mode == Accum::add ? y + sum : sum;
}
/// As float_to_bf16() rounds, for a whole vector.
template <int B>
void put(bf16* to, const Vector<B>& sum, Accum mode) {
  if constexpr (B == 1) {
    store(*to, sum, mode);
  } else {
    using Bits = typename Lanes<B>::Bits;
    using Halves = typename Lanes<B>::Halves;
    using Aligned = typename Lanes<B>::Aligned;
    Aligned value = sum;
    Halves halves;
    if (mode == Accum::add) {
      std::memcpy(&halves, to, sizeof halves);
      const Bits held = __builtin_convertvector(halves, Bits) << 16;
      value += std::bit_cast<Aligned>(held);
    }
    const auto u = std::bit_cast<Bits>(value);
    const Bits rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    halves = __builtin_convertvector((u & 0x7fffffffu) > 0x7f800000u ? 0x7fffu + Bits{} : rounded, Halves);
    std::memcpy(to, &halves, sizeof halves);
  }
}

/// Zeros that begin on a cache line, so that vectors do not lie across two.
class Floats {
 public:
  explicit Floats(std::int64_t n) : memory_(static_cast<std::size_t>(n + 15), 0.0f) {
    first_ = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64 / sizeof(float);
  }
  float* data() const { return first_; }

 private:
  std::vector<float> memory_;
  float* first_;
};

/// body.operator()<B>(c) for blocks of B channels from c on.
template <class Body>
void for_blocks(std::int64_t C, Body&& body) {
  std::int64_t c = 0;
  for (; c + 16 <= C; c += 16) body.template operator()<16>(c);
  for (; c + 8 <= C; c += 8) body.template operator()<8>(c);
  for (; c < C; ++c) body.template operator()<1>(c);
}

std::int64_t up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// An input row that an output row sees, and the weights [S,C] of the taps that look at it.
struct Seen {
  const float *in, *w;
};

/// How the outputs of a row and its inputs lie.
struct Line {
  std::int64_t C;
  std::int64_t outputs, out_first, out_step;
  std::int64_t in_first, in_step;
  std::int64_t taps, w_first, w_step;  ///< tap u has the weights w_first + u w_step
};

/// Rows of images [N,H,W,C] with zeros on both sides, the last few that were asked for: a loop over them needs no case
/// for the edges, and reads memory in order.
template <class T>
class PaddedRows {
 public:
  PaddedRows(const T* images, std::int64_t W, std::int64_t C, std::int64_t left, std::int64_t right, std::int64_t count)
      : images_(images),
        row_(W * C),
        left_(left * C),
        stride_((left + W + right) * C),
        memory_(stride_ * (count + 1)),
        holds_(static_cast<std::size_t>(count), -1) {}

  /// Row h of all images one below the other.
  const float* operator[](std::int64_t h) {
    if constexpr (std::is_same_v<T, float>)
      if (stride_ == row_) return images_ + h * row_;
    const std::int64_t slot = h % static_cast<std::int64_t>(holds_.size());
    float* to = memory_.data() + slot * stride_;
    if (std::exchange(holds_[static_cast<std::size_t>(slot)], h) == h) return to;
    const T* from = images_ + h * row_;
    for (std::int64_t i = 0; i < row_; ++i) to[left_ + i] = widened(from[i]);
    for (std::int64_t i = 0; i < row_; i += kLine<T>) __builtin_prefetch(from + 2 * row_ + i);
    return to;
  }
  const float* zeros() const { return memory_.data() + stride_ * static_cast<std::int64_t>(holds_.size()); }

 private:
  const T* images_;
  std::int64_t row_, left_, stride_;
  Floats memory_;
  std::vector<std::int64_t> holds_;
};

/// J outputs from j on. U = taps, or 0: any number of them.
template <int B, int J, int U, class T>
void outputs(const Line& l, const std::vector<Seen>& rows, std::int64_t c, std::int64_t j, T* out, Accum mode) {
  Vector<B> sum[J] = {};
  const std::int64_t taps = U > 0 ? U : l.taps, in_step = l.in_step * l.C, w_step = l.w_step * l.C;
  const std::int64_t in_first = (l.in_first + j * l.in_step) * l.C + c, w_first = l.w_first * l.C + c;
  for (const Seen& row : rows) {
    const float *in = row.in + in_first, *w = row.w + w_first;
#pragma GCC unroll 5
    for (std::int64_t u = 0; u < taps; ++u, in += l.C, w += w_step)
#pragma GCC unroll 4
      for (int i = 0; i < J; ++i) sum[i] += at<B>(in + i * in_step) * at<B>(w);
  }
  T* to = out + (l.out_first + j * l.out_step) * l.C + c;
#pragma GCC unroll 4
  for (int i = 0; i < J; ++i) put<B>(to + i * l.out_step * l.C, sum[i], mode);
}

template <int U, class T>
void correlate(const Line& l, const std::vector<Seen>& rows, T* out, Accum mode) {
  std::int64_t j = 0;
  for (; j + 4 <= l.outputs; j += 4)
    for_blocks(l.C, [&]<int B>(std::int64_t c) { outputs<B, 4, U>(l, rows, c, j, out, mode); });
  for (; j + 2 <= l.outputs; j += 2)
    for_blocks(l.C, [&]<int B>(std::int64_t c) { outputs<B, 2, U>(l, rows, c, j, out, mode); });
  for (; j < l.outputs; ++j)
    for_blocks(l.C, [&]<int B>(std::int64_t c) { outputs<B, 1, U>(l, rows, c, j, out, mode); });
}

template <class T>
void correlate(const Line& l, const std::vector<Seen>& rows, T* out, Accum mode) {
  switch (l.taps) {
    case 1:
      return correlate<1>(l, rows, out, mode);
    case 2:
      return correlate<2>(l, rows, out, mode);
    case 3:
      return correlate<3>(l, rows, out, mode);
    case 5:
      return correlate<5>(l, rows, out, mode);
    default:
      return correlate<0>(l, rows, out, mode);
  }
}

/// [R,S,C] from [C,R,S].
Floats by_tap(const DepthwiseShape& s, const float* w) {
  const std::int64_t taps = s.R * s.S;
  Floats out(s.w_size());
  for (std::int64_t c = 0; c < s.C; ++c)
    for (std::int64_t t = 0; t < taps; ++t) out.data()[t * s.C + c] = w[c * taps + t];
  return out;
}

/// sums [R,S,C] += those of one row of outputs, for a block of channels and R x S taps. x[r]: the row that tap r looks
/// at, from the column on that the first tap sees first.
template <int B, int R, int S>
void weight_sums(const DepthwiseShape& s, const float* const* x, const float* dy, std::int64_t c, float* sums) {
  Vector<B> sum[R * S];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < S; ++t) sum[r * S + t] = at<B>(sums + (r * s.S + t) * s.C + c);
  const std::int64_t Q = s.Q(), C = s.C, step = s.stride * C;
  for (std::int64_t q = 0; q < Q; ++q) {
    const Vector<B> g = at<B>(dy + q * C + c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float* in = x[r] + q * step + c;
#pragma GCC unroll 8
      for (int t = 0; t < S; ++t) sum[r * S + t] += g * at<B>(in + t * C);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < S; ++t) at<B>(sums + (r * s.S + t) * s.C + c) = sum[r * S + t];
}

/// sums [R,S,C] += those of output rows begin .. end - 1 of N P, in tiles of R x S taps.
template <int R, int S, class T>
void weight_rows(const DepthwiseShape& s, const T* x, const T* dy, std::int64_t begin, std::int64_t end, float* sums) {
  const std::int64_t P = s.P(), Q = s.Q();
  PaddedRows<T> gradients(dy, Q, s.C, 0, 0, 1),
      rows(x, s.W, s.C, s.pad, std::max<std::int64_t>((Q - 1) * s.stride + s.S - s.pad - s.W, 0), s.R);
  for (std::int64_t np = begin; np < end; ++np) {
    // Blocks of channels read this row in strides, which no hardware foresees.
    for (std::int64_t i = 0; i < Q * s.C; i += kLine<T>) __builtin_prefetch(dy + (np + 1) * Q * s.C + i);
    const float* g = gradients[np];
    for (std::int64_t r0 = 0; r0 < s.R; r0 += R)
      for (std::int64_t s0 = 0; s0 < s.S; s0 += S) {
        const float* seen[R];
        for (int r = 0; r < R; ++r) {
          const std::int64_t h = np % P * s.stride + r0 + r - s.pad;
          seen[r] = (h < 0 || h >= s.H ? rows.zeros() : rows[np / P * s.H + h]) + s0 * s.C;
        }
        for_blocks(s.C,
                   [&]<int B>(std::int64_t c) { weight_sums<B, R, S>(s, seen, g, c, sums + (r0 * s.S + s0) * s.C); });
      }
  }
}

}  // namespace

template <class T>
void depthwise_fwd(const DepthwiseShape& s, const T* x, const float* w, T* y) {
  const std::int64_t P = s.P(), Q = s.Q(), right = std::max<std::int64_t>((Q - 1) * s.stride + s.S - s.pad - s.W, 0);
  const Floats taps = by_tap(s, w);
  const Line line{s.C, Q, 0, 1, 0, s.stride, s.S, 0, 1};
  parallel_for(s.N * P, std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(Q * s.C, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 PaddedRows<T> padded(x, s.W, s.C, s.pad, right, s.R);
                 std::vector<Seen> rows;
                 for (std::int64_t np = begin; np < end; ++np) {
                   rows.clear();
                   for (std::int64_t r = 0; r < s.R; ++r) {
                     const std::int64_t h = np % P * s.stride + r - s.pad;
                     if (h >= 0 && h < s.H) rows.push_back({padded[np / P * s.H + h], taps.data() + r * s.S * s.C});
                   }
                   correlate(line, rows, y + np * Q * s.C, Accum::overwrite);
                 }
               });
}

template <class T>
void depthwise_bwd_data(const DepthwiseShape& s, const T* dy, const float* w, T* dx, Accum mode) {
  const std::int64_t P = s.P(), Q = s.Q();
  const Floats taps = by_tap(s, w);
  std::vector<Line> classes;
  std::int64_t left = 0, right = 0;
  for (std::int64_t i = 0; i < std::min(s.stride, s.W); ++i) {
    const std::int64_t first = (i + s.pad) % s.stride, count = first < s.S ? up(s.S - first, s.stride) : 0;
    const Line l{
        s.C,   up(s.W - i, s.stride),          i,        s.stride, (i + s.pad - first) / s.stride - (count - 1), 1,
        count, first + (count - 1) * s.stride, -s.stride};
    left = std::max(left, -l.in_first);
    right = std::max(right, l.in_first + l.outputs - 1 + count - Q);
    classes.push_back(l);
  }
  for (Line& l : classes) l.in_first += left;
  parallel_for(s.N * s.H, std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(s.W * s.C, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 PaddedRows<T> padded(dy, Q, s.C, left, right, up(s.R, s.stride));
                 std::vector<Seen> rows;
                 for (std::int64_t nh = begin; nh < end; ++nh) {
                   rows.clear();
                   const std::int64_t h = nh % s.H + s.pad;
                   for (std::int64_t r = h % s.stride; r < s.R && r <= h; r += s.stride)
                     if (const std::int64_t p = (h - r) / s.stride; p < P)
                       rows.push_back({padded[nh / s.H * P + p], taps.data() + r * s.S * s.C});
                   for (const Line& line : classes) correlate(line, rows, dx + nh * s.W * s.C, mode);
                 }
               });
}

template <class T>
void depthwise_bwd_weight(const DepthwiseShape& s, const T* x, const T* dy, float* dw, Accum mode) {
  // Fixed pieces of rows, each summed in float by one thread, then joined in double in their order.
  const std::int64_t rows = s.N * s.P(), pieces = std::clamp<std::int64_t>(rows / 8, 1, 16), size = s.w_size();
  const Floats sums(pieces * size);
  parallel_for(pieces, std::max<std::int64_t>(1, kGrainElements * pieces / std::max<std::int64_t>(s.y_size(), 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const auto run = s.R == 3 && s.S == 3   ? weight_rows<3, 3, T>
                                    : s.R == 5 && s.S == 5 ? weight_rows<5, 5, T>
                                                           : weight_rows<1, 1, T>;
                   run(s, x, dy, rows * i / pieces, rows * (i + 1) / pieces, sums.data() + i * size);
                 }
               });
  const std::int64_t taps = s.R * s.S;
  for (std::int64_t c = 0; c < s.C; ++c)
    for (std::int64_t t = 0; t < taps; ++t) {
      double total = 0;
      for (std::int64_t i = 0; i < pieces; ++i) total += static_cast<double>(sums.data()[i * size + t * s.C + c]);
      store(dw[c * taps + t], static_cast<float>(total), mode);
    }
}

#define AKIN_INSTANTIATE(T)                                                                   \
  template void depthwise_fwd(const DepthwiseShape&, const T*, const float*, T*);             \
  template void depthwise_bwd_data(const DepthwiseShape&, const T*, const float*, T*, Accum); \
  template void depthwise_bwd_weight(const DepthwiseShape&, const T*, const T*, float*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin::fast
