#include "engine/io/csv.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/temp_folder.hpp"

using namespace akin;

TEST_CASE("csv: numbers with and without names of columns") {
  const CsvMatrix plain = parse_csv("1,2.5\n-3e2, 4 \r\n\n+5,\"6\"\n", "plain");
  CHECK(plain.columns.empty());
  REQUIRE(plain.values.shape() == Shape{3, 2});
  const auto v = plain.values.as<double>();
  CHECK(std::vector<double>(v.begin(), v.end()) == std::vector<double>{1, 2.5, -300, 4, 5, 6});

  const CsvMatrix named = parse_csv("\xEF\xBB\xBFw,\"a, b\",label\n1,2,cat\n3,4,\"a \"\"dog\"\"\"\n", "named");
  CHECK(named.columns == std::vector<std::string>{"w", "a, b"});
  CHECK(named.labels == std::vector<std::string>{"cat", "a \"dog\""});
  CHECK(named.values.shape() == Shape{2, 2});
  CHECK_EQ(named.values.as<double>()[3], 4);
  CHECK(std::isnan(parse_csv("nan", "n").values.as<double>()[0]));  // for check_finite to name

  CsvRows rows("a\n\"two\nlines\",b\nlast,", "rows");
  std::vector<std::string> cells;
  REQUIRE(rows.next(cells));
  CHECK_EQ(rows.line(), 1u);
  REQUIRE(rows.next(cells));
  CHECK(cells == std::vector<std::string>{"two\nlines", "b"});
  REQUIRE(rows.next(cells));
  CHECK_EQ(rows.line(), 4u);
  CHECK(cells == std::vector<std::string>{"last", ""});
  CHECK_FALSE(rows.next(cells));
}

TEST_CASE("csv: what is wrong, and where") {
  const auto complaint = [](const char* text) -> std::string {
    try {
      parse_csv(text, "table.csv");
    } catch (const Error& e) {
      return e.what();
    }
    return "none";
  };
  CHECK_EQ(complaint("1,2\n3\n"), "table.csv: line 2 has 1 cells, the first one 2");
  CHECK(complaint("a,b\n1,x\n").find("line 2, column 2: \"x\" is no number") != std::string::npos);
  CHECK(complaint("1,2\n3,\n").find("line 2, column 2: \"\"") != std::string::npos);
  CHECK(complaint("1;2\n3;4\n").find("separated by commas") != std::string::npos);
  CHECK(complaint("").find("no row") != std::string::npos);
  CHECK(complaint("a,b\n").find("no row") != std::string::npos);
  CHECK(complaint("\"1,2\n").find("never closed") != std::string::npos);
  CHECK(complaint("\"1\"2,3\n").find("closing quote") != std::string::npos);
  CHECK_THROWS_AS(read_csv("/nonexistent/file.csv"), Error);
}
