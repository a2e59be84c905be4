// What a card can do at most, each measured by kernels that do one thing: what other times are to be compared with.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include "bench/device/harness.hpp"
#include "bench/gpu/probes.hpp"
#include "bench/program.hpp"
#include "bench/programs.hpp"
#include "engine/build_info.hpp"
#include "kernels/common/sim/sim_device.hpp"

namespace akin::bench {

double expected_inside(Inside what, int threads, int rounds) {
  const double steps = double{kInsideSteps} * rounds;
  switch (what) {
    case Inside::shared32:
      return steps;
    case Inside::shared64:
      return 2 * steps;
    case Inside::shared128:
      return 4 * steps;
    case Inside::ldmatrix:
      return 4 * steps;
    case Inside::mma_bf16:
      return 4 * 16 * steps;
    case Inside::mma_tf32:
      return 4 * 8 * steps;
    case Inside::ffma:
      return steps;
    case Inside::dfma:
      return steps;
    case Inside::atomic_spread:
      return 1 + steps;
    case Inside::atomic_one:
      return 1 + steps * threads;
    case Inside::ex2:
      break;
  }
  double sum = 0;
  for (int k = 0; k < kInsideSteps; ++k) {
    double x = 1.0 / (k + 1);
    for (int r = 0; r < rounds; ++r) x = std::exp2(-x);
    sum += x;
  }
  return sum;
}

namespace {

/// How much of everything: for a card, or only to see that the kernels run.
struct Sizes {
  std::int64_t blocks = 1, dram_words = std::int64_t{1} << 28, l2_words = std::int64_t{1} << 22;  // 1 GiB, 16 MiB
  int threads = 1024, rounds = 4096, passes = 20, steps = 20'000, launches = 1000, repeats = 7;
};

struct Constant {
  std::string name, unit, how;
  double work = 1;        ///< of one run, in the unit times milliseconds
  bool duration = false;  ///< the value is time over work, and not work over time
};

class Constants {
 public:
  Constants(Context& ctx, const Sizes& sizes, LineFile& lines) : ctx_(ctx), sizes_(sizes), lines_(lines) {}

  int failed() const { return failed_; }

