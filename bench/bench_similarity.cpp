// Similarity of a bank of tables: what `akin rank --tables` spends its time with, reading and printing left out.
//   bench_similarity --features features.npy --labels labels.npy --metric parc --replicates 200
//   bench_similarity ... --worker     waits for "run SECONDS" on stdin and answers one JSON line; its "images" are
//   sources. "values" is answered by the similarities. bench/peers/similarity_vs_numpy.py takes turns with it and
//   NumPy.
#include <algorithm>
#include <chrono>
#include <ctime>

#include "bench/program.hpp"
#include "distill/similarity/measure.hpp"
#include "engine/io/npy.hpp"

namespace {

using namespace akin;

struct SimilaritySettings {
  std::string features, labels, metric = "parc";
  std::string json;
  int replicates = 0, rounds = 12;
  double seconds = 1;
  bool worker = false;
};

/// Features [S, N, D] of S sources, labels [N].
std::vector<Candidate> read_bank(const SimilaritySettings& s) {
  const Array features = read_npy(s.features), labels = read_npy(s.labels);
  const std::vector<std::int64_t> dims = features.shape().dims();
  AKIN_CHECK(dims.size() == 3 && features.dtype() == DType::f32, "{}: expected f32 features [sources, images, columns]",
             s.features);
  AKIN_CHECK(labels.dtype() == DType::i64 && labels.numel() == dims[1], "{}: expected {} labels of type i64", s.labels,
             dims[1]);
  Probe probe;
  for (const std::int64_t label : labels.as<std::int64_t>()) probe.labels.push_back(static_cast<int>(label));
  probe.classes = 1 + *std::max_element(probe.labels.begin(), probe.labels.end());
  std::vector<Candidate> bank;
  const auto size = static_cast<std::size_t>(dims[1] * dims[2]);
  for (std::int64_t i = 0; i < dims[0]; ++i) {
    const auto one = features.as<float>().subspan(static_cast<std::size_t>(i) * size, size);
    probe.features = Array::from(std::vector<float>(one.begin(), one.end()), {dims[1], dims[2]});
    bank.push_back({fmt::format("source{}", i), probe});
  }
  return bank;
}

/// Whole banks for at least that long: sources, seconds, and the processor's seconds of all threads.
struct Spent {
  std::size_t sources = 0;
  double seconds = 0, processor = 0;
};

Spent run_for(double seconds, const Metric& metric, const std::vector<Candidate>& bank, int replicates) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t processor = std::clock();
  Spent spent;
  do {
    const Measurement measured = measure(metric, bank, {.replicates = replicates});
    const std::string undefined = measured.first_undefined();
    AKIN_CHECK(undefined.empty(), "{}", undefined);
    spent.sources += bank.size();
    spent.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  } while (spent.seconds < seconds);
  spent.processor = static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
  return spent;
}

void run(const SimilaritySettings& s) {
  bench::ResultFile file = bench::result_file("bench_similarity");
  const std::vector<Candidate> bank = read_bank(s);
  const Metric metric = find_metric(s.metric);
  if (s.worker) {
    const auto values = [&] {
      const Measurement measured = measure(metric, bank, {.replicates = s.replicates});
      Json answer{{"values", measured.values()}};
      if (s.replicates > 0)
        for (const SimilarityRow& row : measured.rows) answer["std"].push_back(row.confidence.std);
      return answer;
    };
    const auto timed = [&](double seconds) {
      const Spent spent = run_for(seconds, metric, bank, s.replicates);
      return Json{{"images", spent.sources}, {"seconds", spent.seconds}, {"processor", spent.processor}};
    };
    bench::take_orders(timed, {{"values", values}});
    return;
  }
  std::vector<double> rounds;
  for (int i = 0; i < s.rounds; ++i) {
    const Spent spent = run_for(s.seconds, metric, bank, s.replicates);
    const auto sources = static_cast<double>(spent.sources);
    rounds.push_back(1e3 * spent.seconds / sources);
    fmt::print("{}, {} replicates: {:.3f} ms a source, {:.3f} ms of processor time\n", metric.name, s.replicates,
               rounds.back(), 1e3 * spent.processor / sources);
    std::fflush(stdout);
  }
  if (s.json.empty()) return;
  const Shape& shape = bank.front().probe.features.shape();
  file.rows.push_back(
      {fmt::format("{} {} sources {} x {}, {} replicates", metric.name, bank.size(), shape[0], shape[1], s.replicates),
       "ms", false, rounds});
  write_results(s.json, file);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Time of measuring how similar a bank is");
  SimilaritySettings s;
  app.add_option("--features", s.features, "features.npy: f32 [sources, images, columns]")->required();
  app.add_option("--labels", s.labels, "labels.npy: i64 [images]")->required();
  app.add_option("--metric", s.metric, "as of akin rank");
  app.add_option("--replicates", s.replicates, "bootstrap draws and label shuffles")->check(CLI::NonNegativeNumber);
  app.add_option("--seconds", s.seconds, "of one measurement")->check(CLI::PositiveNumber);
  app.add_option("--rounds", s.rounds, "measurements")->check(CLI::PositiveNumber);
  app.add_option("--json", s.json, "write all rounds to this file, for bench_compare");
  app.add_flag("--worker", s.worker, "take orders from standard input");
  return bench::run_program(app, argc, argv, "bench_similarity", [&] { run(s); });
}
