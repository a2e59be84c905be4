// gemm: C[M,N] = alpha op(A)[M,K] op(B)[K,N]   (Accum::add: C += ...)
// op(A) is A stored [M,K], or A^T when A is stored [K,M]; op(B) is B stored [K,N], or B^T when stored [N,K]. Row-major,
// no padding between rows.
// FLOPs: 2 M N K. Bytes at least: M K + K N + M N elements.
// Uses: linear  y = x w^T,  dx = dy w,  dw = dy^T x.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/accum.hpp"
#include "kernels/common/bf16.hpp"
#include "kernels/common/moments.hpp"
#include "kernels/common/stream.hpp"
#include "kernels/common/work.hpp"

namespace akin {

enum class Trans { no, yes };

struct GemmShape {
  std::int64_t M, N, K;
  Trans a = Trans::no, b = Trans::no;
};

/// `in`, `out`: bytes an element of A and B, and of C.
constexpr Work gemm_work(const GemmShape& s, std::size_t in, std::size_t out) {
  Work work{2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K)};
  work += elementwise_work(s.M * s.K + s.K * s.N, 0, 1, in);
  return work += elementwise_work(s.M * s.N, 0, 1, out);
}

/// In = Out, or In = bf16 and Out = float. CPU: sums in double; the fast path is oneDNN's, bf16 with sums in float. A
/// device: float by fused multiply-adds, bf16 on tensor cores, sums in float. Fast there where every run in memory is a
/// multiple of 16 bytes: op(A) = A: K; A^T: M; op(B) = B: N; B^T: K; other sizes, unaligned operands and A^T B^T take a
/// path that gathers single elements. `bias` [N] is added to every row of alpha op(A) op(B); nullptr: none.
/// `workspace`: gemm_workspace() floats, by which a long reduction is cut into pieces that fill the card (two launches;
/// the pieces are added in order, so the result depends on the shape and the card alone); nullptr: one launch.
/// `moments`: filled by a device with the statistics of C's columns, as they are stored, by tiles of at least 64 rows;
/// only where `workspace` is nullptr.
template <class Dev, class In, class Out>
void gemm(const Stream<Dev>& stream, const GemmShape& s, double alpha, const In* A, const In* B, const Full<In>* bias,
          Out* C, Accum mode, float* workspace, PartMoments* moments = nullptr);
/// 0: no workspace is of use.
template <class In, class Dev>
std::int64_t gemm_workspace(const Stream<Dev>& stream, const GemmShape& s);

}  // namespace akin
