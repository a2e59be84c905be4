#include "kernels/common/onednn_state.hpp"
#include "kernels/gemm.hpp"

namespace akin::fast {

namespace {

struct GemmPlan final : OnednnPlan {
  dnnl::memory::desc a, b, c;
  dnnl::matmul matmul;
};

template <class In, class Out>
std::unique_ptr<GemmPlan> make_plan(dnnl::engine& engine, const GemmShape& s, float alpha, Accum mode) {
  using dnnl::memory;
  auto plan = std::make_unique<GemmPlan>();
  plan->a = {{s.M, s.K}, kDataType<In>, s.a == Trans::no ? memory::dims{s.K, 1} : memory::dims{1, s.M}};
  plan->b = {{s.K, s.N}, kDataType<In>, s.b == Trans::no ? memory::dims{s.N, 1} : memory::dims{1, s.K}};
  plan->c = {{s.M, s.N}, kDataType<Out>, memory::dims{s.N, 1}};
  const auto attr = write_as(alpha, mode == Accum::add);
  plan->matmul = dnnl::matmul(describe<dnnl::matmul>(engine, attr, plan->a, plan->b, plan->c));
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
  const std::vector<std::int64_t> key{
      'g', s.M, s.N, s.K, s.a == Trans::yes, s.b == Trans::yes, bits, mode == Accum::add, sizeof(In), sizeof(Out)};
  auto& plan = state.plan<GemmPlan>(key, [&] { return make_plan<In, Out>(state.engine, s, alpha, mode); });
  dnnl::memory a(plan.a, state.engine, const_cast<In*>(A)), b(plan.b, state.engine, const_cast<In*>(B)),
      c(plan.c, state.engine, C);
  plan.matmul.execute(state.stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
  state.stream.wait();
}

#define AKIN_INSTANTIATE(In, Out) \
  template void gemm(OnednnCache&, const GemmShape&, float, const In*, const In*, Out*, Accum);
AKIN_INSTANTIATE(float, float)
AKIN_INSTANTIATE(bf16, float)
AKIN_INSTANTIATE(bf16, bf16)

}  // namespace akin::fast
