// Files of benchmarks, and what bench_compare says of two of them: planted changes are found, noise is not.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "bench/compare.hpp"
#include "engine/io/file.hpp"
#include "kernels/common/rng.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::bench;
using akin::test::error_of;
using akin::test::has;

namespace {

constexpr int kRounds = 12, kRows = 200;

/// Times about `centre` with a spread of 5 %.
std::vector<double> noisy(double centre, std::uint64_t seed, int rounds = kRounds) {
  Rng rng(seed, 11, 11);
  std::vector<double> out;
  for (int i = 0; i < rounds; ++i) out.push_back(centre * std::exp(0.05 * static_cast<double>(rng.normal())));
  return out;
}

ResultFile file_of(
    std::uint64_t seed, const std::function<double(int)>& factor = [](int) { return 1.0; }) {
  ResultFile file{.program = "bench_x", .processor = "a processor", .threads = 2};
  for (int i = 0; i < kRows; ++i)
    file.rows.push_back({"row " + std::to_string(i), "us", false,
                         noisy((10 + i) * factor(i), 1000 * seed + static_cast<std::uint64_t>(i))});
  return file;
}

std::size_t count(const Changes& c, Moved moved) {
  return static_cast<std::size_t>(
      std::count_if(c.rows.begin(), c.rows.end(), [&](const RowChange& r) { return r.moved == moved; }));
}

}  // namespace

TEST_CASE("rank-sum test: the table of Wilcoxon's distribution, ties, and large samples") {
  const auto p = [](const std::vector<double>& a, const std::vector<double>& b) { return rank_sum_p(a, b); };
  // Of the C(n + m, n) ways to draw A, two lie as far out as all of A below all of B.
  CHECK(std::abs(p({1, 2, 3}, {4, 5, 6}) - 2.0 / 20) < 1e-12);
  CHECK(std::abs(p({4, 5, 6}, {1, 2, 3}) - 2.0 / 20) < 1e-12);
  CHECK(std::abs(p({1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14}) - 2.0 / 3432) < 1e-12);
  CHECK(std::abs(p({1, 2, 4}, {3, 5, 6}) - 4.0 / 20) < 1e-12);  // U = 1: two ways at either end
  CHECK(std::abs(p({1, 4}, {2, 3}) - 1) < 1e-12);               // U in the middle
  CHECK(std::abs(p({5, 5, 5}, {5, 5}) - 1) < 1e-12);
  // 1 1 | 1 2: ranks 2 2 | 2 4; draws of two have sums 4 (three ways) and 6 (three ways), mean 5: all are as far.
  CHECK(std::abs(p({1, 1}, {1, 2}) - 1) < 1e-12);
  CHECK(std::abs(p({1, 1, 1}, {2, 2, 2}) - 2.0 / 20) < 1e-12);
  // The normal limit meets the exact distribution where it takes over: 32 rounds a side are exact, 33 are not.
  for (const double shift : {0.0, 0.01, 0.02, 0.03}) {
    const double exact = p(noisy(1, 1, 32), noisy(1 + shift, 2, 32)),
                 limit = p(noisy(1, 1, 33), noisy(1 + shift, 2, 33));
    CAPTURE(exact);
    CAPTURE(limit);
    CHECK(std::abs(std::log(exact / limit)) < 0.7);
  }
}

TEST_CASE("of 2000 rows of pure noise hardly one moves") {
  std::size_t moved = 0;
  for (std::uint64_t run = 0; run < 10; ++run) {
    const Changes c = changes(file_of(2 * run + 1), file_of(2 * run + 2), {});
    CHECK_EQ(c.rows.size(), kRows);
    moved += count(c, Moved::faster) + count(c, Moved::slower);
  }
  CHECK(moved <= 7);  // binomial: 2000 rows at p = 0.001 give more than 7 once in a thousand
}

TEST_CASE("planted changes are found, their way and no other row, also beside one wild round") {
  const auto planted = [](int i) { return i % 20 == 0 ? 1.25 : i % 20 == 1 ? 1 / 1.25 : 1; };
  const ResultFile before = file_of(1);
  ResultFile after = file_of(2, planted);
  for (ResultRow& row : after.rows) row.rounds[4] *= 3;  // somebody else's process
  const Changes c = changes(before, after, {});
  for (int i = 0; i < kRows; ++i) {
    const RowChange& row = c.rows[static_cast<std::size_t>(i)];
    CAPTURE(row.name);
    CAPTURE(row.p);
    const Moved expected = i % 20 == 0 ? Moved::slower : i % 20 == 1 ? Moved::faster : Moved::no;
    CHECK(row.moved == expected);
  }
  ResultFile rates_before = before, rates_after = after;  // where more is better, the words change places
  for (ResultFile* f : {&rates_before, &rates_after})
    for (ResultRow& row : f->rows) row.higher_is_better = true;
  CHECK(changes(rates_before, rates_after, {}).rows[0].moved == Moved::faster);
  CHECK(changes(rates_before, rates_after, {}).rows[1].moved == Moved::slower);
}

