// Memory-bound maps (common/gpu/map.cuh). The kind is an argument: the branch is the same for all threads and costs
// nothing beside the memory accesses.
#include "kernels/activation.hpp"

#include "kernels/common/gpu/map.cuh"

namespace akin {

namespace {

struct Forward {
  Activation kind;
  __device__ float operator()(float x, float) const { return activate(kind, x); }
};
struct Backward {  // inputs: what the forward pass kept, the gradient of its output
  Activation kind;
  __device__ float operator()(float kept, float dy) const { return activation_gradient(kind, kept, dy); }
};

}  // namespace

template <class Gpu, class T>
void activation_fwd(const Stream<Gpu>& stream, Activation kind, std::int64_t n, const T* x, T* y) {
  run_map<T>("activation_fwd", stream, n, Forward{kind}, x, nullptr, y, Accum::overwrite);
}
template <class Gpu, class T>
void activation_bwd(const Stream<Gpu>& stream, Activation kind, std::int64_t n, const T* kept, const T* dy, T* dx,
                    Accum mode) {
  run_map("activation_bwd", stream, n, Backward{kind}, kept, dy, dx, mode);
}

using S = Stream<ThisGpu>;
#define AKIN_INSTANTIATE(T)                                                                  \
  template void activation_fwd<ThisGpu, T>(const S&, Activation, std::int64_t, const T*, T*); \
  template void activation_bwd<ThisGpu, T>(const S&, Activation, std::int64_t, const T*, const T*, T*, Accum);
AKIN_INSTANTIATE(float)
AKIN_INSTANTIATE(bf16)

}  // namespace akin
