// main() of the benchmarks on Google Benchmark: its options, and --json FILE for bench_compare.
#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

#include "bench/program.hpp"

namespace {

using namespace akin;

/// Prints as ever, and keeps the time of every repetition.
class Rounds : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Iteration && run.iterations > 0) keep(run);
    ConsoleReporter::ReportRuns(runs);
  }
  std::vector<bench::ResultRow> rows;

 private:
  void keep(const Run& run) {
    const std::string name = run.benchmark_name();
    const auto [place, is_new] = places_.emplace(name, rows.size());
    if (is_new) rows.push_back({.name = name, .unit = benchmark::GetTimeUnitString(run.time_unit), .rounds = {}});
    const bool wall = run.run_name.time_type == "real_time";
    rows[place->second].rounds.push_back(wall ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime());
  }
  std::map<std::string, std::size_t> places_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string name = argv[0], json;
  name.erase(0, name.rfind('/') + 1);
  CLI::App app(
      "Times of kernels. Options of Google Benchmark: --benchmark_filter=REGEX, --benchmark_repetitions=N, ...");
  app.allow_extras();
  app.add_option("--json", json,
                 "Write all rounds to this file, for bench_compare; by default 12 repetitions in random order");
  return bench::run_program(app, argc, argv, name.c_str(), [&] {
    std::vector<std::string> words{name};
    // Apart in time, so that a slow moment of the machine does not meet all rounds of one row.
    if (!json.empty())
      words.insert(words.end(), {"--benchmark_repetitions=12", "--benchmark_enable_random_interleaving=true",
                                 "--benchmark_min_time=0.05"});
    for (const std::string& word : app.remaining()) words.push_back(word);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    int count = static_cast<int>(pointers.size());
    benchmark::Initialize(&count, pointers.data());
    if (count > 1) fail_usage("{}: no such option (see --help)", pointers[1]);
    bench::ResultFile file = bench::result_file(name);
    Rounds rounds;
    benchmark::RunSpecifiedBenchmarks(&rounds);
    if (json.empty()) return;
    file.rows = std::move(rounds.rows);
    AKIN_CHECK(!file.rows.empty(), "nothing was measured, so {} is not written", json);
    write_results(json, file);
  });
}
