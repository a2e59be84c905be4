// Pictures put into folders, and back.
#include "distill/predict/sorting.hpp"

#include <doctest/doctest.h>

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
