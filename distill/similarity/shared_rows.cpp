#include "distill/similarity/shared_rows.hpp"

#include <string_view>
#include <type_traits>

namespace akin {
namespace {

/// f of every member that holds something. One that is added to these types does not compile until it is here.
template <class Row, class F>
void each_field(Row& row, F&& f) {
  auto& [source, similarity, confidence, chance, best_share, agreement, undefined, metric_why] = row;
  auto& [metric, value, warnings, error_bound] = similarity;
  auto& [low, high, std, draws, doubts] = confidence;
  auto& [mean, top, p_value, shuffles] = chance;
  const auto all = [&](auto&... fields) { (f(fields), ...); };
  all(source, metric, value, warnings, error_bound, low, high, std, draws, doubts, mean, top, p_value, shuffles);
  all(best_share, agreement, undefined, metric_why);
}

struct Writer {
  std::string text = {};

  void put(const void* data, std::size_t bytes) { text.append(static_cast<const char*>(data), bytes); }
  void operator()(double v) { put(&v, sizeof v); }
  void operator()(const std::string& s) {
    const std::size_t n = s.size();
    put(&n, sizeof n);
    put(s.data(), n);
  }
  template <class T>
  void operator()(const std::vector<T>& all) {
    const std::size_t n = all.size();
    put(&n, sizeof n);
    for (const T& one : all) (*this)(one);
  }
};

struct Reader {
  std::string_view text;

  std::string_view take(std::size_t bytes) {
    AKIN_CHECK(bytes <= text.size(), "similarity: a rank's rows end too early");
    const std::string_view taken = text.substr(0, bytes);
    text.remove_prefix(bytes);
    return taken;
  }
  template <class T>
  T number() {
    T v;
    std::memcpy(&v, take(sizeof v).data(), sizeof v);
    return v;
  }
  void operator()(double& v) { v = number<double>(); }
  void operator()(std::string& s) { s = take(number<std::size_t>()); }
  template <class T>
  void operator()(std::vector<T>& all) {
    const auto n = number<std::size_t>();
    AKIN_CHECK(n <= text.size(), "similarity: a rank's rows are damaged");
    all.resize(n);
    for (T& one : all) (*this)(one);
  }
};

std::vector<std::size_t> sources_of(int rank, int ranks, std::size_t sources) {
  std::vector<std::size_t> own;
  for (auto s = static_cast<std::size_t>(rank); s < sources; s += static_cast<std::size_t>(ranks)) own.push_back(s);
  return own;
}

std::string sum_of(const Array& array) {
  return fmt::format(" {}:{:08x}", array.shape().str(), checksum({array.bytes(), array.byte_size()}));
}

}  // namespace

std::vector<std::size_t> own_sources(const Ranks* ranks, std::size_t sources) {
  return ranks == nullptr ? sources_of(0, 1, sources) : sources_of(ranks->rank(), ranks->size(), sources);
}

void check_same_bank(Ranks& ranks, const Metric& metric, std::span<const Candidate> bank,
                     const ConfidenceOptions& options) {
  std::string what = fmt::format("{} of {}, {} draws, level {}, seed {}", metric.name, bank.size(), options.replicates,
                                 options.level, options.seed);
  for (const Candidate& c : bank) {
    what += fmt::format("\n{} ({} layers, {} classes)", c.name, c.layers, c.probe.classes);
    for (const Array* array : {&c.probe.features, &c.probe.probabilities, &c.probe.reference}) what += sum_of(*array);
    what += fmt::format(" {:08x}", checksum(std::as_bytes(std::span(c.probe.labels))));
  }
  check_same(ranks, what, "metric, features or labels");
}

void gather_rows(Ranks& ranks, std::span<SimilarityRow> rows) {
  Writer own;
  for (const std::size_t s : own_sources(&ranks, rows.size())) each_field(rows[s], own);
  const std::vector<std::string> all = gather(ranks, own.text, "the similarities");
  for (int r = 0; r < ranks.size(); ++r) {
    if (r == ranks.rank()) continue;
    Reader theirs{all[static_cast<std::size_t>(r)]};
    for (const std::size_t s : sources_of(r, ranks.size(), rows.size())) each_field(rows[s], theirs);
  }
}

}  // namespace akin
