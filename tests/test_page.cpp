// Sections of the page that show one model closely; rendered_pages (tests/browser) looks at them in a browser.
#include <doctest/doctest.h>

#include <cmath>

#include "distill/report/html.hpp"
#include "distill/report/image.hpp"
#include "distill/report/svg.hpp"
#include "distill/report/verdict.hpp"
#include "engine/io/image.hpp"
#include "engine/io/json.hpp"
#include "tests/report_example.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::has;
using akin_test::example_run;
using akin_test::large_run;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

/// From a heading to the next section.
std::string section(const std::string& page, const std::string& heading) {
  const std::size_t at = page.find("<h2>" + heading + "</h2>");
  return at == std::string::npos ? "" : page.substr(at, page.find("</section>", at) - at);
}

}  // namespace

TEST_CASE("chance and the probe are lines through every method's strip, named once") {
  const ReportData d = large_run(10);
  const std::string part = section(render_report(d), "Results");
  CHECK_EQ(count(part, "class=\"chance\""), d.methods.size() + 1);  // and in the legend
  CHECK_EQ(count(part, "class=\"probe\""), d.methods.size() + 1);
  CHECK(has(part, "guessing 10.0 %"));
  CHECK(has(part, "LinearProbe 78.0 %"));
  // Both lie within the axis: their places are no ends.
  for (const AxisMark& m : reference_marks(d)) CHECK_MESSAGE(m.at < 0.8, m.name);
  CHECK_FALSE(has(section(render_report(example_run()), "Results"), "class=\"probe\""));  // no probe was run
  ReportData nameless = example_run();
  nameless.classes.clear();
  nameless.confusions.clear();
  CHECK(reference_marks(nameless).empty());
}

TEST_CASE("classes come worst first, with counts, what they are called instead, and an interval") {
  ReportData d = example_run();
  std::string part = section(render_report(d), "Class by class");
  const std::size_t one = part.find(">one<"), zero = part.find(">zero<"), two = part.find(">two<");
  CHECK(one < zero);
  CHECK(zero < two);
  CHECK(has(part, "88 of 100"));
  CHECK(has(part, "12 called two"));
  CHECK(has(part, "88 of 100 right, 95 % interval 80 to 93 %"));
  // A class without test images is last and has no share.
  d.confusions[0].counts = {0, 0, 0, 0, 88, 12, 1, 2, 97};
  part = section(render_report(d), "Class by class");
  CHECK(has(part, "<td class=\"num\">–</td><td class=\"num\">0 of 0</td>"));
  CHECK(part.find(">zero<") > part.find(">two<"));

  part = section(render_report(large_run(100)), "Class by class");
  CHECK_EQ(count(part, "<th scope=\"row\">"), 100);
  CHECK(has(part, "The other 88 classes"));
  // Of the model that is handed over, not of the student.
  CHECK(has(part, "What LinearProbe, seed 0, gets right"));
}

TEST_CASE("the surest mistakes are the wrong answers of highest confidence, with file names") {
  const std::vector<int> labels{0, 1, 2, 0, 1}, said{0, 2, 0, 1, 1};
  const std::vector<double> sure{0.99, 0.5, 0.8, 0.8, 1};
  CHECK_EQ(surest_errors(labels, said, sure, 2), std::vector<std::int64_t>{2, 3});
  CHECK_EQ(surest_errors(labels, said, sure, 9), std::vector<std::int64_t>{2, 3, 1});
  CHECK_THROWS_AS(surest_errors(labels, said, std::vector<double>{1.0}, 2), Error);
  const std::string part = section(render_report(large_run(10)), "Surest mistakes");
  CHECK_EQ(count(part, "<img "), 12);
  CHECK(has(part, "alt=\"test/class/IMG_20240102_30.jpg, Red-winged_Blackbird_0; LinearProbe: gull 2, 99\u00a0%\""));
  CHECK(has(part, "data:image/jpeg;base64,"));  // of pictures like photographs the smaller one
  const SampleImage shown = large_run(10).errors.front();
  const std::string url = data_url(shown), head = "data:image/jpeg;base64,";
  REQUIRE(url.starts_with(head));
  const Array back = decode_image(base64_decode(url.substr(head.size())), "here");
  CHECK_EQ(back.shape(), Shape{64, 64, 3});
  double off = 0;
  for (std::size_t i = 0; i < shown.pixels.size(); ++i)
    off += std::abs(int{shown.pixels[i]} - int{back.as<std::uint8_t>()[i]});
  CHECK(off / static_cast<double>(shown.pixels.size()) < 8);
  CHECK(data_url(example_run().samples.front()).starts_with("data:image/png;base64,"));
  CHECK(section(render_report(ReportData{}), "Surest mistakes").empty());
  CHECK(has(section(render_report(example_run()), "What they see"), "test image 0"));  // one without a name
}

TEST_CASE("a curve is drawn where its validation images carry it, and else the page says why not") {
  ReportData d = large_run(10);
  const auto drawn = [&] { return has(render_report(d), "Validation accuracy, %</text>"); };
  d.validation_images = 49;
  CHECK_FALSE(drawn());
  CHECK(has(render_report(d), "49 validation images are fewer than the 50 that carry a curve"));
  CHECK(has(render_report(d), "by up to 14 points"));
  d.validation_images = 50;
  CHECK(drawn());
  CHECK_FALSE(has(render_report(d), "carry a curve"));
  d.validation_images = -1;  // an earlier akin did not say
  CHECK(drawn());
  d = large_run(100);
  d.validation_images = 99;
  CHECK_FALSE(drawn());
  d.validation_images = 0;
  CHECK_FALSE(has(render_report(d), "carry a curve"));  // there is nothing to miss
}

