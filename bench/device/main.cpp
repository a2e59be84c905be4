// bench_device: akin's CUDA kernels against cuBLASLt, cuDNN and a device copy; the shapes and goals of docs/kernels.md.
#include <fmt/chrono.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

#include "bench/device/harness.hpp"
#include "bench/program.hpp"
#include "engine/build_info.hpp"
#include "kernels/common/sim/sim_device.hpp"

namespace {

using namespace akin;
using namespace akin::bench;

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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "CUDA kernels against cuBLASLt, cuDNN and a device copy, in turns; ratios above 1: akin is faster.\n"
      "Example: bench_device --json kernels.json");
  std::string device = "cuda", json_file, filter;
  bool quick = false, tf32 = false, no_vendor = false;
  int rounds = 11;
  std::size_t l2_mib = 64;
  app.add_option("--device", device, "cuda, or sim: only to see that the benchmarks run")
      ->check(CLI::IsMember({"cuda", "sim"}))
      ->capture_default_str();
  app.add_flag("--quick", quick, "One tiny shape of everything, two rounds");
  app.add_option("--filter", filter, "Only groups with this in their name: gemm, conv2d, rows, losses, mobile, parc");
  app.add_option("--rounds", rounds, "Of both sides")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--l2", l2_mib, "L2 cache, MiB; operands rotate through twice as much")->capture_default_str();
  app.add_flag("--tf32", tf32, "The libraries may round f32 products to tf32");
  app.add_flag("--no-vendor", no_vendor, "Without cuBLASLt and cuDNN");
  app.add_option("--json", json_file, "Write all numbers to this file, anew after each comparison");
  return run_program(app, argc, argv, "bench_device", [&] {
    const std::string begun = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
    if (device == "sim" && !quick) fail_usage("--device sim is for --quick alone: the emulator's times mean nothing");
    Context ctx = device == "sim" ? Context(Device::sim, open_sim({})) : Context(Device::cuda);
    std::unique_ptr<Vendor> vendor;
    std::string about;
    if (ctx.device == Device::cuda && !no_vendor) {
      try {
        vendor = std::make_unique<Vendor>(Vendor::Options{tf32});
        about = vendor->about();
      } catch (const Error& e) {
        about = std::string("none: ") + e.what();
        fmt::print(stderr, "bench_device: no comparison with cuBLASLt and cuDNN: {}\n", e.what());
      }
    }
    const DeviceBench bench{
        .ctx = ctx, .vendor = vendor.get(), .quick = quick, .rounds = rounds, .l2_bytes = l2_mib << 20};
    const Json before = card_state();
    fmt::print("{}\ncommit {}, {}; {}\nlibraries: {}\nat the start: {}\n", describe(ctx), commit(), build_flags(),
               begun, about.empty() ? "none" : about, before.dump());
    fmt::print("{:<62} {:>13} {:>8} {:>8}  speed / speed of the yardstick, median [range of rounds]\n", "", "time",
               "TFLOP/s", "GB/s");
    ResultFile file = result_file("bench_device");
    Json results = Json::array();
    int failed = 0;
    file.processor = describe(ctx);
    file.details.update({{"device", describe(ctx)},
                         {"libraries", about},
                         {"commit", commit()},
                         {"build", build_flags()},
                         {"time", begun},
                         {"card_before", before},
                         {"tf32", tf32}});
    // After every comparison: a program that is cut off leaves all that it knew.
    const auto save = [&] {
      if (json_file.empty()) return;
      file.details["results"] = results;
      write_results(json_file, file);
    };
    const Report report = [&](const Comparison& c) {
      const Result r = compare(bench, c);
      results.push_back(to_json(r));
      if (r.error.empty()) file.rows.push_back({r.name, "us", false, r.own_rounds});
      failed += r.error.empty() ? 0 : 1;
      save();
      print_row(r);
    };
    bool any = false;
    using Group = std::pair<const char*, void (*)(const DeviceBench&, const Report&)>;
    for (const auto& [name, group] : {Group{"gemm", bench_gemm},
                                      {"conv2d", bench_conv2d},
                                      {"rows", bench_rows},
                                      {"losses", bench_losses},
                                      {"mobile", bench_mobile},
                                      {"parc", bench_parc}}) {
      if (std::string(name).find(filter) == std::string::npos) continue;
      any = true;
      try {
        group(bench, report);
      } catch (const Error& e) {  // operands that do not fit, say
        fmt::print("{}: failed: {}\n", name, e.what());
        results.push_back({{"name", name}, {"error", e.what()}});
        ++failed;
      }
      ctx.allocator->flush();
    }
    if (!any) fail_usage("--filter {}: no such group; there are gemm, conv2d, rows, losses, mobile, parc", filter);
    const Json after = card_state();
    fmt::print("at the end: {}\n", after.dump());
    file.details["card_after"] = after;
    save();
    if (failed > 0) fail("{} of {} failed, see above", failed, results.size());
  });
}
