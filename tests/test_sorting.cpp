// Pictures put into folders, and back.
#include "distill/predict/sorting.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "engine/io/file.hpp"
#include "tests/temp_folder.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

TEST_CASE("sorting: names of classes become folders, and what was moved meanwhile is told") {
  CHECK_EQ(folder_of_class("tench, Tinca tinca"), "tench, Tinca tinca");
  CHECK_EQ(folder_of_class("a/c"), "a_c");
  CHECK_EQ(folder_of_class(".."), "_..");
  CHECK_EQ(folder_of_class(""), "_");
  const TempFolder folder;
  CHECK(has(error_of([&] { Sorter(Sorter::Way::copy, folder / "s", {"a/b", "a_b"}); }), "would share the folder a_b"));
  write_file_atomic(folder / "1.png", std::string_view("one"));
  write_file_atomic(folder / "2.png", std::string_view("two"));
  Sorter sorter(Sorter::Way::move, folder / "s", {"a", "b"});
  sorter.put(folder / "1.png", 0);
  sorter.put(folder / "2.png", 1);
  sorter.put(folder / "3.png", 1);  // is not there
  CHECK_EQ(sorter.report().sorted, 2);
  CHECK_EQ(sorter.report().faults.size(), 1);
  write_file_atomic(folder / "1.png", std::string_view("new"));
  fs::remove(folder / "s/b/2.png");
  const SortReport back = undo_moves(sorter.list());
  CHECK_EQ(back.sorted, 0);
  CHECK_EQ(back.faults.size(), 2);
  CHECK_EQ(read_text(folder / "1.png"), "new");
  CHECK_EQ(read_text(folder / "s/a/1.png"), "one");
}

