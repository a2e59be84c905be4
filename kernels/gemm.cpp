#include "kernels/gemm.hpp"

#include <algorithm>

#include "kernels/common/gpu/tile_plan.hpp"
#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace spec {

template <class T>
void gemm(const GemmShape& s, T alpha, const T* A, const T* B, T* C, Accum mode) {
  const std::int64_t grain = std::max<std::int64_t>(1, (1 << 15) / std::max<std::int64_t>(s.N * s.K, 1));
  parallel_for(s.M, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t m = begin; m < end; ++m)
      for (std::int64_t n = 0; n < s.N; ++n) {
        double sum = 0;  // float chains of a whole batch would lose digits
        for (std::int64_t k = 0; k < s.K; ++k)
          sum += static_cast<double>(s.a == Trans::no ? A[m * s.K + k] : A[k * s.M + m]) *
                 static_cast<double>(s.b == Trans::no ? B[k * s.N + n] : B[n * s.K + k]);
        store(C[m * s.N + n], static_cast<T>(static_cast<double>(alpha) * sum), mode);
      }
  });
}

#define AKIN_INSTANTIATE(T) template void gemm<T>(const GemmShape&, T, const T*, const T*, T*, Accum);
AKIN_FOR_EACH_FLOAT(AKIN_INSTANTIATE)

}  // namespace spec

std::int64_t gpu::gemm_workspace(const GemmShape& s, std::size_t in_bytes, const GpuLimits& limits) {
  const auto need = [&](const auto& tiles) {
    return plan_product(tiles, s.M, s.N, s.K, in_bytes, true, limits.multiprocessors).workspace(s.M, s.N);
  };
  // Whether the operands are aligned is not known here.
  return std::max(need(kTilesSlow), in_bytes == sizeof(bf16) ? need(kTilesGemm) : need(kTilesFloat));
}

#if !AKIN_HAVE_ONEDNN
void fast::gemm(OnednnCache&, const GemmShape& s, float alpha, const float* A, const float* B, float* C, Accum mode) {
  spec::gemm<float>(s, alpha, A, B, C, mode);
}
#endif

}  // namespace akin
