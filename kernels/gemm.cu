// gemm on the tiled product of common/gpu/tile.cuh. bf16: 128 x 128 tiles of 4 warps (64 x 64 each, 128 sums a thread),
// 128 x 64 and 64 x 64 where those fill the card better; float: 128 x 128 and 64 x 64. Sizes that 16-byte accesses
// cannot serve, and A^T B^T, which no layer needs, gather single elements into 64 x 64 tiles.
#include "kernels/gemm.hpp"

#include "kernels/common/gpu/tile.cuh"

namespace akin {

namespace {

/// An operand of `rows` rows and K columns that is stored as it is (along_k) or transposed.
template <bool KRuns, bool Packs, class T>
Matrix<T, KRuns, Packs> matrix(const T* p, bool along_k, std::int64_t rows, std::int64_t K) {
  return {p, along_k ? K : 1, along_k ? 1 : rows, tile_int(rows, "gemm"), tile_int(K, "gemm")};
}

}  // namespace

template <class Gpu, class In, class Out>
void gemm(const Stream<Gpu>& stream, const GemmShape& s, double alpha, const In* A, const In* B, const Full<In>* bias,
          Out* C, Accum mode, float* workspace, PartMoments* moments) {
  constexpr bool tensor = std::is_same_v<In, bf16>;
  const bool a_along_k = s.a == Trans::no, b_along_k = s.b == Trans::yes;
  const ToRows to{C, s.N, std::is_same_v<Out, bf16>};
  const Finish finish{static_cast<float>(alpha), bias, mode};
  const auto run = [&]<const auto & menu, bool AK, bool BK, bool Packs>() {
    run_product<menu>("gemm", stream, matrix<AK, Packs>(A, a_along_k, s.M, s.K),
                      matrix<BK, Packs>(B, b_along_k, s.N, s.K), to, s.M, s.N, s.K, finish, workspace, moments);
  };
  const auto fast = [&]<bool AK, bool BK>() {
    if constexpr (tensor)
      run.template operator()<gpu::kTilesGemm, AK, BK, true>();
    else
      run.template operator()<gpu::kTilesFloat, AK, BK, true>();
  };
  const std::int64_t run_a = a_along_k ? s.K : s.M, run_b = b_along_k ? s.K : s.N;
  const bool packs = aligned16(A, B) && run_a % kPack<In> == 0 && run_b % kPack<In> == 0 && (a_along_k || !b_along_k);
  if (!packs)
    run.template operator()<gpu::kTilesSlow, true, true, false>();
  else if (a_along_k && b_along_k)
    fast.template operator()<true, true>();
  else if (a_along_k)
    fast.template operator()<true, false>();
  else
    fast.template operator()<false, false>();
}

#define AKIN_INSTANTIATE(In, Out)                                                                              \
  template void gemm<ThisGpu, In, Out>(const Stream<ThisGpu>&, const GemmShape&, double, const In*, const In*, \
                                       const float*, Out*, Accum, float*, PartMoments*);
AKIN_INSTANTIATE(float, float)
AKIN_INSTANTIATE(bf16, float)
AKIN_INSTANTIATE(bf16, bf16)

}  // namespace akin