  void memory() {
    const Grid grid{8 * sizes_.blocks, std::min(sizes_.threads, 256)};
    const std::int64_t flight = 16 * grid.blocks * grid.threads;  // elements that the grid has under way at once
    const auto whole = [&](std::int64_t n) { return std::max(n / flight, std::int64_t{1}) * flight; };
    const std::int64_t n = whole(sizes_.dram_words);
    const Tensor x = words(n), y = words(n), sums = words(grid.blocks * grid.threads);
    const Span all{at(x), n}, copied{at(y), n}, near{all.x, whole(sizes_.l2_words)};
    const double bytes = 4.0 * static_cast<double>(all.n), near_bytes = 4.0 * static_cast<double>(near.n);
    const std::string what = fmt::format("{:.0f} MiB, 16 bytes an access", bytes / (1 << 20));
    const auto sum = [&](const Span& of) {
      queue([&](const auto& s) { read_words(s, grid, of, 1, at(sums)); });
      return sum_of(sums);
    };
    timed(
        {"DRAM write", "GB/s", what, 1e-6 * bytes}, [&](const auto& s) { fill_words(s, grid, all); },
        [&](int) { return sum(all) == pattern_sum(all.n); });
    timed(
        {"DRAM read", "GB/s", what, 1e-6 * bytes}, [&](const auto& s) { read_words(s, grid, all, 1, at(sums)); },
        [&](int) { return sum_of(sums) == pattern_sum(all.n); });
    timed(
        {"DRAM copy", "GB/s", what + ", read and written", 2e-6 * bytes},
        [&](const auto& s) { copy_words(s, grid, all, at(y)); },
        [&](int) { return sum(copied) == pattern_sum(all.n); });
    timed(
        {"L2 read", "GB/s", fmt::format("{} passes over {:.0f} MiB", sizes_.passes, near_bytes / (1 << 20)),
         1e-6 * near_bytes * sizes_.passes},
        [&](const auto& s) { read_words(s, grid, near, sizes_.passes, at(sums)); },
        [&](int) { return sum_of(sums) == pattern_sum(near.n) * static_cast<std::uint32_t>(sizes_.passes); });
    for (const bool far : {false, true}) {
      const Span chain{all.x, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(far ? n : near.n)))};
      // A new line with every step and a new page with few; odd, so that it comes to all of 2^k elements. A run goes on
      // where the one before ended, for what that one read is near.
      constexpr std::int64_t stride = 2049;
      ctx_.stream->fill(sums.raw(), 0, 4);
      queue([&](const auto& s) { fill_chain(s, grid, chain, stride); });
      timed(
          {far ? "DRAM latency" : "L2 latency", "ns",
           fmt::format("one thread, each load says where the next one is, {:.0f} MiB",
                       4.0 * static_cast<double>(chain.n) / (1 << 20)),
           1e-6 * sizes_.steps, true},
          [&](const auto& s) { walk_chain(s, chain, sizes_.steps, at(sums)); },
          [&](int runs) { return host<std::uint32_t>(sums)[0] == stride * sizes_.steps * runs % chain.n; });
    }
    for (const bool spread : {true, false}) {
      const int rounds = spread ? std::max(1, sizes_.rounds / 64) : 4;
      const double adds = static_cast<double>(grid.blocks * grid.threads) * rounds;
      ctx_.stream->fill(x.raw(), 0, static_cast<std::size_t>(near_bytes));
      timed(
          {spread ? "global atomics, spread" : "global atomics, one word", "adds/ns",
           spread ? fmt::format("over {:.0f} MiB", near_bytes / (1 << 20)) : "all threads of the card", 1e-6 * adds},
          [&](const auto& s) { add_to_words(s, grid, near, rounds, spread); },
          [&](int runs) { return sum(near) == static_cast<std::uint32_t>(adds * runs); });
    }
  }

  void multiprocessor() {
    struct Row {
      Inside what;
      const char *name, *unit;
      double lane;  ///< what a thread does in a step
    };
    const Row rows[] = {{Inside::shared32, "shared load, 32 bits", "bytes/clock/SM", 4},
                        {Inside::shared64, "shared load, 64 bits", "bytes/clock/SM", 8},
                        {Inside::shared128, "shared load, 128 bits", "bytes/clock/SM", 16},
                        {Inside::ldmatrix, "ldmatrix.x4", "bytes/clock/SM", 16},
                        {Inside::mma_bf16, "mma.sync m16n8k16 bf16", "products/clock/SM", 64},
                        {Inside::mma_tf32, "mma.sync m16n8k8 tf32", "products/clock/SM", 32},
                        {Inside::ffma, "FFMA", "products/clock/SM", 1},
                        {Inside::dfma, "DFMA", "products/clock/SM", 1},
                        {Inside::ex2, "MUFU ex2", "values/clock/SM", 1},
                        {Inside::atomic_spread, "shared atomics, spread", "adds/clock/SM", 1},
                        {Inside::atomic_one, "shared atomics, one word", "adds/clock/SM", 1}};
    const std::int64_t threads = sizes_.blocks * sizes_.threads;
    const Tensor sums = Tensor::empty(ctx_, {threads}, DType::f64),
                 cycles = Tensor::empty(ctx_, {sizes_.blocks}, DType::i64);
    for (const Row& row : rows) {
      const InsideRun run{sizes_.blocks, sizes_.threads, sizes_.rounds, sums.data<double>(),
                          cycles.data<std::int64_t>()};
      const double expected = expected_inside(row.what, run.threads, run.rounds),
                   block = row.lane * kInsideSteps * run.threads * run.rounds;
      const Constant c{row.name, row.unit,
                       fmt::format("{} threads a multiprocessor; value: by its own clock", run.threads)};
      double ms = 0;
      int runs = 0;
      const bool right = attempt(c, [&] {
        ms = 1e30;
        for (; runs < sizes_.repeats; ++runs)
          ms = std::min(ms, milliseconds([&](const auto& s) { run_inside(s, row.what, run); }));
        for (const double v : host<double>(sums))
          if (!(std::abs(v - expected) <= (row.what == Inside::ex2 ? 1e-4 : 1e-9) * expected)) return false;
        return true;
      });
      if (!right) continue;
      std::vector<double> clocks;
      for (const std::int64_t n : host<std::int64_t>(cycles)) clocks.push_back(static_cast<double>(n));
      const double most = median(clocks);
      tell(c, block / most,
           {{"per_second", 1e3 * block * static_cast<double>(sizes_.blocks) / ms}, {"mhz", 1e-3 * most / ms}});
    }
  }

