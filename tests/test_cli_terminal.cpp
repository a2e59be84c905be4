// What a person sees on terminals of several widths: nothing is cut, one line tells how long the run will take.
#include "tests/terminal.hpp"

#include <algorithm>

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// Frames of the line that is drawn over: what stands behind each \r.
std::vector<std::string> frames(const std::string& written) {
  std::vector<std::string> out;
  for (std::size_t at = written.find('\r'); at != std::string::npos; at = written.find('\r', at + 1)) {
    const std::size_t end = written.find_first_of("\r\n", at + 1);
    const Screen drawn = shown_on(written.substr(at + 1, end - at - 1), 1000);
    if (!drawn.lines.empty() && !drawn.lines[0].empty()) out.push_back(drawn.lines[0]);
  }
  return out;
}

std::size_t width(const std::string& line) {
  return static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

TEST_CASE("terminal: fit shows one line for the run, tables that fit, and links to what it wrote") {
  const TempFolder folder;
  make_bank(folder);
  for (const int columns : {60, 100}) {
    CAPTURE(columns);
    const std::string out = (folder / fmt::format("run {}", columns)).string();
    const Screen s = on_terminal(columns, {"fit", (folder / "target").string(), "--sources",
                                           (folder / "a.safetensors").string(), (folder / "b.safetensors").string(),
                                           "--size", "12x12", "--steps", "300", "--threads", "1", "--out", out});
    CAPTURE(s.text());
    REQUIRE_EQ(s.code, 0);
    // Students one after the other, with the time that all will take; the line is gone in the end.
    std::size_t students = 0, left = 0;
    for (const std::string& frame : frames(s.written)) {
      CHECK_LT(width(frame), static_cast<std::size_t>(columns));
      students += has(frame, "of 4 students");
      left += has(frame, "of 4 students") && has(frame, "about ") && has(frame, " left");
    }
    CHECK_GE(students, 2);
    CHECK_GE(left, 1);
    for (const std::string& line : s.lines) {
      CHECK_FALSE(has(line, "of 4 students"));
      CHECK_FALSE(has(line, "of 2 sources"));
      const bool of_table = has(line, "─") || line.starts_with(">");
      if (of_table) CHECK_LE(width(line), static_cast<std::size_t>(columns));
    }
    // All columns are there, on a narrow terminal in two parts.
    for (const char* title : {"model", "validation %", "test %", "parameters", "multiply-adds", "ms a picture"})
      CHECK(has(s.text(), title));
    // Sentences are broken at blanks.
    std::string joined;
    for (const std::string& line : s.lines)
      joined += line.substr(std::min(line.find_first_not_of(' '), line.size())) + " ";
    CHECK(has(joined, " of 60 test pictures right (95 % interval "));
    CHECK(has(joined, "It was chosen by 24 validation pictures, of which it gets "));
    // Links, with the blank in the folder's name spelled out.
    const auto to_report =
        std::find_if(s.links.begin(), s.links.end(), [](const auto& l) { return l.ends_with("/report.html"); });
    REQUIRE(to_report != s.links.end());
    CHECK(to_report->starts_with("file://"));
    CHECK(has(*to_report, fmt::format("/run%20{}/report.html", columns)));
  }
  // Where nobody looks: no line is drawn over, and nothing is a link.
  const Finished plain =
      akin_(folder, {"fit", (folder / "target").string(), "--sources", (folder / "a.safetensors").string(), "--size",
                     "12x12", "--steps", "3", "--threads", "1", "--out", (folder / "plain").string()});
  CAPTURE(plain.err);
  CHECK_EQ(plain.code, 0);
  for (const std::string& text : {plain.out, plain.err}) {
    CHECK_FALSE(has(text, "\x1b"));
    CHECK_FALSE(has(text, "\r"));
  }
  CHECK(has(plain.err, "plain: report.html, student.safetensors, results.csv\n"));
}

TEST_CASE("terminal: rank counts the pictures that it looks at, and its table fits") {
  const TempFolder folder;
  make_bank(folder);
  const Screen s =
      on_terminal(50, {"rank", "--target", (folder / "target").string(), "--labels-per-class", "20", "--sources",
                       (folder / "a.safetensors").string(), "--replicates", "5", "--threads", "1"});
  CAPTURE(s.text());
  REQUIRE_EQ(s.code, 0);
  CHECK(has(s.written, "60/60"));  // of three classes, and no other picture
  CHECK(has(s.text(), "in 0."));   // of a second
  for (const std::string& line : s.lines)
    if (has(line, "─")) CHECK_LE(width(line), 50u);
  for (const char* title : {"source", "95 % interval", "chance", "best in %", "weight"}) CHECK(has(s.text(), title));
}

TEST_CASE("terminal: confusions of many classes with long names have numbers for columns") {
  const TempFolder folder;
  ImageSet set = bars(20, 1, false);
  set.classes = {"Black_footed_Albatross", "Laysan_Albatross", "Sooty_Albatross"};
  for (const Split split : {Split::train, Split::test}) save_images(set, split, folder / "data");
  REQUIRE_EQ(akin_(folder, train_arguments(folder / "data", folder / "run")).code, 0);
  const Arguments eval{
      "eval",        "--model", (folder / "run/model.safetensors").string(), "--data", (folder / "data").string(),
      "--confusion", "--quiet"};
  const Finished f = akin_(folder, eval);
  CAPTURE(f.out);
  CHECK(has(f.out, "true \\ said"));
  CHECK(has(f.out, "\n0 Black_footed_Albatross"));
  CHECK(has(f.out, "\n2 Sooty_Albatross"));
  std::istringstream lines(f.out);
  for (std::string line; std::getline(lines, line);) CHECK_LE(width(line), 60u);
}
