// What moved between two result files of the benchmarks, row by row (the rule: compare.hpp).
//   bench_compare before.json after.json
#include <cmath>

#include "bench/compare.hpp"
#include "bench/program.hpp"

int main(int argc, char** argv) {
  using namespace akin;
  CLI::App app(
      "What moved between two files that benchmarks wrote with --json, beyond the noise of their rounds.\n"
      "Example: bench_compare before.json after.json\n"
      "Exit code: 0 compared, 1 files that cannot be, 2 wrong use.");
  std::string before, after;
  bench::CompareOptions options;
  double least = 100 * options.least;
  bool moved = false;
  app.add_option("before", before, "A result file")->required();
  app.add_option("after", after, "A result file")->required();
  app.add_option("--least", least, "A row moved when its medians are so many % apart, and its rounds tell")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app.add_flag("--across", options.across, "Also between machines and numbers of threads");
  app.add_flag("--moved", moved, "Only the rows that moved");
  return bench::run_program(app, argc, argv, "bench_compare", [&] {
    if (!std::isfinite(least)) fail_usage("--least: {} is no percentage", least);
    options.least = least / 100;
    const bench::Changes found = bench::changes(bench::read_results(before), bench::read_results(after), options);
    fmt::print("{}", bench::table_of(found, !moved));
  });
}
