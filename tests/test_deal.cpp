// The cells of a grid, dealt to ranks: each is one rank's, whoever is slow.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "distill/grid/deal.hpp"
#include "tests/thread_ranks.hpp"

using namespace akin;
using namespace akin::test;

namespace {

/// What a rank does of `cells` cells in groups of three: run(number) says whether it was not stopped. Whether all ended
/// well.
bool work(Deal& deal, std::size_t cells, const std::function<bool(std::size_t)>& run) {
  for (std::size_t group = 0; group < cells; group += 3) {
    const std::size_t end = std::min(cells, group + 3);
    if (!deal.any_is_mine(group, end)) continue;
    for (std::size_t i = group; i < end; ++i) {
      if (!deal.is_mine(i)) continue;
      if (!run(i)) return deal.end(true);
      deal.made({std::to_string(i), i % 7 == 6 ? "broken" : ""});
    }
  }
  return deal.end(false);
}

}  // namespace

TEST_CASE("alone a rank has every cell") {
  for (const std::size_t cells : {0, 1, 20}) {
    Deal deal(nullptr, cells, {});
    std::size_t ran = 0;
    CHECK(work(deal, cells, [&](std::size_t i) { return i == ran++; }));
    CHECK_EQ(ran, cells);
  }
}

TEST_CASE("each cell is one rank's, and the first hears of all; who is slow has fewer") {
  constexpr std::size_t kCells = 40;
  std::vector<std::atomic<int>> ran(kCells);
  std::vector<std::size_t> by(3);
  std::vector<std::string> lines;
  std::size_t broken = 0;
  const auto errors = as_ranks(3, [&](const std::shared_ptr<Ranks>& ranks) {
    Deal deal(ranks.get(), kCells, [&](const DealtCell& cell) {
      lines.push_back(cell.line);
      broken += cell.error == "broken";
    });
    const auto r = static_cast<std::size_t>(ranks->rank());
    const bool all = work(deal, kCells, [&](std::size_t i) {
      for (int step = 0; step < (r == 1 ? 40 : 2); ++step) {
        deal.serve();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ++ran[i];
      ++by[r];
      return true;
    });
    AKIN_CHECK(all, "rank {} did not come to an end", r);
  });
  for (const std::string& e : errors) CHECK_EQ(e, "");
  for (const auto& n : ran) CHECK_EQ(n, 1);
  CHECK_EQ(by[0] + by[1] + by[2], kCells);
  CHECK_EQ(lines.size(), by[1] + by[2]);  // its own it knows
  CHECK(by[1] < by[0]);
  CHECK(by[1] < by[2]);
  CHECK(by[2] > 0);
  CHECK(broken <= kCells / 7);
}

TEST_CASE("the first stops all; another that is stopped leaves the work unfinished") {
  for (const int stopped : {0, 2}) {
    CAPTURE(stopped);
    std::vector<char> ended(3, 2);
    as_ranks(3, [&](const std::shared_ptr<Ranks>& ranks) {
      Deal deal(ranks.get(), 1000, [](const DealtCell&) {});
      int mine = 0;
      const bool all = work(deal, 1000, [&](std::size_t) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        const bool told = deal.serve();
        return !(ranks->rank() == stopped && ++mine == 3) && !(ranks->rank() != 0 && told);
      });
      ended[static_cast<std::size_t>(ranks->rank())] = all ? 1 : 0;
    });
    CHECK_EQ(ended[0], 0);
    CHECK_EQ(ended[static_cast<std::size_t>(stopped)], 0);
    if (stopped == 2) CHECK_EQ(ended[1], 1);
  }
}
