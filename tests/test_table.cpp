#include "distill/report/table.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/io/file.hpp"
#include "tests/report_example.hpp"

using namespace akin;
using akin_test::example_run;

namespace {

/// RFC 4180 reader, independent of the writer.
std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string& cell = rows.back().back();
    if (quoted) {
      if (text[i] != '"') {
        cell += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cell += text[++i];
      } else {
        quoted = false;
      }
    } else if (text[i] == '"') {
      quoted = true;
    } else if (text[i] == ',') {
      rows.back().emplace_back();
    } else if (text[i] == '\n') {
      rows.push_back({""});
    } else {
      cell += text[i];
    }
  }
  rows.pop_back();
  return rows;
}

}  // namespace

TEST_CASE("columns line up whatever the letters") {
  TextTable t({{"name", TextTable::Align::left}, {"n", TextTable::Align::right}});
  t.add({"Ελληνικά", "1"});
  t.add({"漢字", "12.5"});
  t.add({"a\u0301\x1b[31m", "–"});
  std::istringstream lines(t.str());
  std::string line;
  std::vector<std::size_t> widths;
  while (std::getline(lines, line)) widths.push_back(display_width(line));
  CHECK(widths == std::vector<std::size_t>(5, 14));  // 8 + 2 blanks + 4
  CHECK(t.str().find('\x1b') == std::string::npos);
  CHECK(display_width("a\u0301漢–") == 4);
  CHECK(display_width("\xE6\xBC") <= 2);  // cut in the middle of a character
  CHECK_THROWS_AS(t.add({"one"}), Error);
}

TEST_CASE("a table that is too wide goes on below, behind the same first column") {
  TextTable t({{"", TextTable::Align::left},
               {"model", TextTable::Align::left},
               {"test %", TextTable::Align::right},
               {"parameters", TextTable::Align::right},
               {"time", TextTable::Align::right}});
  t.add({">", "Scratch", "44.5", "0.2M", "12 s"});
  t.add({"", "Probe", "78.1", "2.2M", "8 s"});
  CHECK(t.str(0) == t.str(200));
  CHECK(t.str(40) == t.str(38));  // 1 + 2 + 7 + 2 + 6 + 2 + 10 + 2 + 4 = 36 fit
  CHECK(t.str(36) == t.str(0));
  const std::string narrow = t.str(32);
  CHECK(narrow ==
        "   model    test %  parameters\n"
        "─  ───────  ──────  ──────────\n"
        ">  Scratch    44.5        0.2M\n"
        "   Probe      78.1        2.2M\n"
        "\n"
        "   model    time\n"
        "─  ───────  ────\n"
        ">  Scratch  12 s\n"
        "   Probe     8 s\n");
  // Narrower than any column: one a part, and nothing is lost.
  const std::string narrowest = t.str(3);
  for (const char* cell : {"44.5", "78.1", "0.2M", "2.2M", "12 s", "8 s"})
    CHECK(narrowest.find(cell) != std::string::npos);
}

TEST_CASE("sentences are broken at blanks, and long words stay whole") {
  CHECK(wrapped("one two three four", 9) == "one two\n  three\n  four");
  CHECK(wrapped("one two three four", 0) == "one two three four");
  CHECK(wrapped("a\nbb ccc\n", 6) == "a\nbb ccc\n");
  CHECK(wrapped("see runs/a-very-long-name now", 8) == "see\n  runs/a-very-long-name\n  now");
  CHECK(wrapped("größer als", 10) == "größer als");
  CHECK(wrapped("  - two  blanks here\n", 14) == "  - two\n    blanks\n    here\n");
  CHECK(wrapped("a    12   8\n", 11) == "a    12   8\n");
  CHECK(shortened("imagenet_mobilenet_u8", 11) == "image…et_u8");
  CHECK(shortened("größer", 4) == "g…er");
  CHECK(shortened("short", 5) == "short");
}

TEST_CASE("the terminal tables show the numbers, nearest source first") {
  const ReportData d = example_run();
  const std::string results = results_table(d), sources = sources_table(d);
  for (const char* text : {"84.1 ± 0.8", "39.4 33.5", "83.1", "32 s", "4.1k"})
    CHECK_MESSAGE(results.find(text) != std::string::npos, std::string(text));
  CHECK(sources.find("digits in print") < sources.find("capitals"));
  CHECK(sources.find("capitals") < sources.find("clothes"));
  CHECK(sources.find("28.0 to 34.0") != std::string::npos);
  CHECK(sources.find("nan") == std::string::npos);
  CHECK(results_table(ReportData{}).find("method") == 0);
}

TEST_CASE("CSV survives commas, quotes and line breaks, and numbers read back exactly") {
  ReportData d = example_run();
  d.methods[0].name = d.sources[0].name = "a,\"b\"\nc";
  d.methods[0].seeds[0].test_accuracy = 1.0 / 3;
  d.methods[0].seeds[1].val_accuracy = not_measured;
  d.methods[0].seeds[1].best_step = -1;
  const auto rows = parse_csv(results_csv(d));
  REQUIRE(rows.size() == 7);
  CHECK(rows[0] == std::vector<std::string>{"method", "seed", "test_accuracy", "val_accuracy", "best_step",
                                            "best_val_accuracy", "best_test_accuracy", "label_head_accuracy",
                                            "taught_head_accuracy", "teacher_cv_accuracy", "teacher_accuracy",
                                            "start_cv_accuracy", "seconds", "images_per_second", "parameters",
                                            "multiply_adds", "file_bytes", "ms_per_image"});
  for (const auto& row : rows) CHECK(row.size() == 18);
  CHECK(rows[1][0] == "a,\"b\"\nc");
  CHECK(std::stod(rows[1][2]) == 1.0 / 3);
  CHECK(rows[2][3].empty());
  CHECK(rows[2][4].empty());
  CHECK(std::stod(rows[3][6]) == 0.764 - 0.01);
}

TEST_CASE("JSON has mean, spread and every seed; what is missing is null") {
  const auto json = nlohmann::json::parse(results_json(example_run()));
  const auto& m = json["methods"][2];
  CHECK(m["name"] == "Weighted");
  CHECK(m["n"] == 2);
  CHECK(m["test_accuracy_mean"].get<double>() == doctest::Approx(0.841));
  CHECK(m["test_accuracy_std"].get<double>() == doctest::Approx(0.012 / std::sqrt(2.0)));
  CHECK(m["seeds"][1]["test_accuracy"] == 0.835);
  CHECK(json["sources"][2]["similarity"].is_null());
}
