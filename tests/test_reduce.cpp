#include <doctest/doctest.h>

#include "kernels/common/parallel.hpp"
#include "kernels/reduce.hpp"
#include "tests/gpu_case.hpp"
#include "tests/op_case.hpp"

using namespace akin;
using namespace akin::test;

namespace {

constexpr std::int64_t kSizes[] = {1, 7, 10, 31, 33, 257, 4095, 4097, 70001};

OpCase make(std::int64_t n, bool mean) {
  return {.name = fmt::format("{} [{}]", mean ? "mean" : "sum", n),
          .inputs = {{n}},
          .run = [mean](Context& ctx,
                        const std::vector<Tensor>& x) { return mean ? ops::mean(ctx, x[0]) : ops::sum(ctx, x[0]); },
          .reference =
              [mean](const std::vector<Values>& x) {
                long double s = 0;
                for (const double v : x[0]) s += v;
                return Values{static_cast<double>(mean ? s / static_cast<long double>(x[0].size()) : s)};
              },
          // f64 rounds n partial sums; f32 sums in double and rounds once.
          .depth = static_cast<double>(n),
          .low = 0.1};
}

std::vector<double> random(std::int64_t n, std::uint64_t seed, double low = -1) {
  std::vector<double> v;
  Rng rng(seed);
  for (std::int64_t i = 0; i < n; ++i) v.push_back(rng.uniform(static_cast<float>(low), 1));
  return v;
}

template <class T>
std::vector<T> narrowed(const std::vector<double>& v) {
  return {v.begin(), v.end()};
}

template <class T>
double sum_of(std::int64_t n, const T* x) {
  double y = NAN;
  akin::sum(kSpec, n, 1.0, x, nullptr, &y);
  return y;
}

template <class T>
double sum_of_squares(std::int64_t n, const T* x) {
  double y = NAN;
  sum_squares(kSpec, n, 1.0, x, nullptr, &y);
  return y;
}

}  // namespace

TEST_CASE("reduce: match, gradcheck, mutants") {
  std::vector<OpCase> cases;
  for (const std::int64_t n : {1, 7, 10, 31, 33, 257, 4097})
    for (const bool mean : {false, true}) cases.push_back(make(n, mean));
  AKIN_TEST_OP(cases);
  OpCase wrong = make(4097, true);  // a mean that divides by n - 1
  wrong.run = [](Context& ctx, const std::vector<Tensor>& x) {
    return ops::scale(ctx, ops::sum(ctx, x[0]), 1.0 / 4096.0);
  };
  CHECK_NE(match(wrong), "");
}

TEST_CASE("reduce: sum and sum_squares keep double accuracy in float, at any thread count") {
  const int threads = max_threads();
  for (const std::int64_t n : kSizes) {
    CAPTURE(n);
    const std::vector<double> x = random(n, 3, 0.1);
    const std::vector<float> xf = narrowed<float>(x);
    long double s = 0, q = 0;
    for (const double v : x) s += v, q += static_cast<long double>(v) * v;
    // A chunk's partial sums round at most chunk + chunks times, each by eps/2 of a positive partial sum.
    const double tol = 4097 * 1.1e-16;
    const auto close = [&](double found, long double expected) {
      return std::abs(found - static_cast<double>(expected)) <= tol * static_cast<double>(expected);
    };
    CHECK(close(sum_of(n, x.data()), s));
    CHECK(close(sum_of(n, xf.data()), s));  // the values are floats already
    CHECK(close(sum_of_squares(n, x.data()), q));
    CHECK(close(sum_of_squares(n, xf.data()), q));
    set_threads(1);
    const double one = sum_of(n, xf.data()), one_q = sum_of_squares(n, xf.data());
    set_threads(3);
    CHECK_EQ(sum_of(n, xf.data()), one);
    CHECK_EQ(sum_of_squares(n, xf.data()), one_q);
    set_threads(threads);
    std::vector<float> hurt = xf;
    hurt.back() = NAN;
    CHECK(std::isnan(sum_of(n, hurt.data())));
    CHECK(std::isnan(sum_of_squares(n, hurt.data())));
  }
  CHECK_EQ(sum_of<float>(0, nullptr), 0);
  CHECK_EQ(sum_of_squares<float>(0, nullptr), 0);
}

