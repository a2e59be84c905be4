// gemm through cuBLASLt, for the plug-in: the fastest of the algorithms that its heuristics propose.
// Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T: the operands change places, nothing is moved.
#include <cublasLt.h>

#include <array>

#include "kernels/common/gpu/vendor_state.hpp"

namespace akin::vendor {

namespace {

constexpr int kProposals = 24;
constexpr std::size_t kWorkspace = std::size_t{64} << 20;

using vendor::check;
void check(cublasStatus_t status, const char* what) {
  AKIN_CHECK(status == CUBLAS_STATUS_SUCCESS, "{}: {} ({})", what, cublasLtGetStatusString(status),
             cublasLtGetStatusName(status));
}

template <class T, cublasStatus_t (*destroy)(T)>
struct Owned {
  T value = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (value != nullptr) destroy(value);
  }
};
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

struct Plan {
  Operation operation;
  Layout a, b, c;  // a: the operand that cuBLASLt calls A, which is our B
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
};

struct Lt : LibraryOf<cublasLtHandle_t, cublasLtDestroy, Plan> {
  Lt() { check(cublasLtCreate(&handle), "cublasLtCreate"); }
};

template <class V>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, const V& value) {
  check(cublasLtMatmulDescSetAttribute(operation.value, attribute, &value, sizeof value), "describe the product");
}

/// A row-major matrix [rows, columns], as cuBLASLt sees it.
void describe(Layout& l, bool bf16, std::int64_t rows, std::int64_t columns) {
  check(cublasLtMatrixLayoutCreate(&l.value, bf16 ? CUDA_R_16BF : CUDA_R_32F, static_cast<std::uint64_t>(columns),
                                   static_cast<std::uint64_t>(rows), columns),
        "describe a matrix");
}

void run(const Lt& lt, const Plan& plan, cudaStream_t stream, const VendorGemm& p, void* c, void* workspace) {
  const float beta = p.add ? 1.0f : 0.0f;
  if (p.bias != nullptr) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  check(cublasLtMatmul(lt.handle, plan.operation.value, &p.alpha, p.b, plan.a.value, p.a, plan.b.value, &beta, c,
                       plan.c.value, c, plan.c.value, &plan.algorithm, workspace, plan.workspace, stream),
        "cublasLtMatmul");
}

std::unique_ptr<Plan> search(State& state, const Lt& lt, cudaStream_t stream, const VendorGemm& p) {
  const GemmShape& s = p.shape;
  auto plan = std::make_unique<Plan>();
  check(cublasLtMatmulDescCreate(&plan->operation.value,
                                 state.tf32 && !p.in_bf16 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "describe the product");
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSA, s.b == Trans::no ? CUBLAS_OP_N : CUBLAS_OP_T);
  set(plan->operation, CUBLASLT_MATMUL_DESC_TRANSB, s.a == Trans::no ? CUBLAS_OP_N : CUBLAS_OP_T);
  if (p.bias != nullptr) {
    set(plan->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    set(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  }
  const bool a_as_is = s.a == Trans::no, b_as_is = s.b == Trans::no;
  describe(plan->a, p.in_bf16, b_as_is ? s.K : s.N, b_as_is ? s.N : s.K);
  describe(plan->b, p.in_bf16, a_as_is ? s.M : s.K, a_as_is ? s.K : s.M);
  describe(plan->c, p.out_bf16, s.M, s.N);

  Preference preference;
  check(cublasLtMatmulPreferenceCreate(&preference.value), "say what is wanted");
  const auto want = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof value),
          "say what is wanted");
  };
  want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b));
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a));
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.c));
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.c));

  std::array<cublasLtMatmulHeuristicResult_t, kProposals> proposals{};
  int found = 0;
  check(cublasLtMatmulAlgoGetHeuristic(lt.handle, plan->operation.value, plan->a.value, plan->b.value, plan->c.value,
                                       plan->c.value, preference.value, kProposals, proposals.data(), &found),
        "ask for algorithms");
  // Where C is added to, trying would add many times: another matrix takes the results. It is as well aligned.
  Workspace scratch;
  const std::size_t bytes = static_cast<std::size_t>(s.M * s.N) * (p.out_bf16 ? 2 : 4);
  void* c = p.c;
  if (p.add) {
    c = scratch.at_least(bytes);
    check(cudaMemsetAsync(c, 0, bytes, stream), "fill memory");
  }
  const auto use = [&](int i) {
    const auto& proposal = proposals[static_cast<std::size_t>(i)];
    plan->algorithm = proposal.algo;
    plan->workspace = proposal.workspaceSize;
    return proposal.state == CUBLAS_STATUS_SUCCESS;
  };
  void* workspace = state.workspace.at_least(kWorkspace);
  const int best = fastest(stream, found, [&](int i) {
    if (!use(i)) return false;
    try {
      run(lt, *plan, stream, p, c, workspace);
    } catch (const Error&) {
      return false;
    }
    return true;
  });
  AKIN_CHECK(best >= 0, "no algorithm for M {}, N {}, K {}", s.M, s.N, s.K);
  use(best);
  return plan;
}

}  // namespace

std::string cublas_version() {
  const std::size_t v = cublasLtGetVersion();
  return fmt::format("cuBLASLt {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

void open_gemm(State& state) { state.gemm = std::make_unique<Lt>(); }

void gemm(State& state, cudaStream_t stream, const VendorGemm& p) {
  const GemmShape& s = p.shape;
  if (s.M == 0 || s.N == 0) return;
  AKIN_CHECK(s.K > 0, "K = 0: cuBLASLt has no such product; use --gemm own");
  AKIN_CHECK(p.bias == nullptr || !p.out_bf16, "a bias is added to float results alone; use --gemm own");
  Lt& lt = static_cast<Lt&>(*state.gemm);
  const auto as_int = [](auto v) { return static_cast<std::int64_t>(v); };
  std::unique_ptr<Plan>& plan = lt.plans[{s.M, s.N, s.K, as_int(s.a), as_int(s.b), p.in_bf16, p.out_bf16, p.add,
                                          p.bias != nullptr, alignment_of(p.a), alignment_of(p.b), alignment_of(p.c)}];
  if (plan == nullptr) plan = search(state, lt, stream, p);
  run(lt, *plan, stream, p, p.c, state.workspace.at_least(kWorkspace));
}

}  // namespace akin::vendor
