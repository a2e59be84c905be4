// gemm: C[M,N] = alpha op(A)[M,K] op(B)[K,N]   (Accum::add: C += ...)
// op(A) is A stored [M,K], or A^T when A is stored [K,M]; op(B) is B stored [K,N], or B^T when stored [N,K]. Row-major,
// no padding between rows.
// FLOPs: 2 M N K. Bytes at least: M K + K N + M N elements.
// Uses: linear  y = x w^T,  dx = dy w,  dw = dy^T x.
#pragma once

#include <cstdint>

#include "kernels/common/accum.hpp"

namespace akin {

enum class Trans { no, yes };

struct GemmShape {
  std::int64_t M, N, K;
  Trans a = Trans::no, b = Trans::no;
};

namespace spec {

template <class T>
void gemm(const GemmShape& s, T alpha, const T* A, const T* B, T* C, Accum mode);

}

namespace fast {

class OnednnCache;
/// Through oneDNN; the specification where it is absent.
void gemm(OnednnCache& cache, const GemmShape& s, float alpha, const float* A, const float* B, float* C, Accum mode);

}  // namespace fast
}  // namespace akin
