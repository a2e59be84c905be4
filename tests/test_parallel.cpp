// Loops over several threads: nothing left out or done twice, whoever is late; and how many threads there are to be
// had.
#include "kernels/common/parallel.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernels/common/processors.hpp"
#include "tests/temp_folder.hpp"

namespace {

using namespace akin;

/// While alive, loops use n threads.
struct Threads {
  explicit Threads(int n) : before(max_threads()) { set_threads(n); }
  ~Threads() { set_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("parallel: every task is done once, by threads of the loop") {
  for (const int n : {1, 2, 3, 8}) {
    CAPTURE(n);
    const Threads threads(n);
    for (const std::int64_t tasks : {0, 1, 2, 3, 7, 32, 1000}) {
      std::vector<std::atomic<int>> done(static_cast<std::size_t>(tasks));
      std::atomic<int> out_of_range = 0;
      parallel_tasks(tasks, [&](std::int64_t task, int thread) {
        if (thread < 0 || thread >= n) ++out_of_range;
        ++done[static_cast<std::size_t>(task)];
      });
      CHECK(out_of_range == 0);
      for (const auto& count : done) CHECK(count == 1);
    }
  }
}

TEST_CASE("parallel: no number is used by two threads at once") {
  const Threads threads(4);
  std::vector<std::atomic<int>> busy(4);
  std::atomic<int> twice = 0;
  for (int again = 0; again < 200; ++again)
    parallel_tasks(64, [&](std::int64_t, int thread) {
      if (busy[static_cast<std::size_t>(thread)].exchange(1) != 0) ++twice;
      busy[static_cast<std::size_t>(thread)] = 0;
    });
  CHECK(twice == 0);
}

TEST_CASE("parallel: a helper that is late stays out of a loop that has fewer threads") {
  std::atomic<int> out_of_range = 0;
  for (int again = 0; again < 20'000; ++again) {
    const Threads threads(4);
    parallel_tasks(4, [](std::int64_t, int) {});
    parallel_tasks(2, [&](std::int64_t, int thread) { out_of_range += thread >= 2; });
    const Threads fewer(2);
    parallel_tasks(64, [&](std::int64_t, int thread) { out_of_range += thread >= 2; });
  }
  CHECK(out_of_range == 0);
}

TEST_CASE("parallel: who is held up is not waited for by the tasks that are left") {
  for (const std::int64_t slow : {0, 1, 15, 31}) {  // in either thread's share, first and last
    const Threads threads(2);
    std::atomic<int> others = 0;
    parallel_tasks(32, [&](std::int64_t task, int) {
      if (task != slow)
        ++others;
      else
        while (others < 31) std::this_thread::yield();  // for ever, if nobody took the rest of this thread's share
    });
    CHECK(others == 31);
  }
}

TEST_CASE("parallel: many short loops, one after the other") {
  const Threads threads(3);
  std::vector<std::int64_t> parts(16);
  std::int64_t wrong = 0;
  for (std::int64_t loop = 0; loop < 20'000; ++loop) {
    const std::int64_t n = 1 + loop % 16;
    parallel_tasks(n, [&](std::int64_t task, int) { parts[static_cast<std::size_t>(task)] = loop * 16 + task; });
    for (std::int64_t task = 0; task < n; ++task) wrong += parts[static_cast<std::size_t>(task)] != loop * 16 + task;
  }
  CHECK(wrong == 0);
}

TEST_CASE("parallel: a loop in a loop, and loops of two threads at once") {
  const Threads threads(2);
  std::atomic<std::int64_t> sum = 0;
  parallel_tasks(8, [&](std::int64_t, int) {
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) sum += i;
    });
  });
  CHECK(sum == 8 * 4950);
  sum = 0;
  const auto loops = [&] {
    set_threads(2);
    for (int again = 0; again < 500; ++again) parallel_tasks(10, [&](std::int64_t task, int) { sum += task; });
  };
  std::thread one(loops), other(loops);
  one.join();
  other.join();
  CHECK(sum == 2 * 500 * 45);
}

