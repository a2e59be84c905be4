#include "kernels/gemm.hpp"

#include <algorithm>

#include "kernels/common/gpu/tile_plan.hpp"
#include "kernels/common/instantiate.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace fast {

// kernels/gemm_onednn.cpp
template <class In, class Out>
void gemm(OnednnCache& cache, const GemmShape& s, float alpha, const In* A, const In* B, Out* C, Accum mode);

}  // namespace fast

template <class Dev, class In, class Out>
void gemm(const Stream<Dev>& stream, const GemmShape& s, double alpha, const In* A, const In* B, const Full<In>* bias,
          Out* C, Accum mode, float*, PartMoments*) {
  if (bias != nullptr) {
    for (std::int64_t m = 0; m < s.M; ++m)
      for (std::int64_t n = 0; n < s.N; ++n) store(C[m * s.N + n], bias[n], mode);
    mode = Accum::add;
  }
  if constexpr (fast::kOnednn<In>) {
    if (stream.onednn != nullptr && fast::onednn_multiplies<In>())
      return fast::gemm(*stream.onednn, s, static_cast<float>(alpha), A, B, C, mode);
  }
  const auto factor = static_cast<double>(static_cast<Full<In>>(alpha));
  const std::int64_t grain = std::max<std::int64_t>(1, (1 << 15) / std::max<std::int64_t>(s.N * s.K, 1));
  parallel_for(s.M, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t m = begin; m < end; ++m)
      for (std::int64_t n = 0; n < s.N; ++n) {
        double sum = 0;  // float chains of a whole batch would lose digits
        for (std::int64_t k = 0; k < s.K; ++k)
          sum += static_cast<double>(widened(s.a == Trans::no ? A[m * s.K + k] : A[k * s.M + m])) *
                 static_cast<double>(widened(s.b == Trans::no ? B[k * s.N + n] : B[n * s.K + k]));
        store(C[m * s.N + n], static_cast<Full<Out>>(factor * sum), mode);
      }
  });
}

template <class In, class Dev>
std::int64_t gemm_workspace(const Stream<Dev>& stream, const GemmShape& s) {
  if constexpr (std::is_same_v<Dev, Cpu>) {
    return 0;
  } else {
    const auto need = [&](const auto& tiles) {
      return gpu::plan_product(tiles, s.M, s.N, s.K, sizeof(In), true, stream.limits->multiprocessors)
          .workspace(s.M, s.N);
    };
    // Whether the operands are aligned is not known here.
    return std::max(need(gpu::kTilesSlow), std::is_same_v<In, bf16> ? need(gpu::kTilesGemm) : need(gpu::kTilesFloat));
  }
}

#define AKIN_INSTANTIATE(In, Out)                                                                                      \
  template void gemm(const Stream<Cpu>&, const GemmShape&, double, const In*, const In*, const Full<In>*, Out*, Accum, \
                     float*, PartMoments*);
AKIN_INSTANTIATE(float, float)
AKIN_INSTANTIATE(double, double)
AKIN_INSTANTIATE(bf16, float)
AKIN_INSTANTIATE(bf16, bf16)
#undef AKIN_INSTANTIATE
#define AKIN_INSTANTIATE(T, Dev) template std::int64_t gemm_workspace<T>(const Stream<Dev>&, const GemmShape&);
AKIN_FOR_EACH_DEVICE(AKIN_INSTANTIATE)

}  // namespace akin
