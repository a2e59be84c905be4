#include <algorithm>

#include "kernels/common/onednn_state.hpp"
#include "kernels/gemm.hpp"

namespace akin::fast {

namespace {

struct GemmPlan final : OnednnPlan {
  dnnl::memory::desc a, b, c;
  SharedPrimitive matmul;
};

/// Of `rows` rows and `columns` columns of C; the strides are those of the whole.
template <class In, class Out>
std::unique_ptr<GemmPlan> make_plan(dnnl::engine& engine, const GemmShape& s, std::int64_t rows, std::int64_t columns,
                                    float alpha, Accum mode) {
  using dnnl::memory;
  auto plan = std::make_unique<GemmPlan>();
  plan->a = {{rows, s.K}, kDataType<In>, s.a == Trans::no ? memory::dims{s.K, 1} : memory::dims{1, s.M}};
  plan->b = {{s.K, columns}, kDataType<In>, s.b == Trans::no ? memory::dims{s.N, 1} : memory::dims{1, s.K}};
  plan->c = {{rows, columns}, kDataType<Out>, memory::dims{s.N, 1}};
  const auto attr = write_as(alpha, mode == Accum::add);
  const auto description = describe<dnnl::matmul>(engine, attr, plan->a, plan->b, plan->c);
  plan->matmul = {dnnl::matmul(description), description};
  return plan;
}

}  // namespace

template <class In, class Out>
void gemm(OnednnCache& cache, const GemmShape& s, float alpha, const In* A, const In* B, Out* C, Accum mode) {
  if (s.M == 0 || s.N == 0) return;
  // Below this, dispatching a primitive costs more than the plain loops; K = 0 has no primitive.
  if (s.K == 0 || s.M * s.N * s.K < 4096) return akin::gemm(kSpec, s, alpha, A, B, nullptr, C, mode, nullptr);
  auto& state = cache.state();
  const auto bits = static_cast<std::int64_t>(__builtin_bit_cast(std::uint32_t, alpha));
  const auto plan_of = [&](std::int64_t rows, std::int64_t columns) -> GemmPlan& {
    return state.plan<GemmPlan>({'g', s.M, s.N, s.K, rows, columns, s.a == Trans::yes, s.b == Trans::yes, bits,
                                 mode == Accum::add, sizeof(In), sizeof(Out)},
                                [&] { return make_plan<In, Out>(state.engine, s, rows, columns, alpha, mode); });
  };
  // The longer side of C in pieces, by the shape alone: no bit depends on the number of threads.
  const bool by_rows = s.M >= s.N;
  const std::int64_t side = by_rows ? s.M : s.N, least = 1 + kPieceOperations / (2 * s.K * (by_rows ? s.N : s.M));
  const std::int64_t piece =
      std::clamp<std::int64_t>((side + kMostPieces - 1) / kMostPieces, std::min(least, side), side);
  const std::int64_t whole = side / piece, rest = side % piece;
  const auto sized = [&](std::int64_t n) { return n == 0 ? nullptr : by_rows ? &plan_of(n, s.N) : &plan_of(s.M, n); };
  GemmPlan *const of_whole = sized(piece), *const of_rest = sized(rest);
  parallel_tasks(whole + (rest > 0), [&](std::int64_t i, int) {
    GemmPlan& plan = i < whole ? *of_whole : *of_rest;
    const std::int64_t row = by_rows ? i * piece : 0, column = by_rows ? 0 : i * piece;
    dnnl::memory a(plan.a, state.engine, const_cast<In*>(A + row * (s.a == Trans::no ? s.K : 1))),
        b(plan.b, state.engine, const_cast<In*>(B + column * (s.b == Trans::no ? 1 : s.K))),
        c(plan.c, state.engine, C + row * s.N + column);
    plan.matmul(state.engine, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
  });
}

#define AKIN_INSTANTIATE(In, Out) \
  template void gemm(OnednnCache&, const GemmShape&, float, const In*, const In*, Out*, Accum);
AKIN_INSTANTIATE(float, float)
AKIN_INSTANTIATE(bf16, float)
AKIN_INSTANTIATE(bf16, bf16)

}  // namespace akin::fast
