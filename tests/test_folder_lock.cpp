// Who works in a folder, and what killed writers leave there.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <thread>

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

TEST_CASE("a folder that was moved or made anew is not written into by the owner of the old one") {
  const TempFolder t;
  const fs::path run = t / "run", file = run / "students/a.bin";
  {
    const FolderLock mine(run);
    write_file_atomic(run / "first", std::string_view("x"));
    AtomicFile open(run / "second");
    fs::rename(run, t / "old");
    const auto refused = [&](const auto& write) {
      const std::string error = error_of(write);
      CHECK_MESSAGE(has(error, run.string() + ": was moved, removed or made anew"), error);
    };
    const auto all = [&] {
      refused([&] { write_file_atomic(run / "third", std::string_view("x")); });
      refused([&] { make_folder(file.parent_path()); });
      refused([&] { remove_file(run / "theirs"); });
      refused([&] { open.commit(); });
    };
    all();
    CHECK_FALSE(fs::exists(run));
    fs::create_directory(run);  // another process's
    for (const char* name : {".akin-lock", "theirs"}) std::ofstream(run / name) << "1";
    all();
    write_file_atomic(t / "beside", std::string_view("x"));
  }
  CHECK_EQ(read_text(run / ".akin-lock"), "1");
  CHECK(fs::exists(run / "theirs"));
  CHECK_FALSE(fs::exists(run / "third"));
  CHECK_FALSE(fs::exists(t / "old/.akin-lock"));
  CHECK(fs::exists(t / "old/first"));
}

TEST_CASE("a lock is a file of its own: what a link of its name leads to is left alone") {
  const TempFolder t;
  std::ofstream(t / "precious") << "mine";
  const auto refused = [&] {
    CHECK(has(error_of([&] { const FolderLock mine(t / "run"); }), "is a link or no plain file"));
  };
  fs::create_directory(t / "run");
  fs::create_symlink(t / "precious", t / "run/.akin-lock");
  refused();
  fs::remove(t / "run/.akin-lock");
  fs::create_hard_link(t / "precious", t / "run/.akin-lock");
  refused();
  fs::remove(t / "run/.akin-lock");
  REQUIRE_EQ(::mkfifo((t / "run/.akin-lock").c_str(), 0600), 0);
  refused();
  CHECK_EQ(read_text(t / "precious"), "mine");
  CHECK(fs::exists(t / "run/.akin-lock"));
}

TEST_CASE("a new folder is nobody else's; the folders that were made for nothing go; links to nowhere are named") {
  const TempFolder t;
  {
    const FolderLock one = FolderLock::of_new_folder(t / "runs/now"), two = FolderLock::of_new_folder(t / "runs/now");
    CHECK_EQ(one.folder(), t / "runs/now");
    CHECK_EQ(two.folder(), t / "runs/now-2");
  }
  CHECK_FALSE(fs::exists(t / "runs"));
  { const FolderLock deep(t / "a/b/c/"); }
  CHECK_FALSE(fs::exists(t / "a"));
  fs::create_symlink("nowhere", t / "link");
  for (const char* name : {"link", "link/below"})
    CHECK(has(error_of([&] { make_folder(t / name); }), "link: is a link to nowhere, which is not there"));
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

TEST_CASE("who tidies up takes no writer's file between its last byte and its name") {
  const TempFolder t;
  std::jthread tidies([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) remove_leftovers(t.path());
  });
  for (int i = 0; i < 300; ++i) {
    const std::string text = std::to_string(i);
    REQUIRE_EQ(error_of([&] { write_file_atomic(t / "result.bin", std::string_view(text)); }), "");
    REQUIRE_EQ(read_text(t / "result.bin"), text);
  }
}