TEST_CASE("parallel: what the lowest of the failing tasks threw comes out, and loops go on working") {
  for (const int n : {1, 2, 4}) {
    CAPTURE(n);
    const Threads threads(n);
    for (int again = 0; again < 50; ++again) {
      std::string what;
      try {
        parallel_tasks(40, [&](std::int64_t task, int) {
          if (task % 7 == 5) throw std::runtime_error(std::to_string(task));
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      CHECK(what == "5");
      std::atomic<int> done = 0;
      std::atomic<int> numbers = 0;
      parallel_tasks(40, [&](std::int64_t, int thread) {
        ++done;
        numbers = std::max(numbers.load(), thread);
        if (n > 1 && thread == 0)  // a thread that thinks it is within a loop would do all of it alone
          for (int look = 0; look < 1'000'000 && numbers == 0; ++look) std::this_thread::yield();
      });
      CHECK(done == 40);
      if (n > 1) CHECK(numbers > 0);
    }
  }
}

TEST_CASE("parallel_for: ranges by n and grain alone") {
  for (const std::int64_t n : {0, 1, 5, 64, 1000, 4097})
    for (const std::int64_t grain : {0, 1, 16, 5000}) {
      std::vector<std::vector<std::int64_t>> seen;
      for (const int count : {1, 2, 5}) {
        const Threads threads(count);
        std::vector<std::int64_t> ends(static_cast<std::size_t>(pieces_of(n, grain)), -1);
        std::vector<std::atomic<int>> done(static_cast<std::size_t>(n));
        parallel_pieces(n, grain, [&](std::int64_t piece, std::int64_t begin, std::int64_t end) {
          ends[static_cast<std::size_t>(piece)] = end;
          for (std::int64_t i = begin; i < end; ++i) ++done[static_cast<std::size_t>(i)];
        });
        for (const auto& times : done) CHECK(times == 1);
        seen.push_back(ends);
      }
      CHECK(seen[1] == seen[0]);
      CHECK(seen[2] == seen[0]);
      if (n > 0) CHECK(seen[0].back() == n);
    }
}

TEST_CASE("parallel: helpers count their time") {
  const Threads threads(2);
  for (int again = 0; again < 50; ++again) parallel_tasks(2, [](std::int64_t, int) {});
  CrewTime time = crew_time();
  for (int look = 0; look < 1000 && time.wanted == 0; ++look) {  // until the helper sleeps, on a busy machine later
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    time = crew_time();
  }
  CHECK(time.helpers >= 1);
  CHECK(time.wanted > 0);
  CHECK(time.processor > 0);
  CHECK(time.processor <= 1.1 * time.wanted + 0.01);
}

TEST_CASE("processors: quotas of control groups, both versions, and those above") {
  const test::TempFolder dir;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((dir.path() / name).parent_path());
    std::ofstream(dir.path() / name) << text;
  };
  CHECK(processor_quota("", dir.path()) == 0);
  CHECK(processor_quota("0::/a/b\n", dir.path()) == 0);
  write("a/b/cpu.max", "max 100000\n");
  CHECK(processor_quota("0::/a/b\n", dir.path()) == 0);
  write("a/cpu.max", "150000 100000\n");
  CHECK(processor_quota("0::/a/b\n", dir.path()) == doctest::Approx(1.5));
  write("a/b/cpu.max", "300000 100000\n");  // the tighter one above counts
  CHECK(processor_quota("0::/a/b\n", dir.path()) == doctest::Approx(1.5));
  write("cpu.max", "50000 100000\n");  // as in a container, where the path is the host's
  CHECK(processor_quota("0::/not/here\n", dir.path()) == doctest::Approx(0.5));

  const std::string old = "5:memory:/x\n4:cpu,cpuacct:/x/y\n3:cpuset:/x\n";
  const test::TempFolder first;
  const auto write1 = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((first.path() / name).parent_path());
    std::ofstream(first.path() / name) << text;
  };
  write1("cpu,cpuacct/x/y/cpu.cfs_quota_us", "-1\n");
  write1("cpu,cpuacct/x/y/cpu.cfs_period_us", "100000\n");
  CHECK(processor_quota(old, first.path()) == 0);
  write1("cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n");
  write1("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
  CHECK(processor_quota(old, first.path()) == doctest::Approx(2.5));
  write1("cpu/x/cpu.cfs_quota_us", "nonsense\n");
  write1("cpu/x/cpu.cfs_period_us", "0\n");
  CHECK(processor_quota(old, first.path()) == doctest::Approx(2.5));
  CHECK(processor_quota("4:cpu:/x/y\n", first.path()) == 0);
  CHECK(available_processors() >= 1);
}
