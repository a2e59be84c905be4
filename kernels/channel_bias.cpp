#include "kernels/channel_bias.hpp"

#include <algorithm>
#include <vector>

#include "kernels/common/instantiate.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

constexpr std::int64_t kGrainElements = 1 << 14;
constexpr std::int64_t kPieceElements = 1 << 13;  // of the bias gradient: rows are added in float inside a piece

std::int64_t rows_of(std::int64_t elements, std::int64_t C) {
  return std::max<std::int64_t>(1, elements / std::max<std::int64_t>(C, 1));
}

/// du of one row, stored in dx and added to `sum` where they are wanted. The arrays are apart (the contract of an op),
/// which the compiler cannot know: five of them are more than it checks for when it runs.
template <Activation kKind, class T>
void backward_row(const ChannelBiasBackward<T>& t, std::int64_t m, std::int64_t C, Full<T>* sum) {
  const T *g = t.dy + m * C, *kept = t.kept + m * C;
  const Full<T>* bias = t.bias;
  const auto du = [=](std::int64_t c) {
    if constexpr (kKind == Activation::none)
      return widened(g[c]);
    else if constexpr (keeps_output(kKind))
      return activation_gradient(kKind, widened(kept[c]), widened(g[c]));
    else
      return activation_gradient(kKind, widened(kept[c]) + bias[c], widened(g[c]));
  };
  T* dx = t.dx == nullptr ? nullptr : t.dx + m * C;
  if (dx != nullptr && sum != nullptr && t.dx_mode == Accum::overwrite) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < C; ++c) {
      const Full<T> u = du(c);
      sum[c] += u;
      store(dx[c], u);
    }
    return;
  }
  if (dx != nullptr) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < C; ++c) store(dx[c], du(c), t.dx_mode);
  }
  if (sum != nullptr) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < C; ++c) sum[c] += du(c);
  }
}

}  // namespace

template <class Dev, class T>
void channel_bias_fwd(const Stream<Dev>&, const ChannelBiasShape& s, const T* x, const Full<T>* bias, T* y) {
  with_activation(s.kind, [&]<Activation kKind>() {
    parallel_for(s.M, rows_of(kGrainElements, s.C), [=, C = s.C](std::int64_t begin, std::int64_t end) {
      for (std::int64_t m = begin; m < end; ++m)
        for (std::int64_t c = 0; c < C; ++c) store(y[m * C + c], activate(kKind, widened(x[m * C + c]) + bias[c]));
    });
  });
}

template <class Dev, class T>
void channel_bias_bwd(const Stream<Dev>&, const ChannelBiasShape& s, const ChannelBiasBackward<T>& t, float*) {
  const std::int64_t piece = rows_of(kPieceElements, s.C), pieces = (s.M + piece - 1) / piece;
  std::vector<Full<T>> sums(t.dbias == nullptr ? 0 : static_cast<std::size_t>(pieces * s.C), 0);
  with_activation(s.kind, [&]<Activation kKind>() {
    parallel_for(pieces, std::max<std::int64_t>(1, kGrainElements / (piece * std::max<std::int64_t>(s.C, 1))),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     Full<T>* sum = t.dbias == nullptr ? nullptr : sums.data() + i * s.C;
                     for (std::int64_t m = i * piece; m < std::min(s.M, (i + 1) * piece); ++m)
                       backward_row<kKind>(t, m, s.C, sum);
                   }
                 });
  });
  if (t.dbias == nullptr) return;
  std::vector<double> total(static_cast<std::size_t>(s.C), 0.0);
  for (std::int64_t i = 0; i < pieces; ++i)
    for (std::int64_t c = 0; c < s.C; ++c)
      total[static_cast<std::size_t>(c)] += static_cast<double>(sums[static_cast<std::size_t>(i * s.C + c)]);
  for (std::int64_t c = 0; c < s.C; ++c)
    store(t.dbias[c], static_cast<Full<T>>(total[static_cast<std::size_t>(c)]), t.dbias_mode);
}

template <class Dev>
std::int64_t channel_bias_scratch(const Stream<Dev>&, const ChannelBiasShape&) {
  return 0;
}

template std::int64_t channel_bias_scratch(const Stream<Cpu>&, const ChannelBiasShape&);
#define AKIN_INSTANTIATE(T)                                                                                  \
  template void channel_bias_fwd(const Stream<Cpu>&, const ChannelBiasShape&, const T*, const Full<T>*, T*); \
  template void channel_bias_bwd(const Stream<Cpu>&, const ChannelBiasShape&, const ChannelBiasBackward<T>&, float*);
AKIN_FOR_EACH_STORED(AKIN_INSTANTIATE)

}  // namespace akin
