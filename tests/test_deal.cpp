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
  const auto walk = [&] {
    for (std::size_t group = 0; group < cells; group += 3) {
      const std::size_t end = std::min(cells, group + 3);
      if (!deal.any_is_mine(group, end)) continue;
      for (std::size_t i = group; i < end; ++i) {
        if (!deal.is_mine(i)) continue;
        if (!run(i)) return false;
        deal.made({std::to_string(i), i % 7 == 6 ? "broken" : ""});
      }
    }
    return true;
  };
  for (;;) try {
      do
        if (!walk()) return deal.end(true);
      while (deal.more());
      return deal.end(false);
    } catch (const LeftOut&) {
      if (!deal.goes_on_alone(true)) return deal.end(false);
    }
}

void a_while() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

/// Ranks that make cells, some of which are lost.
struct Grid {
  static constexpr std::size_t kCells = 40;
  static constexpr double kTimeout = 1.5;  // long enough for threads that wait for a processor
  int ranks = 3, each = 1;                 ///< each: ranks of a group
  /// What happens to rank r in the course of cell i; false: it is gone, and says nothing.
  std::function<bool(Deal& deal, int r, std::size_t i)> happens;

  std::vector<std::atomic<int>> made =
      std::vector<std::atomic<int>>(kCells);  ///< how often, by the first ranks of groups
  std::vector<std::string> heard, lost, errors;
  std::vector<int> left_out;
  std::atomic<bool> all_made = false;
  std::vector<char> well;  ///< 2: has not come to its end

  void run() {
    struct Gone {};
    well.assign(static_cast<std::size_t>(ranks), 2);
    errors = as_ranks(
        ranks,
        [&](const std::shared_ptr<Ranks>& all) {
          const std::shared_ptr<Ranks> group = each > 1 ? all->group(each) : nullptr;
          Deal deal(all.get(), group.get(), kCells,
                    {[&](const DealtCell& cell) { heard.push_back(cell.line); },
                     [&](const std::string& line) { lost.push_back(line); }});
          const int r = all->rank();
          try {
            const bool good = work(deal, kCells, [&](std::size_t i) {
              for (int step = 0; step < 3; ++step) {
                deal.serve();
                a_while();
                if (group != nullptr && deal.has_group()) group->barrier("a step");
              }
              if (happens && !happens(deal, r, i)) {
                while (!all_made) a_while();
                throw Gone();
              }
              if (r % each == 0) ++made[i];
              return true;
            });
            well[static_cast<std::size_t>(r)] = good ? 1 : 0;
          } catch (const Gone&) {
          }
          if (r == 0) left_out = dynamic_cast<ThreadRanks&>(*all).left_out;
          if (r == 0) all_made = true;
        },
        kTimeout);
  }
  bool each_made_once() const {
    return std::all_of(made.begin(), made.end(), [](const std::atomic<int>& n) { return n == 1; });
  }
};

}  // namespace