TEST_CASE_TEMPLATE("reduce: col_sum", T, float, double) {
  for (const std::int64_t N : {1, 7, 257})
    for (const std::int64_t D : {1, 7, 10, 31, 33, 257}) {
      CAPTURE(N);
      CAPTURE(D);
      const std::vector<double> x = random(N * D, 5);
      const std::vector<T> xt = narrowed<T>(x);
      std::vector<T> y(static_cast<std::size_t>(D), std::numeric_limits<T>::quiet_NaN());
      col_sum(kSpec, N, D, xt.data(), nullptr, y.data(), Accum::overwrite);
      std::vector<T> twice = y;
      col_sum(kSpec, N, D, xt.data(), nullptr, twice.data(), Accum::add);
      for (std::int64_t d = 0; d < D; ++d) {
        long double s = 0, size = 0;
        for (std::int64_t n = 0; n < N; ++n) {
          s += x[static_cast<std::size_t>(n * D + d)];
          size += std::abs(x[static_cast<std::size_t>(n * D + d)]);
        }
        // N roundings in double, one to T.
        const double tol = static_cast<double>(size) * (static_cast<double>(N) * 1.1e-16) +
                           std::abs(static_cast<double>(s)) * static_cast<double>(std::numeric_limits<T>::epsilon());
        const auto at = static_cast<std::size_t>(d);
        CHECK(std::abs(static_cast<double>(y[at]) - static_cast<double>(s)) <= tol);
        CHECK_EQ(twice[at], y[at] + y[at]);
      }
    }
}

namespace {

/// col_sum of x [N, D] on a device with `multiprocessors`, added to ones where `mode` adds.
template <class T>
std::vector<float> sums_on(Context& ctx, int multiprocessors, std::int64_t N, std::int64_t D, const std::vector<T>& x,
                           Accum mode, LaunchLog* log = nullptr) {
  const Tensor in = on_device(ctx, x), out = on_device(ctx, std::vector<float>(static_cast<std::size_t>(D), 1.0f));
  on_gpu(ctx, {"test", {}}, [&](auto stream) {
    GpuLimits limits = *stream.limits;
    limits.multiprocessors = multiprocessors;
    stream.limits = &limits;
    stream.log = log;
    const std::int64_t parts = col_sum_scratch(stream, N, D);
    const Tensor scratch = Tensor::empty(ctx, {parts + 1}, DType::f64);
    col_sum(stream, N, D, in.data<T>(), parts > 0 ? scratch.data<double>() : nullptr, out.data<float>(), mode);
  });
  const Array y = out.to_array();
  return {y.as<float>().begin(), y.as<float>().end()};
}

template <class T>
void check_sums_on(Context& ctx) {
  for (const std::int64_t N : {0, 1, 7, 33, 257, 1024})
    for (const std::int64_t D : {1, 7, 10, 31, 33, 257}) {
      if (kSanitized && N * D > 9000) continue;
      CAPTURE(N);
      CAPTURE(D);
      std::vector<T> x;
      std::vector<double> whole(static_cast<std::size_t>(D), 0.0), size = whole;
      for (const double v : random(N * D, 6)) {
        const auto d = x.size() % static_cast<std::size_t>(D);
        x.push_back(akin::narrowed<T>(static_cast<float>(v)));
        whole[d] += static_cast<double>(widened(x.back()));
        size[d] += std::abs(static_cast<double>(widened(x.back())));
      }
      // Sums in double, one rounding to float.
      const auto wrong = [&](const std::vector<float>& y, double before) {
        for (std::size_t d = 0; d < y.size(); ++d)
          if (!(std::abs(y[d] - (whole[d] + before)) <= 0x1p-23 * (std::abs(whole[d]) + before) + 1e-12 * size[d]))
            return true;
        return false;
      };
      for (const int multiprocessors : {1, 132}) {
        LaunchLog log;
        const std::vector<float> y = sums_on(ctx, multiprocessors, N, D, x, Accum::overwrite, &log);
        CHECK_FALSE(wrong(y, 0));
        CHECK_FALSE(wrong(sums_on(ctx, multiprocessors, N, D, x, Accum::add), 1));
        CHECK(y == sums_on(ctx, multiprocessors, N, D, x, Accum::overwrite));
        if (N <= 7) CHECK_EQ(log.size(), 1);
        if (N == 1024 && D == 10) CHECK_EQ(log.size(), 2);
        if (N > 0) {  // without its last row a sum is another
          const std::vector<T> fewer(x.begin(), x.end() - D);
          CHECK(wrong(sums_on(ctx, multiprocessors, N - 1, D, fewer, Accum::overwrite), 0));
        }
      }
    }
}

}  // namespace

TEST_CASE("reduce: col_sum on a device, by parts, is right and the same each time") {
  on_gpus([](Context& ctx) {
    check_sums_on<float>(ctx);
    check_sums_on<bf16>(ctx);
  });
}

TEST_CASE("reduce: the mean of nothing is refused, the sum of nothing is 0") {
  Context ctx;
  const Tensor none = Tensor::empty(ctx, {0, 3});
  CHECK_EQ(ops::sum(ctx, none).item(), 0);
  CHECK_THROWS_WITH_AS(ops::mean(ctx, none), doctest::Contains("mean: of no element"), Error);
  CHECK_THROWS_WITH_AS(ops::sum(ctx, Tensor::zeros(ctx, {2}, DType::i64)), doctest::Contains("found i64"), Error);
}