  void launches() {
    const Tensor x = words(1);
    const int n = sizes_.launches;
    ctx_.stream->fill(x.raw(), 0, 4);
    int touched = 0;
    const auto touch_it = [&](int times) {
      queue([&](const auto& s) {
        for (int i = 0; i < times; ++i) touch(s, at(x));
      });
      touched += times;
    };
    const auto wall = [&](const Constant& c, int each, auto&& work) {
      std::vector<double> us;
      const bool right = attempt(c, [&] {
        for (int r = 0; r <= sizes_.repeats; ++r) {
          const auto begin = std::chrono::steady_clock::now();
          work();
          ctx_.stream->synchronize();
          us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() /
                       each);
        }
        return host<std::uint32_t>(x)[0] == static_cast<std::uint32_t>(touched);
      });
      us.erase(us.begin());  // the first one loads
      if (right) tell(c, median(us), {});
    };
    wall({"launch, many", "us", fmt::format("{} launches of one thread, queued one by one", n)}, n,
         [&] { touch_it(n); });
    wall({"launch, one", "us", "queued and waited for"}, 1, [&] { touch_it(1); });
    for (const int nodes : {n, 1}) {
      ctx_.stream->begin_capture();
      touch_it(nodes);
      touched -= nodes;
      const auto graph = ctx_.stream->end_capture();
      wall({nodes == 1 ? "graph, one node" : "graph, many nodes", "us",
            fmt::format("{} node{} of one thread{}", nodes, nodes == 1 ? "" : "s",
                        nodes == 1 ? ", waited for" : ", each")},
           nodes, [&] { ctx_.stream->launch(*graph), touched += nodes; });
    }
  }

 private:
  Tensor words(std::int64_t n) { return Tensor::empty(ctx_, {4 * n}, DType::u8); }
  static std::uint32_t* at(const Tensor& t) { return reinterpret_cast<std::uint32_t*>(t.raw()); }
  template <class T>
  std::vector<T> host(const Tensor& t) {
    std::vector<T> out(static_cast<std::size_t>(t.numel()) * size_of(t.dtype()) / sizeof(T));
    ctx_.stream->copy(out.data(), t.raw(), out.size() * sizeof(T));
    ctx_.stream->synchronize();
    return out;
  }
  std::uint32_t sum_of(const Tensor& t) {
    std::uint32_t sum = 0;
    for (const std::uint32_t v : host<std::uint32_t>(t)) sum += v;
    return sum;
  }
  /// Of i * 2654435761 over i < n, modulo 2^32.
  static std::uint32_t pattern_sum(std::int64_t n) {
    const auto m = static_cast<std::uint64_t>(n);
    return static_cast<std::uint32_t>(m % 2 == 0 ? m / 2 * (m - 1) : (m - 1) / 2 * m) * 2654435761u;
  }

  template <class Body>
  void queue(Body&& body) {
    on_gpu(ctx_, {"constants", {}}, body);
  }
  template <class Body>
  double milliseconds(Body&& body) {
    const auto begin = ctx_.stream->record();
    queue(body);
    const auto end = ctx_.stream->record();
    end->synchronize();
    return std::max(static_cast<double>(end->milliseconds_since(*begin)), 1e-6);
  }

  /// Runs body(); false, and told, where it throws an Error or says that what came out is wrong.
  template <class Body>
  bool attempt(const Constant& c, Body&& body) {
    std::string wrong = "its result is wrong";
    try {
      if (body()) return true;
    } catch (const Error& e) {
      wrong = e.what();
    }
    ++failed_;
    fmt::print("{:<28} failed: {}\n", c.name, wrong);
    lines_.add({{"kind", "constant"}, {"name", c.name}, {"error", wrong}});
    return false;
  }
  /// right(runs) is asked after the last of so many runs.
  template <class Body, class Right>
  void timed(const Constant& c, Body&& body, Right&& right) {
    std::vector<double> values;
    const bool fine = attempt(c, [&] {
      for (int r = 0; r <= sizes_.repeats; ++r) {
        const double ms = milliseconds(body);
        if (r > 0) values.push_back(c.duration ? ms / c.work : c.work / ms);
      }
      return right(sizes_.repeats + 1);
    });
    if (fine) tell(c, median(values), {});
  }
  void tell(const Constant& c, double value, Json more) {
    Json line{{"kind", "constant"}, {"name", c.name}, {"unit", c.unit}, {"how", c.how}, {"commit", commit()}};
    if (ctx_.device == Device::cuda) {
      line["value"] = value;
      line.update(more);
      fmt::print("{:<28} {:>12.4g} {:<18} {}\n", c.name, value, c.unit, c.how);
    } else {
      line["value"] = nullptr;  // of no card
      fmt::print("{:<28} right; no time of a card\n", c.name);
    }
    std::fflush(stdout);
    lines_.add(line);
  }

  Context& ctx_;
  Sizes sizes_;
  LineFile& lines_;
  int failed_ = 0;
};

}  // namespace