TEST_CASE("alone a rank has every cell") {
  for (const std::size_t cells : {0, 1, 20}) {
    Deal deal(nullptr, nullptr, cells, {});
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
    Deal deal(ranks.get(), nullptr, kCells,
              {[&](const DealtCell& cell) {
                 lines.push_back(cell.line);
                 broken += cell.error == "broken";
               },
               {}});
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
      Deal deal(ranks.get(), nullptr, 1000, {[](const DealtCell&) {}, {}});
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

TEST_CASE("who has which cell: what comes back goes out again, and what nobody makes is not waited for") {
  CellRoster roster(2, 3);
  CHECK_EQ(roster.deal(0), 0);
  CHECK_EQ(roster.deal(1), 1);
  roster.made(0);
  CHECK_EQ(roster.deal(0), 2);
  CHECK(roster.take_back(1));
  CHECK_FALSE(roster.take_back(1));
  roster.made(0);
  CHECK(roster.open());
  CHECK_EQ(roster.deal(0), 1);
  CHECK_EQ(roster.deal(1), std::nullopt);
  CHECK(roster.open());
  roster.made(0);
  CHECK_FALSE(roster.open());
  CellRoster closed(2, 3);
  CHECK_EQ(closed.deal(0), 0);
  CHECK_EQ(closed.deal(1), 1);
  closed.take_back(0);
  closed.close();
  CHECK_EQ(closed.deal(0), std::nullopt);
  CHECK(closed.open());
  closed.drop(1);
  CHECK_FALSE(closed.open());
}

TEST_CASE("a rank that is lost: another takes its cell, also where all others were made") {
  for (const std::size_t when : {std::size_t{0}, Grid::kCells - 1}) {  // the first cell that it has, or the last of all
    CAPTURE(when);
    Grid grid;
    std::atomic<bool> gone = false;
    std::atomic<std::size_t> its = Grid::kCells;
    grid.happens = [&](Deal& deal, int r, std::size_t i) {
      if (r == 1 && i >= when) {
        its = i;
        gone = true;
        return false;
      }
      // The last cell is to be that rank's.
      while (when > 0 && r != 1 && !gone && i >= Grid::kCells / 2 && i != when) {
        deal.serve();
        a_while();
      }
      return true;
    };
    grid.run();
    if (!gone) continue;  // another one had the last cell
    for (const std::string& e : grid.errors) CHECK_EQ(e, "");
    CHECK(grid.each_made_once());
    REQUIRE_EQ(grid.lost.size(), 1);
    CHECK(grid.lost[0].starts_with("no answer from rank 1 (thread) for 1.5 s"));
    CHECK(grid.lost[0].find("its cell is dealt anew") != std::string::npos);
    CHECK_EQ(grid.left_out, std::vector<int>{1});
    CHECK_EQ(grid.well, std::vector<char>{1, 2, 1});
    CHECK(its < Grid::kCells);
  }
}

TEST_CASE("a rank that was lost and wakes up has nothing more to say") {
  for (const bool at_once : {true, false}) {  // while the others work, or after the end of all
    CAPTURE(at_once);
    Grid grid;
    std::atomic<bool> again = false, left = false;
    std::atomic<std::size_t> its = Grid::kCells;
    grid.happens = [&](Deal& deal, int r, std::size_t i) {
      if (r == 1 && its == Grid::kCells) {
        its = i;
        while (!again && !grid.all_made) a_while();
        try {
          for (;;) {  // its cell goes on
            deal.serve();
            a_while();
          }
        } catch (const LeftOut&) {
          left = true;
          throw;
        }
      }
      if (r != 1 && i == its) again = at_once;
      // So that it wakes up before all is done.
      if (r == 2 && i == its && at_once)
        for (auto woken = std::chrono::steady_clock::now();  // and that it rests for longer than counts as lost
             !left || std::chrono::steady_clock::now() - woken < std::chrono::duration<double>(2 * Grid::kTimeout);) {
          if (!left) woken = std::chrono::steady_clock::now();
          deal.serve();
          a_while();
        }
      return true;
    };
    grid.run();
    for (const std::string& e : grid.errors) CHECK_EQ(e, "");
    CHECK(left);
    CHECK(grid.each_made_once());
    CHECK_EQ(grid.lost.size(), 1);
    CHECK_EQ(grid.well, std::vector<char>{1, 1, 1});
    CHECK(std::count(grid.heard.begin(), grid.heard.end(), std::to_string(its)) <= 1);
  }
}

TEST_CASE("a cell that fails on all ranks of a group is done with; one that fails on one of them ends all") {
  for (const bool on_all : {true, false}) {
    CAPTURE(on_all);
    Grid grid;
    grid.ranks = grid.each = 2;
    grid.happens = [&](Deal& deal, int r, std::size_t i) {
      if (i == 5 && (on_all || r == 1)) deal.failed("broke");
      return true;
    };
    grid.run();
    if (on_all) {
      for (const std::string& e : grid.errors) CHECK_EQ(e, "");
      CHECK(grid.each_made_once());
    } else {
      CHECK_EQ(grid.errors[0], "rank 1 (thread): broke");
      CHECK_NE(grid.errors[1], "");
    }
  }
}

TEST_CASE("the first rank that is lost ends all") {
  std::atomic<int> ended = 0;
  const std::vector<std::string> errors = as_ranks(
      3,
      [&](const std::shared_ptr<Ranks>& all) {
        Deal deal(all.get(), nullptr, 10, {[](const DealtCell&) {}, [](const std::string&) {}});
        try {
          work(deal, 10, [&](std::size_t) {
            if (!all->is_first()) return true;
            while (ended < 2) a_while();
            return false;
          });
        } catch (const RankError&) {
          ++ended;
          throw;
        }
      },
      0.5);
  CHECK_EQ(errors[0], "");
  for (const std::size_t r : {1, 2})
    CHECK_EQ(errors[r], "no answer, waiting for the first rank, which deals the cells");
}

TEST_CASE("groups make cells together; one that loses a rank is left out, and the first rank goes on alone") {
  for (const int victim : {-1, 3, 2, 1}) {
    CAPTURE(victim);
    Grid grid;
    grid.ranks = 4;
    grid.each = 2;
    std::vector<std::atomic<int>> by(4);
    grid.happens = [&](Deal&, int r, std::size_t) {
      ++by[static_cast<std::size_t>(r)];
      return r != victim;
    };
    grid.run();
    for (const std::string& e : grid.errors) CHECK_EQ(e, "");
    // What both of a group had begun, its first may have finished before the other was missed.
    for (const auto& n : grid.made) CHECK(n >= 1);
    if (victim < 0) {
      CHECK(grid.each_made_once());
      CHECK_EQ(by[0], by[1]);
      CHECK_EQ(by[2], by[3]);
      CHECK(by[2] > 0);
      CHECK_EQ(grid.heard.size(), static_cast<std::size_t>(by[2]));
      CHECK(grid.lost.empty());
      CHECK_EQ(grid.well, std::vector<char>{1, 1, 1, 1});
      continue;
    }
    REQUIRE_EQ(grid.lost.size(), 1);
    CHECK(grid.lost[0].find(fmt::format("rank {} (thread)", victim)) != std::string::npos);
    CHECK_EQ(grid.left_out, std::vector<int>{victim});
    for (int r = 0; r < 4; ++r) CHECK_EQ(grid.well[static_cast<std::size_t>(r)], r == victim ? 2 : 1);
  }
}
