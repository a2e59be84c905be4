// conv2d with few channels, data gradient: see common/gpu/conv2d_direct.cuh.
#include "kernels/common/gpu/conv2d_direct.cuh"

namespace akin {

template <class Gpu>
bool conv2d_direct_bwd_data(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* dy, const bf16* w, bf16* dx,
                            Accum mode, NormGradient<bf16>* norm) {
  if (!is_direct(s) || s.C < 16 || !aligned16(dy, w, dx)) return false;
  const DirectResult to{dx, static_cast<int>(s.H), static_cast<int>(s.W), mode, nullptr};
  constexpr const char* name = "conv2d_direct_bwd_data";
  const bool spread = s.stride == 2;
  // With stride 2 positions are those of dy, whose windows reach to the next one.
  const HaloWindow window = spread ? HaloWindow{s.N, s.P(), s.Q(), s.P(), s.Q(), 1, 0, 2}
                                   : HaloWindow{s.N, s.P(), s.Q(), s.H, s.W, 1, 2 - s.pad, 3};
  if (spread && (s.pad != 1 || s.P() != (s.H + 1) / 2 || s.Q() != (s.W + 1) / 2)) return false;
  if (norm != nullptr && (spread || !aligned16(norm->x, norm->y))) norm = nullptr;
  return with_direct_channels(s.K, s.C, [&]<int CI, int CO>() {
    const auto with_way = [&]<Way kWay>() {
      return start<Direct<CI, CO, 1, kWay>>(stream, name, window, s.K, dy, w, true, to, nullptr, norm);
    };
    if constexpr (CI < 16)
      return false;
    else if (spread)
      return with_way.template operator()<Way::spread>();
    else if (norm == nullptr)
      return with_way.template operator()<Way::plain>();
    else if (norm->y == nullptr)
      return with_way.template operator()<Way::norm_x>();
    else
      return with_way.template operator()<Way::norm_y>();
  });
}

template bool conv2d_direct_bwd_data<ThisGpu>(const Stream<ThisGpu>&, const Conv2dShape&, const bf16*, const bf16*,
                                              bf16*, Accum, NormGradient<bf16>*);

}  // namespace akin