int bench_constants(int argc, char** argv) {
  CLI::App app(
      "Bandwidths, latencies and rates of a card, each by kernels that do one thing.\nExample: akin_gpu constants");
  std::string device = "cuda", lines_file, filter;
  app.add_option("--device", device, "cuda, or sim: only to see that the kernels run")
      ->check(CLI::IsMember({"cuda", "sim"}))
      ->capture_default_str();
  app.add_option("--filter", filter, "Only groups with this in their name: memory, multiprocessor, launches");
  app.add_option("--lines", lines_file, "Add each constant to this file as a line of JSON, as soon as it is known");
  return run_program(app, argc, argv, "constants", [&] {
    const bool sim = device == "sim";
    Context ctx = sim ? Context(Device::sim, open_sim({})) : Context(Device::cuda);
    LineFile lines(lines_file);
    Sizes sizes;
    if (sim)
      sizes = {.dram_words = 1 << 15,
               .l2_words = 1 << 14,
               .threads = 64,
               .rounds = 3,
               .passes = 2,
               .steps = 100,
               .launches = 5,
               .repeats = 1};
    sizes.blocks = ctx.gpu->limits().multiprocessors;
    fmt::print("{}, commit {}\n", describe(ctx), commit());
    Constants constants(ctx, sizes, lines);
    bool any = false;
    for (const auto& [name, group] : {std::pair{"memory", &Constants::memory},
                                      {"multiprocessor", &Constants::multiprocessor},
                                      {"launches", &Constants::launches}}) {
      if (std::string(name).find(filter) == std::string::npos) continue;
      any = true;
      (constants.*group)();
      ctx.allocator->flush();
    }
    if (!any) fail_usage("--filter {}: no such group; there are memory, multiprocessor, launches", filter);
    if (constants.failed() > 0) fail("{} failed, see above", constants.failed());
  });
}

}  // namespace akin::bench
