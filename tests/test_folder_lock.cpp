// Who works in a folder, and what killed writers leave there.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>

#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
namespace fs = std::filesystem;

namespace {

/// A process of its own that does `work`, says so, and then waits to be killed.
class Other {
 public:
  explicit Other(const std::function<void()>& work) {
    int ends[2];
    REQUIRE_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
      [[maybe_unused]] const auto told = ::write(ends[1], "x", 1);
      for (;;) ::pause();
    }
    char c = 0;
    REQUIRE_EQ(::read(ends[0], &c, 1), 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Other() { kill(); }
  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a folder has one owner; the next one is told whose it is, until the owner's process ends") {
  const TempFolder t;
  const fs::path run = t / "run";
  {
    Other other([&] { new FolderLock(run); });
    const std::string error = error_of([&] { const FolderLock mine(run); });
    CHECK_MESSAGE(has(error, fmt::format("process {}", other.pid())), error);
    CHECK(has(error, run.string()));
    const FolderLock elsewhere(t / "other");
    other.kill();
    const FolderLock mine(run);
    CHECK_EQ(names_in(run), std::vector<std::string>{".akin-lock"});
  }
  CHECK(names_in(run).empty());  // a folder that was there before stays
  CHECK_FALSE(fs::exists(t / "other"));
  {
    const FolderLock mine(t / "made/new");
    write_file_atomic(t / "made/new/file", std::string_view("x"));
  }
  CHECK_EQ(names_in(t / "made/new"), std::vector<std::string>{"file"});
  for (int i = 0; i < 3; ++i) const FolderLock again(run);
  write_file_atomic(t / "file", std::string_view("x"));
  CHECK(has(error_of([&] { const FolderLock mine(t / "file"); }), "folder"));
}

TEST_CASE("temporary files of killed writers go when somebody writes in their folder; those of living ones stay") {
  const TempFolder t;
  Other dead([&] { (new AtomicFile(t / "result.bin"))->write(std::string_view("half")); });
  Other alive([&] { (new AtomicFile(t / "result.bin"))->write(std::string_view("half")); });
  CHECK_EQ(names_in(t.path()).size(), 2);
  dead.kill();
  const std::vector<std::string> foreign = {".result.bin.123-4.tmp", ".akin-x", "result.akin-1-1.tmp"};
  for (const std::string& name : foreign) std::ofstream(t / name) << "another program's";
  CHECK_EQ(remove_leftovers(t.path()), 1);
  CHECK_EQ(names_in(t.path()).size(), 1 + foreign.size());
  alive.kill();
  write_file_atomic(t / "other.bin", std::string_view("x"));  // the first one that this process writes here
  std::vector<std::string> left = foreign;
  left.emplace_back("other.bin");
  std::vector<std::string> found = names_in(t.path());
  std::sort(left.begin(), left.end());
  std::sort(found.begin(), found.end());
  CHECK_EQ(found, left);
}