namespace {

/// Files of this process get no longer: as on a full disk, what still fits is written.
class FullDisk {
 public:
  explicit FullDisk(std::size_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

std::vector<fs::path> write_numbered(const TempFolder& folder, int n) {
  std::vector<fs::path> files;
  for (int i = 0; i < n; ++i) {
    files.push_back(folder / fmt::format("{}.png", i));
    write_file_atomic(files.back(), std::string_view(fmt::format("picture {}", i)));
  }
  return files;
}

}  // namespace

TEST_CASE("sorting: a list that cannot be written ends the moving, and what was moved comes back") {
  std::size_t line = 0;
  for (const std::size_t room : {std::size_t{5}, std::size_t{30}, std::size_t{8 + 1}}) {
    const TempFolder folder;
    const std::vector<fs::path> files = write_numbered(folder, 5);
    Sorter sorter(Sorter::Way::move, folder / "s", {"a"});
    line = (folder / "s/a/0.png").string().size() + files[0].string().size() + 2;
    // Not even the head; half of the first line; two lines, and a bit of the third.
    const bool some = room == 9;
    {
      const FullDisk disk(some ? 8 + 2 * line + line / 2 : room);
      for (int i = 0; i < 5; ++i) {
        const bool fits = some && i < 2;
        REQUIRE_EQ(sorter.put(files[static_cast<std::size_t>(i)], 0), fits);
        if (!fits) break;
      }
    }
    CHECK_EQ(sorter.report().sorted, some ? 2 : 0);
    REQUIRE_EQ(sorter.report().faults.size(), 1);
    CHECK(has(sorter.report().faults[0], "moved.csv: cannot be written: File too large"));
    CHECK(fs::exists(files[2]));
    CHECK_EQ(fs::exists(folder / "s/moved.csv"), some);
    CHECK_EQ(sorter.list().empty(), !some);
    if (!some) continue;
    CHECK_EQ(fs::file_size(sorter.list()), 8 + 2 * line);
    const SortReport back = undo_moves(sorter.list());
    CHECK_EQ(back.sorted, 2);
    CHECK(back.faults.empty());
    for (const fs::path& file : files) CHECK(fs::exists(file));
  }
}

TEST_CASE("sorting: a last line that is cut off counts as unwritten, wherever the cut is") {
  const TempFolder folder;
  const fs::path odd = folder / "b,\n\"c\".png";
  write_file_atomic(folder / "a.png", std::string_view("a"));
  write_file_atomic(odd, std::string_view("odd"));
  std::string all;
  std::size_t first = 0;
  {
    Sorter sorter(Sorter::Way::move, folder / "s", {"x"});
    REQUIRE(sorter.put(folder / "a.png", 0));
    first = fs::file_size(sorter.list());
    REQUIRE(sorter.put(odd, 0));
    all = read_text(sorter.list());
  }
  CHECK_EQ(undo_moves(folder / "s/moved.csv").sorted, 2);
  for (std::size_t length = first; length < all.size(); ++length) {
    CAPTURE(length);
    make_folder(folder / "s/x");
    fs::rename(folder / "a.png", folder / "s/x/a.png");  // the other one was never moved
    write_file_atomic(folder / "cut.csv", std::string_view(all).substr(0, length));
    const SortReport back = undo_moves(folder / "cut.csv");
    CHECK_EQ(back.sorted, 1);
    CHECK_EQ(back.there, 0);
    CHECK(back.faults.empty());
    REQUIRE(fs::exists(folder / "a.png"));
    REQUIRE(fs::exists(odd));
  }
  // Blanks at the end of a name are part of it.
  {
    write_file_atomic(folder / "blank ", std::string_view("blank"));
    Sorter sorter(Sorter::Way::move, folder / "s", {"x"});
    REQUIRE(sorter.put(folder / "blank ", 0));
    CHECK_EQ(undo_moves(sorter.list()).sorted, 1);
    CHECK(fs::exists(folder / "blank "));
  }
  // A line that says no two places keeps no other from being undone.
  make_folder(folder / "s/x");
  fs::rename(folder / "a.png", folder / "s/x/a.png");
  write_file_atomic(folder / "bad.csv", std::string_view(all.substr(0, first) + "/s/x/b.png\n"));
  const SortReport back = undo_moves(folder / "bad.csv");
  CHECK_EQ(back.sorted, 1);
  REQUIRE_EQ(back.faults.size(), 1);
  CHECK(has(back.faults[0], "line 3: 1 cells"));
}

TEST_CASE("sorting: links that would lead nowhere stay, and links come back whether or not they lead somewhere") {
  const TempFolder folder;
  make_folder(folder / "in/sub");
  write_file_atomic(folder / "in/sub/x.png", std::string_view("x"));
  fs::create_symlink("sub/x.png", folder / "in/rel.png");
  for (const char* name : {"in/abs.png", "in/later.png"}) fs::create_symlink(folder / "in/sub/x.png", folder / name);
  Sorter copies(Sorter::Way::copy, folder / "c", {"a"});
  copies.put(folder / "in/rel.png", 0);
  CHECK_EQ(copies.report().sorted, 1);
  CHECK_EQ(read_text(folder / "c/a/rel.png"), "x");
  Sorter sorter(Sorter::Way::move, folder / "s", {"a"});
  for (const char* name : {"in/abs.png", "in/sub/x.png", "in/rel.png", "in/later.png"})
    CHECK(sorter.put(folder / name, 0));
  CHECK_EQ(sorter.report().links, 1);
  CHECK_EQ(sorter.report().sorted, 3);
  CHECK(sorter.report().faults.empty());
  CHECK(fs::is_symlink(folder / "in/rel.png"));
  CHECK(fs::is_symlink(folder / "s/a/abs.png"));
  // Links whose picture has moved lead nowhere; they come back also where that is lost.
  fs::remove(folder / "s/a/x.png");
  const SortReport back = undo_moves(sorter.list());
  CHECK_EQ(back.sorted, 2);
  CHECK_EQ(back.faults.size(), 1);
  CHECK(fs::is_symlink(folder / "in/abs.png"));
  CHECK(fs::is_symlink(folder / "in/later.png"));
  CHECK_FALSE(fs::is_symlink(folder / "s/a/abs.png"));
  CHECK_EQ(undo_moves(sorter.list()).there, 2);
}