TEST_CASE("a change that is sure but small does not count, and few rounds tell nothing") {
  ResultFile before = file_of(1), after = before;
  for (ResultRow& row : before.rows)
    for (std::size_t i = 0; i < row.rounds.size(); ++i) row.rounds[i] = 100 + 1e-3 * static_cast<double>(i);
  for (ResultRow& row : after.rows)
    for (std::size_t i = 0; i < row.rounds.size(); ++i) row.rounds[i] = 102 + 1e-3 * static_cast<double>(i);
  CHECK_EQ(count(changes(before, after, {}), Moved::slower), 0);
  CHECK_EQ(count(changes(before, after, {.least = 0.01}), Moved::slower), kRows);
  for (ResultRow& row : after.rows) row.rounds.resize(4);
  const Changes few = changes(before, after, {.least = 0.01});
  CHECK_EQ(count(few, Moved::too_few_rounds), kRows);
  CHECK(has(table_of(few, true), "200 rows have too few rounds to tell: 7 on either side can"));
}

TEST_CASE("the table names what moved, and rows that only one file has") {
  ResultFile before = file_of(1), after = file_of(2, [](int i) { return i == 3 ? 2.0 : 1.0; });
  before.rows.erase(before.rows.begin());
  after.rows.pop_back();
  const std::string text = table_of(changes(before, after, {}), false);
  CAPTURE(text);
  CHECK(has(text, "row 3 "));
  CHECK(has(text, "slower\n"));
  CHECK(has(text, "1 of 198 rows moved"));
  CHECK(has(text, "only in the first file: row 199\n"));
  CHECK(has(text, "only in the second file: row 0\n"));
  CHECK(!has(text, "row 4 "));
  CHECK(has(table_of(changes(before, after, {}), true), "row 4 "));
}

TEST_CASE("files of other machines, threads, units or rows are refused") {
  const ResultFile before = file_of(1);
  ResultFile after = file_of(2);
  after.processor = "another";
  CHECK(has(error_of([&] { changes(before, after, {}); }), "two machines, \"a processor\" and \"another\""));
  CHECK_EQ(error_of([&] { changes(before, after, {.across = true}); }), "");
  after = file_of(2);
  after.threads = 1;
  CHECK(has(error_of([&] { changes(before, after, {}); }), "of 2 and 1 threads"));
  after = file_of(2);
  after.rows[5].unit = "ms";
  CHECK(has(error_of([&] { changes(before, after, {}); }), "row \"row 5\" is in us before and in ms after"));
  after = file_of(2);
  for (ResultRow& row : after.rows) row.name += " of another program";
  CHECK(has(error_of([&] { changes(before, after, {}); }), "no row stands in both"));
}

TEST_CASE("a file is read as it was written, and what is none is refused with its name and the reason") {
  const test::TempFolder folder;
  const auto path = folder.path() / "a.json";
  ResultFile file = result_file("bench_x");
  CHECK(file.threads >= 1);
  CHECK(has(file.versions["akin"].get<std::string>(), "akin "));
  file.rows = file_of(1).rows;
  file.rows[1].higher_is_better = true;
  write_results(path, file);
  const ResultFile read = read_results(path);
  CHECK_EQ(read.program, "bench_x");
  CHECK_EQ(read.processor, file.processor);
  CHECK_EQ(read.threads, file.threads);
  REQUIRE_EQ(read.rows.size(), kRows);
  CHECK(read.rows[1].higher_is_better);
  for (int i = 0; i < kRows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(read.rows[at].name == file.rows[at].name);
    CHECK(read.rows[at].rounds == file.rows[at].rounds);
  }

  const auto refuses = [&](const std::string& text, const std::string& reason) {
    write_file_atomic(path, std::string_view(text));
    const std::string message = error_of([&] { read_results(path); });
    CAPTURE(message);
    CHECK(has(message, path.string()));
    CHECK(has(message, reason));
  };
  const std::string head = R"({"kind":"akin benchmark","program":"b","processor":"p","threads":2,"rows":)";
  refuses("", "JSON");
  refuses("[1, 2]", "\"kind\" is not \"akin benchmark\"");
  refuses(R"({"context":{},"benchmarks":[]})", "write one with --json FILE");
  refuses(head + "[]}", "has no \"threads\" or no \"rows\"");
  refuses(head + R"([{"name":"a","unit":"us","better":"lower","rounds":[]}]})", "row \"a\" has no rounds");
  refuses(head + R"([{"name":"a","unit":"us","better":"lower","rounds":[1,null]}]})", "a round is null");
  refuses(head + R"([{"name":"a","unit":"us","better":"lower","rounds":[0]}]})",
          "a round is 0, expected a number above");
  refuses(head + R"([{"name":"a","unit":"us","better":"less","rounds":[1]}]})", "better is \"less\"");
  refuses(head + R"([{"unit":"us"}]})", "has no text \"name\"");
  const std::string row = R"({"name":"a","unit":"us","better":"lower","rounds":[1]})";
  refuses(head + "[" + row + "," + row + "]}", "row \"a\" stands twice");
}
