// bench_device: akin's CUDA kernels against cuBLASLt, cuDNN and a device copy; the shapes and goals of docs/kernels.md.
#include <fmt/chrono.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "bench/device/harness.hpp"
#include "bench/program.hpp"
#include "bench/programs.hpp"
#include "engine/build_info.hpp"
#include "kernels/common/sim/sim_device.hpp"

namespace akin::bench {

namespace {

/// What nvidia-smi says of the first card now, by name; empty where it is not there.
Json card_state() {
  const char* const fields =
      "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,temperature.gpu,power.draw,power.limit";
  std::FILE* pipe = ::popen(
      (std::string("nvidia-smi -i 0 --format=csv,noheader --query-gpu=") + fields + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return Json::object();
  std::array<char, 1024> text{};
  const bool got = std::fgets(text.data(), text.size(), pipe) != nullptr;
  ::pclose(pipe);
  Json state = Json::object();
  if (!got) return state;
  const std::vector<std::string> names = CLI::detail::split(fields, ','),
                                 values = CLI::detail::split({text.data(), std::strcspn(text.data(), "\n")}, ',');
  for (std::size_t i = 0; i < names.size() && i < values.size(); ++i)
    state[names[i]] = CLI::detail::trim_copy(values[i]);
  return state;
}

Json to_json(const RoundStats& s) { return {{"median", s.median}, {"low", s.low}, {"high", s.high}}; }

Json to_json(const Result& r) {
  Json j{{"name", r.name}};
  if (!r.error.empty()) {
    j["error"] = r.error;
    return j;
  }
  j["own_us"] = to_json(r.own_us);
  j["graph"] = r.graph;
  if (r.flops > 0) j["tflops"] = 1e-6 * r.flops / r.own_us.median;
  if (r.bytes > 0) j["gb_per_s"] = 1e-3 * r.bytes / r.own_us.median;
  if (!r.yardstick.empty()) {
    j["yardstick"] = r.yardstick;
    j["yardstick_us"] = to_json(r.other_us);
    j["ratio"] = to_json(r.ratio);
  }
  if (r.difference >= 0) j["difference"] = r.difference;
  if (r.goal > 0) j["goal"] = {{"ratio", r.goal}, {"met", r.ratio.median >= r.goal}};
  if (r.goal_ms > 0) j["goal"] = {{"ms", r.goal_ms}, {"met", r.own_us.median <= 1e3 * r.goal_ms}};
  return j;
}

void print_row(const Result& r) {
  if (!r.error.empty()) {
    fmt::print("{:<62} failed: {}\n", r.name, r.error);
    return;
  }
  fmt::print("{:<62} {:>10.1f} us", r.name, r.own_us.median);
  fmt::print(" {:>8}", r.flops > 0 ? fmt::format("{:.1f}", 1e-6 * r.flops / r.own_us.median) : "");
  fmt::print(" {:>8}", r.bytes > 0 ? fmt::format("{:.0f}", 1e-3 * r.bytes / r.own_us.median) : "");
  if (!r.yardstick.empty())
    fmt::print("  {:.3f} [{:.3f} .. {:.3f}] of {}", r.ratio.median, r.ratio.low, r.ratio.high, r.yardstick);
  if (r.goal > 0) fmt::print(", goal {:.2f}{}", r.goal, r.ratio.median >= r.goal ? ": met" : "");
  if (r.goal_ms > 0) fmt::print("  goal {} ms{}", r.goal_ms, r.own_us.median <= 1e3 * r.goal_ms ? ": met" : "");
  fmt::print("\n");
  std::fflush(stdout);
}

struct Options {
  std::string device = "cuda", json_file, lines_file;
  std::vector<std::string> filters;
  bool quick = false, tf32 = false, no_vendor = false, libraries = false, list = false, once = false;
  int rounds = 11;
  std::size_t l2_mib = 64;

  bool wants(const std::string& name) const {
    return filters.empty() || std::any_of(filters.begin(), filters.end(),
                                          [&](const std::string& f) { return name.find(f) != std::string::npos; });
  }
};

struct Group {
  const char* name;
  void (*run)(const DeviceBench&, const Report&);
  bool against_library;
};
constexpr Group kGroups[] = {{"gemm", bench_gemm, true},      {"conv2d", bench_conv2d, true},
                             {"rows", bench_rows, false},     {"losses", bench_losses, false},
                             {"mobile", bench_mobile, false}, {"parc", bench_parc, false}};

/// Calls report with every comparison that is wanted, and failed(group, error) where a group ends early. Returns the
/// names of all that were. `asked`: whether they are only named.
std::vector<std::string> for_each_comparison(DeviceBench& bench, const Options& o, bool asked, const Report& report,
                                             const std::function<void(const char*, const Error&)>& failed) {
  std::vector<std::string> names;
  for (const Group& group : kGroups) {
    if (o.libraries && !group.against_library) continue;
    bench.wants = [&](const std::string& name) {
      const std::string full = fmt::format("{}: {}", group.name, name);
      if (!o.wants(full)) return false;
      if (std::find(names.begin(), names.end(), full) == names.end()) names.push_back(full);
      return !asked;
    };
    try {
      group.run(bench, report);
    } catch (const Error& e) {  // operands that do not fit, say
      failed(group.name, e);
    }
    bench.ctx.allocator->flush();
  }
  if (names.empty()) fail_usage("--filter {}: nothing has that in its name; --list names all", o.filters[0]);
  return names;
}

/// Each kernel once, alone, for a profiler.
void run_once(DeviceBench& bench, const Options& o) {
  int failed = 0;
  for_each_comparison(
      bench, o, false,
      [&](const Comparison& c) {
        c.own(0);
        bench.ctx.stream->synchronize();
        fmt::print("{}: done once\n", c.name);
      },
      [&](const char* name, const Error& e) {
        fmt::print("{}: failed: {}\n", name, e.what());
        ++failed;
      });
  if (failed > 0) fail("{} failed, see above", failed);
}

void measure(DeviceBench& bench, const Options& o, const std::string& libraries) {
  const std::string begun = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  const Json before = card_state();
  fmt::print("{}\ncommit {}, {}; {}\nlibraries: {}\nat the start: {}\n", describe(bench.ctx), commit(), build_flags(),
             begun, libraries.empty() ? "none" : libraries, before.dump());
  fmt::print("{:<62} {:>13} {:>8} {:>8}  speed / speed of the yardstick, median [range of rounds]\n", "", "time",
             "TFLOP/s", "GB/s");
  ResultFile file = result_file("bench_device");
  LineFile lines(o.lines_file);
  Json results = Json::array();
  int failed = 0;
  file.processor = describe(bench.ctx);
  file.details.update({{"device", describe(bench.ctx)},
                       {"libraries", libraries},
                       {"commit", commit()},
                       {"build", build_flags()},
                       {"time", begun},
                       {"card_before", before},
                       {"tf32", o.tf32}});
  // After every comparison: a program that is cut off leaves all that it knew.
  const auto keep = [&](Json result) {
    failed += result.contains("error") ? 1 : 0;
    results.push_back(result);
    if (!o.json_file.empty()) {
      file.details["results"] = results;
      write_results(o.json_file, file);
    }
    result["kind"] = "kernel";
    result["libraries"] = libraries;
    lines.add(result);
  };
  for_each_comparison(
      bench, o, false,
      [&](const Comparison& c) {
        const Result r = compare(bench, c);
        if (r.error.empty()) file.rows.push_back({r.name, "us", false, r.own_rounds});
        keep(to_json(r));
        print_row(r);
      },
      [&](const char* name, const Error& e) {
        keep({{"name", name}, {"error", e.what()}});
        fmt::print("{}: failed: {}\n", name, e.what());
      });
  const Json after = card_state();
  fmt::print("at the end: {}\n", after.dump());
  file.details["card_after"] = after;
  if (!o.json_file.empty()) write_results(o.json_file, file);
  if (failed > 0) fail("{} of {} failed, see above", failed, results.size());
}

void run(const Options& o) {
  if (o.device == "sim" && !o.quick && !o.list)
    fail_usage("--device sim is for --quick and --list alone: the emulator's times mean nothing");
  Context ctx = o.device == "sim" || o.list ? Context(Device::sim, open_sim({})) : Context(Device::cuda);
  DeviceBench bench{.ctx = ctx, .quick = o.quick, .rounds = o.rounds, .l2_bytes = o.l2_mib << 20};
  if (o.list) {
    const auto none = [](const auto&...) {};
    for (const std::string& name : for_each_comparison(bench, o, true, none, none)) fmt::print("{}\n", name);
    return;
  }
  if (o.once) return run_once(bench, o);
  std::unique_ptr<Vendor> vendor;
  std::string libraries;
  if (!o.no_vendor && ctx.device == Device::cuda) {
    try {
      vendor = std::make_unique<Vendor>(Vendor::Options{o.tf32});
      libraries = vendor->about();
    } catch (const Error& e) {
      if (o.libraries) throw;
      libraries = std::string("none: ") + e.what();
      fmt::print(stderr, "bench_device: no comparison with cuBLASLt and cuDNN: {}\n", e.what());
    }
  }
  bench.vendor = vendor.get();
  measure(bench, o, libraries);
}

}  // namespace

int bench_device(int argc, char** argv) {
  CLI::App app(
      "CUDA kernels against cuBLASLt, cuDNN and a device copy, in turns; ratios above 1: akin is faster.\n"
      "Example: bench_device --json kernels.json");
  Options o;
  app.add_option("--device", o.device, "cuda, or sim: only to see that the benchmarks run")
      ->check(CLI::IsMember({"cuda", "sim"}))
      ->capture_default_str();
  app.add_flag("--quick", o.quick, "One tiny shape of everything, two rounds");
  app.add_option("--filter", o.filters,
                 "Only what has one of these in its name, as --list has it: \"conv2d\", \"rows: add\"");
  app.add_flag("--list", o.list, "Print the names and measure nothing");
  app.add_flag("--once", o.once, "One call of each kernel and no times, for a profiler");
  app.add_option("--rounds", o.rounds, "Of both sides")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--l2", o.l2_mib, "L2 cache, MiB; operands rotate through twice as much")->capture_default_str();
  app.add_flag("--tf32", o.tf32, "The libraries may round f32 products to tf32");
  app.add_flag("--no-vendor", o.no_vendor, "Without cuBLASLt and cuDNN");
  app.add_flag("--libraries", o.libraries, "Only what is compared with these two, which must be there");
  app.add_option("--json", o.json_file, "Write all numbers to this file, anew after each comparison");
  app.add_option("--lines", o.lines_file, "Add each comparison to this file as a line of JSON, as soon as it is done");
  return run_program(app, argc, argv, "bench_device", [&] { run(o); });
}

}  // namespace akin::bench
