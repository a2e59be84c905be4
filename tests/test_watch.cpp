#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "apps/watch_screen.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::error_of;
using akin::test::has;
using akin::test::TempFolder;
using State = WatchedRun::State;

namespace {

JournalEntry entry() {
  JournalEntry e;
  e.label = "ProbeTaught, seed 0";
  e.unit = "steps";
  e.note = "loss 0.410";
  e.done = 300;
  e.total = 1000;
  e.parts = 4;
  e.begun = 1000;
  e.part_begun = 1100;
  e.updated = 1130;
  for (int i = 1; i <= 30; ++i) {
    e.steps.push_back(10 * i);
    e.losses.push_back(2.5 - 0.07 * i);
  }
  return e;
}

std::string screen(const WatchedRun& run, int columns, double now = 1131) {
  std::string text;
  for (const std::string& line : watch_lines(run, columns, now)) {
    CHECK_MESSAGE(display_width(line) <= static_cast<std::size_t>(columns), line);
    text += line + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a run at work: how far, how long, the loss as a curve, what is finished, at any width") {
  WatchedRun run;
  run.state = State::running;
  run.name = "runs/birds";
  run.now = std::make_unique<JournalEntry>(entry());
  run.students = {{"scratch", 0, 1000, 0.12, 0.35}, {"equal", 0, 1000, 0.5, std::nan("")}};
  for (const int columns : {100, 60, 30}) {
    const std::string text = screen(run, columns);
    CAPTURE(text);
    CHECK(has(text, "300/1000 steps"));
    CHECK(has(text, "loss 2.430"));
    CHECK(has(text, "0.400"));
    CHECK(has(text, "2 of 4 students"));
  }
  const std::string text = screen(run, 100);
  CHECK(has(text, "at work for 2 min 11 s"));
  CHECK(has(text, "1:10 left"));             // 30 s for 300 steps, 700 are left
  CHECK(has(text, "about 2:50 left"));       // and one student of 100 s
  CHECK(has(text, "━━━━━━━━━━━━────────"));  // 30 % of 40
  CHECK(has(text, "scratch"));
  CHECK(has(text, "35.0"));
  CHECK_FALSE(has(text, "nothing new"));
  CHECK(has(screen(run, 100, 1130 + 90), "nothing new for 1 min 30 s"));
  run.state = State::stopped;
  CHECK(has(screen(run, 100), "--resume"));
  CHECK_FALSE(has(screen(run, 100), " left"));
}

TEST_CASE("a sparkline goes from the least to the largest value and is never wider than asked") {
  CHECK_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  CHECK_EQ(sparkline({0, 0, 7, 7}, 2), "▁█");
  CHECK_EQ(sparkline({3, 3}, 9), "▁▁");
  CHECK_EQ(sparkline({}, 9), "");
  CHECK_EQ(sparkline({1}, 0), "");
}

TEST_CASE("a journal is written once a second, read back, and gone at the end") {
  const TempFolder folder;
  {
    RunJournal journal;
    journal.progress("before it is open", 1, 2, "steps", "");
    journal.open(folder.path(), 3);
    journal.progress("a", 1, 100, "steps", "loss 1.5");
    CHECK_FALSE(is_there(folder / kJournal));  // short work leaves no trace
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    journal.progress("a", 2, 100, "steps", "loss 1.25");
    journal.progress("b", 3, 10, "images", "");
    const auto e = read_journal(folder.path());
    REQUIRE(e != nullptr);
    CHECK_EQ(e->label, "a");
    CHECK_EQ(e->done, 2);
    CHECK_EQ(e->parts, 3);
    CHECK_EQ(e->steps, std::vector<std::int64_t>{1, 2});
    CHECK_EQ(e->losses, std::vector<double>{1.5, 1.25});
    CHECK(e->updated >= e->begun + 1);
    write_file_atomic(folder / kJournal, std::string_view("{\"label\": 3}"));
    CHECK(read_journal(folder.path()) == nullptr);
  }
  CHECK_FALSE(is_there(folder / kJournal));
}

TEST_CASE("losses are thinned, and a part that begins again has its own") {
  const TempFolder folder;
  RunJournal journal;
  journal.open(folder.path());
  for (int i = 1; i <= 5000; ++i) journal.progress("a", i, 10000, "steps", "loss 1");
  for (int i = 1; i <= 3; ++i) journal.progress("a", i, 10000, "steps", "loss 2");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  for (int i = 4; i <= 5000; ++i) journal.progress("a", i, 10000, "steps", "loss 2");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  journal.progress("a", 5001, 10000, "steps", "loss 2");
  const auto e = read_journal(folder.path());
  REQUIRE(e != nullptr);
  CHECK(e->losses.size() > 100);
  CHECK(e->losses.size() <= 240);
  CHECK_EQ(e->losses.front(), 2);
  CHECK_EQ(e->part_first, 1);
}

TEST_CASE("whether a run is at work, stopped or finished is told by its folder, which stays as it was") {
  const TempFolder folder;
  CHECK(has(error_of([&] { look_at_run(folder / "none"); }), "no such folder"));
  CHECK(has(error_of([&] { look_at_run(folder.path()); }), "holds no run"));
  write_file_atomic(folder / "config.toml", std::string_view("[distill]\n"));
  CHECK(has(error_of([&] { look_at_run(folder.path()); }), "holds no run"));  // another program's
  write_file_atomic(folder / "config.toml", std::string_view("# akin 0.1.0\n[distill]\n"));
  CHECK(look_at_run(folder.path()).state == State::stopped);
  {
    const FolderLock lock(folder.path());
    CHECK(is_locked(folder.path()));
    CHECK(look_at_run(folder.path()).state == State::running);
  }
  CHECK_FALSE(is_locked(folder.path()));
  write_file_atomic(folder / "report.json", std::string_view("{}"));
  write_file_atomic(folder / "log.jsonl",
                    std::string_view("{\"method\":\"a\",\"seed\":1,\"step\":5,\"loss\":2.0,\"validation\":null}\n"
                                     "{\"method\":\"a\",\"seed\":1,\"step\":10,\"loss\":1.0,\"validation\":0.5}\n"
                                     "{\"method\":\"b\",\"seed\":1,\"step\":3,\"loss\":4.0,\"valid"));
  const WatchedRun run = look_at_run(folder.path());
  CHECK(run.state == State::finished);
  REQUIRE_EQ(run.students.size(), 1);
  CHECK_EQ(run.students[0].steps, 10);
  CHECK_EQ(run.students[0].validation, 0.5);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 3);
}
