// Runs one of the kernels of kernels.hpp and compares its result with plain loops:
//   sim_bugs_<build> <bug> [fifo|lifo|pct [seed [OS threads [latest|random|none [multiprocessors]]]]]
// The last two are for the hosts of host.hpp. "none" runs all kernels and hosts as they should be, and without a policy
// under several. Exit codes: 0 right, 1 wrong, 3 stopped by the emulator; a sanitizer's own otherwise.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/host.hpp"
#include "tests/sim/kernels.hpp"
#include "tests/sim/launch.hpp"

using namespace akin;
using namespace akin::examples;

namespace {

template <class T>
using Device = test::SimArray<T>;

/// A fixed value in [-1, 1).
float value(int i) {
  unsigned h = static_cast<unsigned>(i) * 2654435761u;
  h = (h ^ h >> 15) * 2246822519u;
  return static_cast<float>(h >> 8) / 8388608.0f - 1.0f;
}
int key(int i) { return static_cast<int>((value(i) + 1.0f) * 32.0f); }

int wrong = 0;

template <class Got, class F>
void compare(const char* kernel, const Got& got, F&& expected, double tolerance) {
  for (int i = 0; i < static_cast<int>(got.end() - got.begin()); ++i) {
    const double want = expected(i), have = static_cast<double>(got.begin()[i]);
    if (std::abs(have - want) <= tolerance) continue;
    fmt::print("WRONG {}: element {} is {}, expected {}\n", kernel, i, have, want);
    ++wrong;
    return;
  }
}

template <Bug bug>
void test_add(const sim::Options& options) {
  const int n = 1003;
  const Device<float> a(n, value), b(n, [](int i) { return value(i + n); }), c(n);
  test::sim_launch("add", add<bug>, 4, 64, 0, options, a.get(), b.get(), c.get(), n);
  compare(
      "add", c, [&](int i) { return a[i] + b[i]; }, 0);
}

template <Bug bug>
void test_histogram(const sim::Options& options) {
  const Device<int> x(5000, key), bins(64, [](int) { return 0; });
  test::sim_launch("histogram", histogram<bug>, 3, 128, 0, options, x.get(), x.size(), bins.get());
  compare(
      "histogram", bins, [&](int k) { return std::count(x.get(), x.get() + x.size(), k); }, 0);
}

template <Bug bug>
void test_softmax(const sim::Options& options, int rows, int columns) {
  const Device<float> x(rows * columns, value), dx(rows * columns), loss(rows);
  const Device<int> y(rows, [&](int r) { return r * 31 % columns; });
  test::sim_launch("softmax", softmax<bug>, static_cast<unsigned>(rows), kSoftmaxThreads, 0, options, x.get(), y.get(),
                   loss.get(), dx.get(), columns, 1.0f);
  std::vector<double> sums(static_cast<std::size_t>(rows));
  for (int i = 0; i < rows * columns; ++i) sums[static_cast<std::size_t>(i / columns)] += std::exp(double{x[i]});
  // |x| <= 1 and softmax <= 1: a few rounding errors of values below 8.
  compare(
      "softmax", loss, [&](int r) { return std::log(sums[static_cast<std::size_t>(r)]) - x[r * columns + y[r]]; },
      16 * 6e-8 * 8);
  compare(
      "softmax", dx,
      [&](int i) {
        const int r = i / columns;
        return std::exp(double{x[i]}) / sums[static_cast<std::size_t>(r)] - (i % columns == y[r] ? 1 : 0);
      },
      16 * 6e-8);
}

template <Bug bug>
void test_gemm(const sim::Options& options) {
  const int M = 100, N = 132, K = 76;
  const Device<float> A(M * K, value), B(K * N, [](int i) { return value(i + 99991); }), C(M * N);
  test::sim_launch("gemm", gemm<bug>, {(N + 63) / 64, (M + 63) / 64}, 256, 0, options, M, N, K, A.get(), B.get(),
                   C.get());
  compare(
      "gemm", C,
      [&](int i) {
        double s = 0;
        for (int k = 0; k < K; ++k) s += double{A[i / N * K + k]} * B[k * N + i % N];
        return s;
      },
      K * 6e-8 * K);
}

template <Bug bug>
void test_tensor_gemm(const sim::Options& options) {
  const int M = 100, N = 131, K = 104;
  const Device<bf16> A(M * K, [](int i) { return float_to_bf16(value(i)); });
  const Device<bf16> W(N * K, [](int i) { return float_to_bf16(value(i + 99991)); });
  const Device<float> C(M * N);
  test::sim_launch("tensor_gemm", tensor_gemm<bug>, {(N + 63) / 64, (M + 63) / 64}, 128, kTensorShared, options, M, N,
                   K, A.get(), W.get(), C.get());
  compare(
      "tensor_gemm", C,
      [&](int i) {
        double s = 0;
        for (int k = 0; k < K; ++k) s += double{bf16_to_float(A[i / N * K + k])} * bf16_to_float(W[i % N * K + k]);
        return s;
      },
      K * 6e-8 * K);
}

template <Bug bug>
void test_swap(const sim::Options& options) {
  const Device<float> x(512, value), y(512);
  test::sim_launch("swap", swap<bug>, 2, 256, 0, options, x.get(), y.get());
  compare(
      "swap", y, [&](int i) { return x[i ^ 1]; }, 0);
}

template <Bug bug>
void test_lines(const sim::Options& options) {
  const Device<float> x(64, value), y(64);
  test::sim_launch("lines", lines<bug>, 1, 64, 64 * sizeof(float), options, x.get(), y.get());
  compare(
      "lines", y, [&](int i) { return x[i ^ 32]; }, 0);
}

// Whole numbers below 2^24 everywhere: no rounding.

template <HostBug bug>
void test_pipeline(const sim::Options& options) {
  const int n = 100, batches = 4;
  compare(
      "pipeline", pipeline<bug>(*open_sim(options), n, batches, 5),
      [&](int i) { return batches * (5 + i) + n * (0 + 1 + 2 + 3); }, 0);
}

template <HostBug bug>
void test_squares(const sim::Options& options) {
  compare(
      "squares", squares<bug>(*open_sim(options), {1, 2, 3, 4, 5}), [](int i) { return (i + 1) * (i + 1); }, 0);
}

template <HostBug bug>
void test_captured(const sim::Options& options) {
  compare(
      "captured", captured<bug>(*open_sim(options), 70, 3, 2), [](int) { return 6; }, 0);
}

template <HostBug bug>
void test_total(const sim::Options& options) {
  compare(
      "total", total<bug>(*open_sim(options), 7000), [](int) { return 1000 * 21; }, 0);
}

void test_hosts(const sim::Options& options) {
  test_pipeline<HostBug::none>(options);
  test_squares<HostBug::none>(options);
  test_captured<HostBug::none>(options);
  test_total<HostBug::none>(options);
}

void test_last_block_sum(const sim::Options& options) {
  const Device<float> x(3000, [](int i) { return static_cast<float>(i % 17); }), parts(5), sum(1);
  const Device<unsigned> finished(1, [](int) { return 0u; });
  test::sim_launch("last_block_sum", last_block_sum, 5, 256, 0, options, x.get(), x.size(), parts.get(), finished.get(),
                   sum.get());
  double want = 0;
  for (int i = 0; i < x.size(); ++i) want += x[i];
  compare(
      "last_block_sum", sum, [&](int) { return want; }, 0);  // whole numbers below 2^24
}

void test_all(const sim::Options& options) {
  test_add<Bug::none>(options);
  test_histogram<Bug::none>(options);
  test_softmax<Bug::none>(options, 7, 1000);
  test_softmax<Bug::none>(options, 5, 10);
  test_gemm<Bug::none>(options);
  test_tensor_gemm<Bug::none>(options);
  test_swap<Bug::none>(options);
  test_lines<Bug::none>(options);
  test_last_block_sum(options);
  test_hosts(options);
}

void test_all_policies() {
  for (const int os_threads : {1, 2}) {
    test_all({os_threads, sim::Policy::fifo});
    test_all({os_threads, sim::Policy::lifo});
    for (std::uint64_t seed = 1; seed <= 3; ++seed) test_all({os_threads, sim::Policy::pct, seed, sim::Async::random});
  }
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    test_hosts({1, sim::Policy::fifo, seed, sim::Async::random, seed % 2 == 0 ? 132 : 2});
}

using Test = void (*)(const sim::Options&);
const std::map<std::string, Test> kTests{
    {"none", test_all},
    {"write_past_end", test_add<Bug::write_past_end>},
    {"misaligned_load", test_add<Bug::misaligned_load>},
    {"uninitialised_shared", test_histogram<Bug::uninitialised_shared>},
    {"plain_update", test_histogram<Bug::plain_update>},
    {"race_between_blocks", test_histogram<Bug::race_between_blocks>},
    {"exit_before_barrier", [](const sim::Options& o) { test_softmax<Bug::exit_before_barrier>(o, 5, 10); }},
    {"shuffle_half_warp", [](const sim::Options& o) { test_softmax<Bug::shuffle_half_warp>(o, 7, 1000); }},
    {"missing_barrier", [](const sim::Options& o) { test_softmax<Bug::missing_barrier>(o, 7, 1000); }},
    {"barrier_in_branch", [](const sim::Options& o) { test_softmax<Bug::barrier_in_branch>(o, 7, 1000); }},
    {"shared_out_of_bounds", [](const sim::Options& o) { test_softmax<Bug::shared_out_of_bounds>(o, 7, 1000); }},
    {"missing_column_guard", test_gemm<Bug::missing_column_guard>},
    {"double_buffer_race", test_gemm<Bug::double_buffer_race>},
    {"weak_wait", test_tensor_gemm<Bug::weak_wait>},
    {"missing_end_barrier", test_tensor_gemm<Bug::missing_end_barrier>},
    {"past_dynamic_memory", test_tensor_gemm<Bug::past_dynamic_memory>},
    {"missing_syncwarp", test_swap<Bug::missing_syncwarp>},
    {"copy_to_global", test_tensor_gemm<Bug::copy_to_global>},
    {"matrix_from_global", test_tensor_gemm<Bug::matrix_from_global>},
    {"assumed_alignment", test_lines<Bug::assumed_alignment>},
    {"missing_event_wait", test_pipeline<HostBug::missing_event_wait>},
    {"reused_stage", test_pipeline<HostBug::reused_stage>},
    {"slot_overwritten", test_pipeline<HostBug::slot_overwritten>},
    {"read_too_early", test_pipeline<HostBug::read_too_early>},
    {"host_pointer", test_squares<HostBug::host_pointer>},
    {"host_pointer_in_struct", test_squares<HostBug::host_pointer_in_struct>},
    {"allocate_in_capture", test_captured<HostBug::allocate_in_capture>},
    {"release_in_capture", test_captured<HostBug::release_in_capture>},
    {"pageable_in_capture", test_captured<HostBug::pageable_in_capture>},
    {"few_parts", test_total<HostBug::few_parts>},
};

int usage() {
  fmt::print(
      stderr,
      "usage: sim_bugs_<build> <bug> [fifo|lifo|pct [seed [OS threads [latest|random|none [multiprocessors]]]]]\n"
      "bugs:");
  for (const auto& [name, test] : kTests) fmt::print(stderr, " {}", name);
  fmt::print(stderr, "\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string bug = argc > 1 ? argv[1] : "", policy = argc > 2 ? argv[2] : "fifo";
  const auto test = kTests.find(bug);
  if (test == kTests.end() || (policy != "fifo" && policy != "lifo" && policy != "pct")) return usage();
  sim::Options options;
  options.policy = policy == "fifo" ? sim::Policy::fifo : policy == "lifo" ? sim::Policy::lifo : sim::Policy::pct;
  if (argc > 3) options.seed = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) options.os_threads = std::atoi(argv[4]);
  const std::string async = argc > 5 ? argv[5] : "latest";
  options.async = async == "none" ? sim::Async::none : async == "random" ? sim::Async::random : sim::Async::latest;
  if (argc > 6) options.multiprocessors = std::atoi(argv[6]);
  sim::close_to_host(std::size_t{1} << 30);
  try {
    if (bug == "none" && argc == 2)
      test_all_policies();
    else
      test->second(options);
  } catch (const sim::Error& e) {
    fmt::print("{}\n", e.what());
    return 3;
  }
  if (wrong == 0) fmt::print("right\n");
  return wrong == 0 ? 0 : 1;
}
