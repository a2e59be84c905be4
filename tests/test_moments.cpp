// Batch norm from statistics by parts that somebody else left (kernels/common/moments.hpp).
#include <doctest/doctest.h>

#include "tests/batchnorm_case.hpp"
#include "tests/gpu_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Statistics of x [M, C] by parts of the rows whose numbers `sizes` are, in long double and then float.
ops::ChannelMoments parts_of(Context& ctx, const Values& x, std::int64_t C, const std::vector<std::int64_t>& sizes) {
  const auto parts = static_cast<std::int64_t>(sizes.size());
  std::vector<float> data(at(PartMoments::floats(parts, C)));
  std::int64_t first = 0;
  for (std::int64_t p = 0; p < parts; first += sizes[at(p++)]) {
    const auto n = static_cast<long double>(sizes[at(p)]);
    for (std::int64_t c = 0; c < C; ++c) {
      long double mean = 0, square = 0;
      for (std::int64_t m = first; m < first + sizes[at(p)]; ++m) mean += x[at(m * C + c)] / n;
      for (std::int64_t m = first; m < first + sizes[at(p)]; ++m)
        square += (x[at(m * C + c)] - mean) * (x[at(m * C + c)] - mean);
      data[at(p * C + c)] = static_cast<float>(mean);
      data[at((parts + p) * C + c)] = static_cast<float>(square);
    }
    data[at(2 * parts * C + p)] = static_cast<float>(n);
  }
  return {Tensor::from(ctx, Array::from(data, {static_cast<std::int64_t>(data.size())})), parts};
}

/// So many parts of at least one row of M in all.
std::vector<std::int64_t> cut(std::int64_t M, std::int64_t parts) {
  Rng rng(6, static_cast<std::uint32_t>(parts));
  std::vector<std::int64_t> sizes(at(parts), 1);
  for (std::int64_t m = parts; m < M; ++m) ++sizes[rng.below(static_cast<std::uint32_t>(parts))];
  return sizes;
}

struct Normed {
  Values y, mean, var;
};

Normed normed(Context& ctx, const Setup& s, const std::vector<Array>& in, const ops::ChannelMoments& moments) {
  std::vector<Tensor> x;
  for (const Array& a : in) x.push_back(Tensor::from(ctx, a.cast(DType::f32)));
  BatchNormState state = state_of(ctx, s.C, DType::f32);
  const Tensor y = ops::batchnorm(ctx, x[0], x[1], x[2], state, true, s.act(), {}, moments);
  return {to_values(y), to_values(state.running_mean), to_values(state.running_var)};
}

}  // namespace

TEST_CASE("batchnorm: statistics that were handed over take the place of a pass") {
  on_gpus([](Context& ctx) {
    for (const auto& [M, C, parts] : {std::array<std::int64_t, 3>{33, 8, 1},
                                      {100, 33, 7},
                                      {700, 3, 640},
                                      {700, 40, 641},  // more are joined first
                                      {1500, 16, 1500}}) {
      const Setup s{M, C, true, true, false, 3.0, 0.25};
      CAPTURE(M);
      const std::vector<Array> in = make_inputs(bn(s), 7);
      LaunchLog log;
      const Normed own = normed(ctx, s, in, {});
      const ops::ChannelMoments left =
          parts_of(ctx, to_values(Tensor::from(ctx, in[0].cast(DType::f32))), C, cut(M, parts));
      ctx.launches = &log;
      const Normed given = normed(ctx, s, in, left);
      ctx.launches = nullptr;
      CHECK_EQ(log.size(), parts > 640 ? 3 : 2);
      CHECK_EQ(std::ranges::count(log, "batchnorm_statistics"), 0);
      // The statistics differ by roundings of a mean that is 12 standard deviations off.
      const double eps{std::numeric_limits<float>::epsilon()},
          bound = 4 * eps * std::sqrt(static_cast<double>(M)) + 12 * 4 * eps;
      CHECK_EQ(compare("y", given.y, own.y, bound), "");
      CHECK_EQ(compare("mean", given.mean, own.mean, bound), "");
      CHECK_EQ(compare("var", given.var, own.var, bound), "");

      // They are what is used: of other numbers they give something else.
      ops::ChannelMoments wrong = left;
      std::vector<float> data = to_host<float>(left.data);
      data[0] += 0.1f * static_cast<float>(parts);
      wrong.data = Tensor::from(ctx, Array::from(data, {static_cast<std::int64_t>(data.size())}));
      CHECK_NE(compare("mean", normed(ctx, s, in, wrong).mean, own.mean, bound), "");
    }
  });
}

TEST_CASE("batchnorm: a NaN among statistics that were handed over stays in its channel") {
  on_gpus([](Context& ctx) {
    const Setup s{60, 9, true, false, false};
    const std::vector<Array> in = make_inputs(bn(s), 8);
    Values x = to_values(Tensor::from(ctx, in[0].cast(DType::f32)));
    x[4] = std::numeric_limits<double>::quiet_NaN();
    const Normed found = normed(ctx, s, in, parts_of(ctx, x, s.C, cut(s.M, 5)));
    for (std::size_t i = 0; i < found.y.size(); ++i) CHECK_EQ(std::isnan(found.y[i]), i % 9 == 4);
  });
}
