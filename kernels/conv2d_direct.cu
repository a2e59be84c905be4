// conv2d with few channels, forward: see common/gpu/conv2d_direct.cuh.
#include "kernels/common/gpu/conv2d_direct.cuh"

namespace akin {

template <class Gpu>
bool conv2d_direct_fwd(const Stream<Gpu>& stream, const Conv2dShape& s, const bf16* x, const bf16* w, bf16* y,
                       PartMoments* moments) {
  if (!is_direct(s) || !aligned16(w, y) || (s.C >= 8 && !aligned16(x))) return false;
  constexpr const char* name = "conv2d_direct_fwd";
  const HaloWindow window{s.N, s.H, s.W, s.P(), s.Q(), s.stride, s.pad, 3};
  const DirectResult to{y, static_cast<int>(s.P()), static_cast<int>(s.Q()), Accum::overwrite,
                        moments == nullptr ? nullptr : moments->data};
  return with_direct_channels(s.C, s.K, [&]<int CI, int CO>() {
    const auto with_way = [&]<Way kWay>() {
      if (s.stride == 1)
        return start<Direct<CI, CO, 1, kWay>>(stream, name, window, s.C, x, w, false, to, moments, nullptr);
      return start<Direct<CI, CO, 2, kWay>>(stream, name, window, s.C, x, w, false, to, moments, nullptr);
    };
    return moments == nullptr ? with_way.template operator()<Way::plain>()
                              : with_way.template operator()<Way::moments>();
  });
}

template bool conv2d_direct_fwd<ThisGpu>(const Stream<ThisGpu>&, const Conv2dShape&, const bf16*, const bf16*, bf16*,
                                         PartMoments*);

}  // namespace akin
