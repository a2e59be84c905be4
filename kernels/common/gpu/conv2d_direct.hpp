// The direct kernels of conv2d for few channels (conv2d_direct.cu, conv2d_direct_weight.cu), which conv2d.cu asks
// first: each says whether it did the work.
#pragma once

#include <algorithm>

#include "kernels/common/gpu/halo_plan.hpp"
#include "kernels/conv2d.hpp"

namespace akin {

/// Of a block, beside what it asks for at its launch: the table of runs, moments, and what the card keeps for itself.
inline constexpr std::int64_t kStaticShared = 16 * gpu::kMostRuns + 2048 + 32 + 3 * 256 + 1024;

inline bool is_direct(const Conv2dShape& s) {
  const auto few = [](std::int64_t channels) { return channels == 16 || channels == 32 || channels == 64; };
  const std::int64_t most = std::int64_t{1} << 24;
  return s.R == 3 && s.S == 3 && (s.stride == 1 || s.stride == 2) && s.pad <= 2 &&
         (few(s.C) || (s.C >= 1 && s.C <= 8)) && few(s.K) && s.N > 0 && s.P() > 0 && s.Q() > 0 && s.H * s.W < most &&
         s.P() * s.Q() < most && s.N < most;
}

/// Bytes that each of `blocks` blocks of a multiprocessor can ask for.
inline std::int64_t direct_room(const GpuLimits& limits, int blocks, std::int64_t kept) {
  // A multiprocessor has 1 KiB more than a block may have.
  return (static_cast<std::int64_t>(limits.shared_per_block) + 1024) / blocks - kept;
}

/// Whether tiles fit, and are enough for a card: with fewer than a quarter of its multiprocessors at work a product
/// over gathered pixels is taken for faster, which no card was asked yet.
inline bool worth_it(const gpu::HaloPlan& plan, const GpuLimits& limits) {
  return plan.tiles > 0 && plan.tiles * 4 >= limits.multiprocessors;
}

/// f.operator()<CI, CO>() for those channel counts.
template <class F>
bool with_direct_channels(std::int64_t in, std::int64_t out, F&& f) {
  const auto with_out = [&]<int CI>() {
    if (out == 16) return f.template operator()<CI, 16>();
    if (out == 32) return f.template operator()<CI, 32>();
    return out == 64 && f.template operator()<CI, 64>();
  };
  if (in <= 8) return with_out.template operator()<8>();
  if (in == 16) return with_out.template operator()<16>();
  if (in == 32) return with_out.template operator()<32>();
  return in == 64 && with_out.template operator()<64>();
}

/// Blocks of a launch.
inline std::int64_t most_direct_blocks(const GpuLimits& limits) { return 2 * std::int64_t{limits.multiprocessors}; }
/// Blocks of the weight gradient a multiprocessor.
constexpr int direct_weight_blocks(std::int64_t K) { return K >= 32 ? 1 : 2; }

/// Floats that the weight gradient wants: 0 where it is not for this shape.
inline std::int64_t conv2d_direct_workspace(const Conv2dShape& s, const GpuLimits& limits) {
  return is_direct(s) ? s.w_size() * limits.multiprocessors * direct_weight_blocks(s.K) : 0;
}

template <class Gpu>
bool conv2d_direct_fwd(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* x, const bf16* w, bf16* y,
                       PartMoments* moments);
template <class Gpu>
bool conv2d_direct_bwd_data(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* dy, const bf16* w, bf16* dx,
                            Accum mode, NormGradient<bf16>* norm);
template <class Gpu>
bool conv2d_direct_bwd_weight(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* x, const bf16* dy, float* dw,
                              Accum mode, float* workspace);

}  // namespace akin
