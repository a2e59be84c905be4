// Lists of class names as people and programs write them, and names that people take for one.
#include <doctest/doctest.h>

#include "engine/io/file.hpp"
#include "nn/data/alike_names.hpp"
#include "nn/data/class_names.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
using Names = std::vector<std::string>;

namespace {

struct Fixture {
  TempFolder folder;
  Names read(std::string_view text) const {
    write_file_atomic(folder / "classes.txt", text);
    return read_names(folder / "classes.txt");
  }
  std::string error(std::string_view text) const {
    return error_of([&] { read(text); });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "class names: numbers in front that count the lines are no part of the names") {
  const Names animals{"cat", "dog", "wild cat"};
  CHECK_EQ(read("0,cat\n1,dog\n2,wild cat\n"), animals);
  CHECK_EQ(read("1;cat\n2; dog\n3 ;wild cat"), animals);
  CHECK_EQ(read("0\tcat\n1\tdog\n2\twild cat\n"), animals);
  CHECK_EQ(read("0: cat\n1: dog\n2: wild cat\n"), animals);
  CHECK_EQ(read("0  cat\n1  dog\n2  wild cat\n"), animals);
  CHECK_EQ(read("id,name\n0,cat\n1,dog\n2,wild cat\n"), animals);
  CHECK_EQ(read("Label\tName\n1\tcat\n2\tdog\n3\twild cat\n"), animals);
  // In another order they would name the wrong class.
  CHECK(has(error("1 dog\n0 cat\n"), "classes.txt: line 1 has the number 1 before its name"));
  CHECK(has(error("0,cat\n2,dog\n"), "line 2 has the number 2 before its name"));
  CHECK(has(error("id,name\n0,cat\n2,dog\n1,cow\n"), "line 3 has the number 2"));
  CHECK(has(error("5,cat\n6,dog\n"), "sort the lines, or leave the numbers out"));
}

TEST_CASE_FIXTURE(Fixture, "class names: what merely begins with a number, or holds a comma, stays as it is") {
  for (const Names& names : {Names{"0", "1", "2"},
                             {"1 cent", "2 cents", "5 cents"},
                             {"1 cent", "2 cents"},
                             {"2 cents", "1 cent"},
                             {"1,5-diol", "1,2-diol"},
                             {"1,2-diol", "2,3-diol"},
                             {"tench, Tinca tinca", "goldfish, Carassius auratus"},
                             {"id,name", "cat", "dog"},
                             {"3,4-dioxane"},
                             {"0 degrees", "90 degrees", "180 degrees"}})
    CHECK_EQ(read(fmt::format("{}\n", fmt::join(names, "\n"))), names);
}

TEST_CASE("class names: those that people take for one have one form") {
  const std::string composed = "caf\xC3\xA9", decomposed = "cafe\xCC\x81";
  CHECK_EQ(alike_form(composed), alike_form(decomposed));
  CHECK_EQ(alike_form("\xC3\x89t\xC3\xA9"), alike_form("\xC3\xA9t\xC3\xA9"));
  CHECK_EQ(alike_form("wild\xC2\xA0"
                      "cat "),
           "wild cat");
  CHECK_EQ(alike_form(" wild  cat"), "wild cat");
  CHECK_EQ(alike_form("Stra\xC3\x9F"
                      "e"),
           "strasse");
  CHECK_NE(alike_form("cafe"), alike_form(composed));
  CHECK_NE(alike_form("wildcat"), alike_form("wild cat"));
  CHECK_EQ(alike_form("K\xF6ter"), "K\xF6ter");  // no UTF-8
  CHECK_EQ(alike_form(""), "");
  CHECK_EQ(names_twice({"crane", "fox", "crane", "crane", "ox"}), Names{"crane"});
}
