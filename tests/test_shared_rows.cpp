// A bank measured by several ranks: each source by one of them, and on all of them the bits of a rank that is alone.
#include "distill/similarity/shared_rows.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "distill/similarity/bank_ranking.hpp"
#include "tests/gpu_case.hpp"
#include "tests/similarity_cases.hpp"
#include "tests/temp_folder.hpp"
#include "tests/thread_ranks.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// Sources that have a value, one with labels of its own, and some that have none for reasons of their own.
std::vector<Candidate> mixed_bank() {
  std::vector<Candidate> bank;
  for (const char* name : {"near", "far", "headless", "own labels", "no label", "huge"}) {
    const auto s = static_cast<std::uint64_t>(bank.size());
    bank.push_back({name, random_probe(60, 8, 3, 1.0 / static_cast<double>(s + 1), s), 8 + 5 * static_cast<int>(s)});
    bank.back().probe.reference = random_probe(60, 5, 3, 0.5, 99).features;
    if (s != 2) bank.back().probe.probabilities = Array::from(std::vector<double>(180, 1 / 3.0), {60, 3});
  }
  std::rotate(bank[3].probe.labels.begin(), bank[3].probe.labels.begin() + 7, bank[3].probe.labels.end());
  bank[4].probe.labels[3] = 9;
  for (double& v : bank[5].probe.features.as<double>()) v *= 1e300;
  return bank;
}

/// All that is in it, doubles by their bits.
std::string bits_of(const Measurement& measured) {
  std::string text = similarity_csv(measured.rows);
  const auto add = [&](double v) { text += fmt::format(" {:x}", std::bit_cast<std::uint64_t>(v)); };
  add(measured.agreement);
  for (const SimilarityRow& row : measured.rows) {
    for (const double v :
         {row.similarity.value, row.similarity.error_bound, row.confidence.low, row.confidence.high, row.confidence.std,
          row.chance.mean, row.chance.high, row.chance.p_value, row.best_share, row.agreement})
      add(v);
    for (const auto* draws : {&row.confidence.draws, &row.chance.draws})
      for (const double v : *draws) add(v);
    for (const std::string& warning : row.confidence.warnings) text += warning;
  }
  return text;
}

/// What each of n ranks has; none may fail.
std::vector<Measurement> measured_by(int n, const std::function<Measurement(Ranks& ranks)>& measure) {
  std::vector<Measurement> all(static_cast<std::size_t>(n));
  for (const std::string& e : as_ranks(n, [&](const std::shared_ptr<Ranks>& ranks) {
         all[static_cast<std::size_t>(ranks->rank())] = measure(*ranks);
       }))
    CHECK_EQ(e, "");
  return all;
}

}  // namespace

TEST_CASE("shared rows: the bits of one rank, on all, also of sources without a value") {
  const std::vector<Candidate> bank = mixed_bank();
  for (const char* name : {"parc", "parc:3", "plasticity:knn", "cka", "leep", "logme", "rsa"})
    for (const int replicates : {0, 30}) {
      CAPTURE(name);
      CAPTURE(replicates);
      const Metric metric = find_metric(name);
      const ConfidenceOptions options{.replicates = replicates, .seed = 3};
      const Measurement alone = measure(metric, bank, options);
      CHECK_FALSE(alone.first_undefined().empty());
      for (const int n : {1, 2, 4, 9})  // 9: more than sources
        for (const Measurement& m :
             measured_by(n, [&](Ranks& ranks) { return measure(metric, bank, options, &ranks); })) {
          CHECK_EQ(m.metric.name, name);
          CHECK(bits_of(m) == bits_of(alone));
        }
    }
  for (const Measurement& m : measured_by(2, [](Ranks& ranks) { return measure(find_metric("knn"), {}, {}, &ranks); }))
    CHECK(m.rows.empty());
}

TEST_CASE("shared rows: every source is measured once, by the ranks in turn") {
  const std::vector<Candidate> bank = mixed_bank();
  std::array<std::atomic<int>, 6> times{};
  Metric counting = find_metric("knn");
  counting.score = [&, score = counting.score](const Probe& probe) {
    for (std::size_t s = 0; s < bank.size(); ++s) times[s] += &probe == &bank[s].probe;
    return score(probe);
  };
  measured_by(4, [&](Ranks& ranks) { return measure(counting, bank, {.replicates = 0}, &ranks); });
  for (const auto& t : times) CHECK_EQ(t.load(), 1);
  CHECK(own_sources(nullptr, 3) == std::vector<std::size_t>{0, 1, 2});
  as_ranks(4, [](const std::shared_ptr<Ranks>& ranks) {
    const auto r = static_cast<std::size_t>(ranks->rank());
    AKIN_CHECK(own_sources(ranks.get(), 6) == (r < 2 ? std::vector{r, r + 4} : std::vector{r}), "dealt otherwise");
  });
}

TEST_CASE("shared rows: the weights, the order and the warnings of a ranking are the same") {
  std::vector<Candidate> bank = mixed_bank();
  bank.resize(4);
  for (const char* name : {"parc", "leep", "auto"}) {
    CAPTURE(name);
    const std::string alone = json_of(rank_bank(bank, name, {.replicates = 20})).dump();
    for (const std::string& e : as_ranks(3, [&](const std::shared_ptr<Ranks>& ranks) {
           const BankRanking ranking = rank_bank(bank, name, {.replicates = 20, .ranks = ranks.get()});
           AKIN_CHECK(json_of(ranking).dump() == alone, "another ranking");
         }))
      CHECK_EQ(e, "");
  }
}

TEST_CASE("shared rows: banks on several cards, whose sources are ranked together") {
  for (const GpuPlace& place : gpu_places())
    for (const char* name : {"parc", "cka"})
      for (const int replicates : {0, 5}) {
        CAPTURE(place.name);
        CAPTURE(name);
        const auto by = [&](Ranks* ranks) {
          Context ctx = place.context();
          std::vector<Candidate> bank = mixed_bank();
          bank[1].probe.features = bank[1].probe.features.cast(DType::f32);
          for (Candidate& c : bank) c.probe.ctx = &ctx;
          return measure(find_metric(name), bank, {.replicates = replicates}, ranks);
        };
        const std::string alone = bits_of(by(nullptr));
        for (const Measurement& m : measured_by(3, [&](Ranks& ranks) { return by(&ranks); }))
          CHECK(bits_of(m) == alone);
      }
}

TEST_CASE("shared rows: another bank or metric on one rank is told on all, with its name") {
  const auto complaints = [](const std::function<void(std::vector<Candidate>&, ConfidenceOptions&)>& change) {
    return as_ranks(3, [&](const std::shared_ptr<Ranks>& ranks) {
      std::vector<Candidate> bank = mixed_bank();
      ConfidenceOptions options{.replicates = 5};
      if (ranks->rank() == 2) change(bank, options);
      measure(find_metric("knn"), bank, options, ranks.get());
    });
  };
  const auto each_says = [](const std::vector<std::string>& errors) {
    for (const std::string& e : errors) CHECK(has(e, "rank 2 (thread): has another metric, features or labels than"));
  };
  each_says(complaints([](auto& bank, auto&) { bank[3].probe.features.template as<double>()[0] += 1; }));
  each_says(complaints([](auto& bank, auto&) { bank[5].probe.labels[0] = 1; }));
  each_says(complaints([](auto& bank, auto&) { bank.pop_back(); }));
  each_says(complaints([](auto&, auto& options) { options.seed = 7; }));
}