TEST_CASE("the confusion matrix names its classes, however many") {
  const std::string ten = section(render_report(large_run(10)), "What they mix up");
  CHECK(has(ten, "title=\"Red-winged_Blackbird_3\"><span>Red-wing…kbird_3</span>"));
  const std::string hundred = section(render_report(large_run(100)), "What they mix up");
  CHECK_EQ(count(hundred, "<svg class=\"heat\""), 2);  // a third would make the page heavy
  for (const char* name : {">gull 1</text>", ">gull 98</text>", ">Red-winge…ckbird_9</text>"})
    CHECK_MESSAGE(count(hundred, name) == 4, std::string(name));  // rows and columns of both
  // What the run hands over comes first.
  CHECK(hundred.find("LinearProbe, seed 0") < hundred.find("ProbeTaughtTransfer, seed 0"));
}

TEST_CASE("the map marks classes and mistakes, and of many classes the worst ones") {
  ReportData d = large_run(10);
  std::string part = section(render_report(d), "How the model sees the test images");
  CHECK_EQ(count(part, "<path class=\"pt"), 2 * 10);  // and in the legend
  CHECK(has(part, "500 test images"));
  CHECK(has(part, "20 % and 10 % of the variance"));
  const std::size_t ring = part.find("class=\"ring\"");
  CHECK_EQ(count(part.substr(ring, part.find("/>", ring) - ring), "a5 5 0 1 0 10 0"), 100);  // a fifth is wrong
  d = large_run(100);
  for (std::size_t i = 0; i < d.map.labels.size(); ++i)
    d.map.predictions[i] = d.map.labels[i] < 7 ? 99 : d.map.labels[i];
  part = section(render_report(d), "How the model sees the test images");
  CHECK(has(part, "other classes"));
  CHECK(has(part, "</svg>gull 5</li>"));
  CHECK_FALSE(has(part, "</svg>gull 7</li>"));
  d.map = {};
  CHECK(section(render_report(d), "How the model sees the test images").empty());
}

TEST_CASE("how alike teachers are stands in the order of the ranking") {
  const std::string page = render_report(example_run());
  const std::string part = page.substr(page.find("<h3>How alike the teachers are</h3>"));
  CHECK(part.find("1 digits in print") < part.find("2 capitals"));
  CHECK(part.find("2 capitals") < part.find("3 clothes"));
  const std::size_t first = part.find("1 digits in print");
  CHECK(part.find(">0.50<", first) < part.find("2 capitals"));
  CHECK(part.find(">–<", first) < part.find("2 capitals"));  // undefined
  CHECK(has(part, ">0.01<") == false);
  CHECK(has(part, ">−0.01<"));
  ReportData one = example_run();
  one.sources.resize(1);
  one.likeness = {};
  CHECK_FALSE(has(render_report(one), "How alike"));
}

TEST_CASE("the glossary has the methods of the run, and no others") {
  const std::string part = section(render_report(large_run(10)), "How to read this");
  for (const char* word : {"LinearProbe", "Transfer", "ProbeTaughtTransfer", "Guessing", "95 % interval"})
    CHECK_MESSAGE(has(part, "<dt>" + std::string(word) + "</dt>"), std::string(word));
  CHECK_FALSE(has(part, "<dt>ProbeCV</dt>"));
}

TEST_CASE("no claim beyond what the numbers carry") {
  // One seed, and the test images on which the two differ are evenly split.
  ReportData d;
  d.methods = {{"Scratch", MethodRole::labels_only, {{.seed = 0, .test_accuracy = 0.62}}},
               {"Weighted", MethodRole::taught, {{.seed = 0, .test_accuracy = 0.60}}}};
  d.agreement = {50, 10, 12, 28};
  CHECK_FALSE(has(headline_of(d).title, "did not help"));
  d.agreement = {50, 2, 40, 8};
  CHECK(has(headline_of(d).title, "did not help"));
  // Not counted: the verdict names both numbers and no winner.
  d.classes = {"a", "b"};
  d.delivered = "Scratch";
  d.agreement = {};
  std::string all;
  for (const std::string& line : verdict_lines(d)) all += line;
  CHECK(has(all, "Taught and alone: Weighted gets 60.0"));
  CHECK_FALSE(has(all, "Teaching"));
}

TEST_CASE("names are cut in the middle, by characters") {
  CHECK_EQ(shorten_middle("DistillWeightedTransfer", 16), "DistillW…ransfer");
  CHECK_EQ(shorten_middle("Müll", 4), "Müll");
  CHECK_EQ(shorten_middle("Müllüü", 4), "Mü…ü");
  CHECK_EQ(characters("Mü…"), 3);
}

TEST_CASE("what the page needs is kept in report.json; a report of an earlier akin has none of it") {
  const ReportData d = large_run(10);
  const ReportData back = report_from_json(report_to_json(d), "here");
  CHECK_EQ(render_report(back), render_report(d));
  CHECK_EQ(back.errors.front().name, "test/class/IMG_20240102_30.jpg");
  const auto refused = [&](auto change) {
    Json j = Json::parse(report_to_json(d));
    j.erase("sha256");
    change(j);
    try {
      report_from_json(j.dump(), "here");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(has(refused([](Json& j) { j["map"]["x"].push_back(1); }), "here.map: 501 x, 500 y"));
  CHECK(has(refused([](Json& j) { j["likeness"]["cka"].push_back(1); }), "here.likeness: 37 values for 6 sources"));
  CHECK(refused([](Json& j) {
          for (const char* key : {"errors", "map", "likeness"}) j.erase(key);
          for (Json& sample : j["samples"]) sample.erase("name");
        }).empty());
}
