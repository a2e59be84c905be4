#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "distill/report/html.hpp"
#include "distill/report/svg.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "tests/report_example.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using akin::test::TempFolder;
using akin_test::example_run;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Empty for well-formed HTML, else what is wrong: tags balance, attributes are quoted, no stray < or &.
std::string html_fault(const std::string& html) {
  static const std::set<std::string> empty = {"meta", "img", "br", "hr", "link", "input", "wbr"};
  std::vector<std::string> open;
  for (std::size_t i = 0; i < html.size();) {
    if (html[i] == '&') {
      const std::size_t end = html.find(';', i);
      if (end == std::string::npos || end - i > 8) return "stray & near " + html.substr(i, 20);
      ++i;
      continue;
    }
    if (html[i] == '>') return "stray > near " + html.substr(i < 20 ? 0 : i - 20, 30);
    if (html[i] != '<') {
      ++i;
      continue;
    }
    if (html.compare(i, 2, "<!") == 0) {
      i = html.find('>', i) + 1;
      continue;
    }
    const bool closing = html[i + 1] == '/';
    std::size_t k = i + 1 + closing;
    std::string name;
    while (k < html.size() && (std::isalnum(static_cast<unsigned char>(html[k])) != 0)) name += html[k++];
    if (name.empty()) return "stray < near " + html.substr(i, 20);
    bool quoted = false, self = false;
    for (; k < html.size() && (quoted || html[k] != '>'); ++k) {
      if (html[k] == '"') quoted = !quoted;
      if (html[k] == '<') return "< inside tag " + name;
      if (html[k] == '=' && !quoted && html[k + 1] != '"') return "unquoted attribute in " + name;
      self = html[k] == '/';
    }
    if (k == html.size()) return "unfinished tag " + name;
    i = k + 1;
    if (closing) {
      if (open.empty() || open.back() != name)
        return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (!self && !empty.contains(name)) {
      open.push_back(name);
      if (name == "style") {  // raw text
        i = html.find("</style>", i);
        if (i == std::string::npos) return "unfinished style";
      }
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

}  // namespace

TEST_CASE("the checker of this test rejects broken pages") {
  CHECK(html_fault("<p>a &amp; b</p><img alt=\"x\"><line x=\"1\"/>").empty());
  for (const char* bad :
       {"<p>", "<p></b>", "</p>", "<p>a & b</p>", "<p>1 < 2</p>", "<p class=a></p>", "<p>a > b</p>"}) {
    CHECK_MESSAGE(!html_fault(bad).empty(), std::string(bad));
  }
}

TEST_CASE("the page is well formed, loads nothing and contains the numbers") {
  const std::string page = render_report(example_run());
  CHECK(html_fault(page) == "");
  for (const char* outside : {"http:", "https:", "//cdn", "<script", "<link", "@import", "url("})
    CHECK(!has(page, outside));
  for (std::size_t at = page.find("src=\""); at != std::string::npos; at = page.find("src=\"", at + 1)) {
    CHECK(page.compare(at, 27, "src=\"data:image/png;base64,") == 0);
  }
  for (const char* text :
       {"84.1 ± 0.8", "75.9 ± 0.7", "36.5 ± 4.2", "best 83.1", "31.2", "28.0 to 34.0", "0.750", ">97<", "1 min 02 s",
        "Of 100 test images, 30 are right with both, 50 only with Weighted", "276 of 300 right", "akin demo",
        "18446744073709551615", "viewport", "prefers-color-scheme:dark", "@media print", "A note."}) {
    CHECK_MESSAGE(has(page, text), std::string(text));
  }
  CHECK(page.find("digits in print") < page.find("capitals</"));  // sorted by similarity
  CHECK(!has(page, "nan"));
  CHECK(!has(page, "inf<"));
}

TEST_CASE("missing values show as a dash, an empty run is a page") {
  ReportData d = example_run();
  for (MethodResult& m : d.methods) {
    for (Figures& s : m.seeds) s = {.seed = s.seed, .images_per_second = INFINITY};
  }
  for (Curve& c : d.curves) {
    for (CurvePoint& p : c.points) p.loss = p.validation = not_measured;
  }
  for (SampleImage& s : d.samples) s.predictions.clear();
  for (const ReportData& data : {d, ReportData{}}) {
    const std::string page = render_report(data);
    CHECK(html_fault(page) == "");
    for (const char* bad : {">nan", "\"nan", "-nan", ">inf", "\"inf"}) CHECK(!has(page, bad));
    CHECK(has(page, "No run of this experiment has finished yet"));
  }
  CHECK(has(render_report(d), "<td class=\"num\">–"));
}

TEST_CASE("what there is to say of a ranking stands beside it, everywhere; a report of an earlier akin has nothing") {
  const ReportData d = example_run();
  const ReportData read = report_from_json(report_to_json(d), "here");
  CHECK(read.ranking_notes == d.ranking_notes);
  const std::string page = render_report(read), table = sources_table(read), json = results_json(read);
  REQUIRE_EQ(d.ranking_notes.size(), 2);
  for (const std::string& note : d.ranking_notes)
    for (const std::string* text : {&page, &table, &json}) CHECK(has(*text, note));
  Json old = Json::parse(report_to_json(d));
  old.erase("ranking_notes");
  old.erase("sha256");
  CHECK(report_from_json(old.dump(), "here").ranking_notes.empty());
}

TEST_CASE("strings from outside cannot become markup") {
  const std::string evil = "<script>alert('1')</script>\" onload=\"x & \x01\xff</title></svg>";
  ReportData d = example_run();
  d.title = d.device = d.commit = d.time = d.command = d.config = d.metric = evil;
  d.task = d.glossary = {{evil, evil}};
  d.classes = {evil, "b", "c"};
  d.notes = d.ranking_notes = {evil};
  for (SourceResult& s : d.sources) s.name = evil;
  for (MethodResult& m : d.methods) m.name += evil;
  for (Curve& c : d.curves) c.method += evil;
  for (Confusion& c : d.confusions) c.method += evil;
  for (SampleImage& s : d.samples) {
    for (Prediction& p : s.predictions) p.method += evil;
  }
  std::string page = render_report(d);
  CHECK(html_fault(page) == "");
  CHECK(!has(page, "<script"));
  CHECK(!has(page, "\" onload"));
  CHECK(has(page, "&lt;script&gt;"));
  CHECK(!has(page, "\x01"));
  CHECK(!has(page, "\xff"));
  // With many classes the picture takes the table's place; its titles hold class names too.
  d.confusions = {{evil, 0, 20, std::vector<std::int64_t>(400, 1)}};
  page = render_report(d);
  CHECK(html_fault(page) == "");
  CHECK(!has(page, "<script"));
  // A report whose names are not UTF-8 can still be stored.
  CHECK_NOTHROW(report_from_json(report_to_json(d), "here"));
}

TEST_CASE("the headline follows the numbers") {
  const auto with = [](double scratch, double fixmatch, std::vector<double> taught) {
    ReportData d;
    d.methods = {{"Scratch",
                  MethodRole::labels_only,
                  {{.seed = 0, .test_accuracy = scratch - .005}, {.seed = 1, .test_accuracy = scratch + .005}}},
                 {"FixMatch",
                  MethodRole::unlabelled,
                  {{.seed = 0, .test_accuracy = fixmatch - .005}, {.seed = 1, .test_accuracy = fixmatch + .005}}},
                 {"Weighted", MethodRole::taught, {}}};
    for (std::size_t i = 0; i < taught.size(); ++i)
      d.methods[2].seeds.push_back({.seed = i, .test_accuracy = taught[i]});
    const Headline h = headline_of(d);
    std::string text = h.title;
    for (const std::string& line : h.lines) text += " | " + line;
    return text;
  };
  const std::string nbsp = "\xC2\xA0";
  const std::string win = with(.4, .7, {.83, .85});
  CHECK(has(win, "Taught by other tasks, the student gets 84.0" + nbsp + "% right; alone, 40.0" + nbsp + "%"));
  CHECK(has(win, "14.0" + nbsp + "points is larger than the spread"));
  CHECK(has(win, "ahead in 2 of 2"));
  // Spread of both: 0.7 + 14.1 points, more than the 4 points between the means.
  CHECK(has(with(.4, .7, {.64, .84}), "within the spread over seeds"));
  CHECK(has(with(.4, .7, {.64, .84}), "ahead in 1 of 2"));
  CHECK(has(with(.4, .7, {.30, .31}),
            "Teaching did not help here: 30.5" + nbsp + "% right with teachers, 40.0" + nbsp + "% alone"));
  CHECK(has(with(.4, .7, {.60, .61}),
            "But FixMatch, which has no teachers, reaches 70.0" + nbsp + "%: more than Weighted"));
  CHECK(has(with(.4, .4, {.40, .40}), "Taught by other tasks or not"));
  CHECK(has(with(.4, .7, {.84}), "run more seeds"));
  CHECK(has(with(.4, .7, {}), "No student taught by other tasks was run"));
  CHECK(has(with(.4, .7, {NAN}), "No student taught by other tasks was run"));
}

TEST_CASE("validation accuracy chooses the student, never test accuracy where it can be helped") {
  ReportData d;
  d.methods = {{"A", MethodRole::taught, {{.seed = 0, .test_accuracy = .9, .val_accuracy = .5}}},
               {"B", MethodRole::taught, {{.seed = 0, .test_accuracy = .8, .val_accuracy = .6}}}};
  CHECK(contest_of(d).student->name == "B");
  CHECK(!contest_of(d).student_chosen_on_test);
  d.student = "A";
  CHECK(contest_of(d).student->name == "A");
  CHECK(!has(render_report(d), "chosen on validation images"));  // no step was chosen
  d.student = "B";
  CHECK(has(render_report(d), "A does best on the test images: 90.0"));
  d.student.clear();
  d.methods[1].seeds[0].val_accuracy = not_measured;
  CHECK(contest_of(d).student->name == "A");
  CHECK(contest_of(d).student_chosen_on_test);
  CHECK(has(render_report(d), "that flatters it"));
}

TEST_CASE("spread is the sample standard deviation of what was measured") {
  const Spread s = spread_of({1, NAN, 2, 4});
  CHECK(s.n == 3);
  CHECK(s.mean == doctest::Approx(7.0 / 3));
  CHECK(s.std == doctest::Approx(1.5275252316519468));  // sqrt(7/3)
  CHECK(std::isnan(spread_of({1}).std));
  CHECK(std::isnan(spread_of({}).mean));
}

TEST_CASE("report.json keeps everything, bit for bit") {
  const TempFolder folder;
  const ReportData d = example_run();
  write_report(d, folder.path() / "run");
  const ReportData back = load_run(folder.path() / "run");
  CHECK(report_to_json(back) == report_to_json(d));
  CHECK(render_report(back) == render_report(d));
  CHECK(read_text(folder.path() / "run" / "report.html") == render_report(d));
  REQUIRE(back.samples.size() == d.samples.size());
  for (std::size_t i = 0; i < d.samples.size(); ++i) CHECK(back.samples[i].pixels == d.samples[i].pixels);
  CHECK(back.methods[0].seeds[0].test_accuracy == d.methods[0].seeds[0].test_accuracy);
  CHECK(std::isnan(back.sources[2].similarity));
  CHECK(back.seeds[1] == d.seeds[1]);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path() / "run"), {}) == 2);  // no temporary file left
}

TEST_CASE("a broken report.json is refused with its name") {
  const TempFolder folder;
  const auto message = [&](const std::string& text) -> std::string {
    write_file_atomic(folder.path() / "report.json", text);
    try {
      load_run(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK_THROWS_AS(load_run(folder.path() / "nowhere"), Error);
  const std::string good = report_to_json(example_run());
  CHECK(message(good).empty());
  for (std::size_t n = 0; n + 2 < good.size(); n += 199) CHECK(has(message(good.substr(0, n)), "report.json"));
  const auto with = [&](const std::string& from, const std::string& to) {
    const std::size_t at = good.find(from);
    REQUIRE(at != std::string::npos);
    Json changed = Json::parse(std::string(good).replace(at, from.size(), to));
    CHECK(has(message(json_text(changed)), "sha256"));
    seal(changed);
    return message(json_text(changed));
  };
  CHECK(has(with("\"version\": 2", "\"version\": 9"), "report format 9"));
  CHECK(has(with("akin-report", "other"), "not a report"));
  CHECK(has(with("\"threads\": 2", "\"threads\": 99999999999"), "out of range"));
  CHECK(has(with("\"threads\": 2", "\"threads\": \"2\""), "report.json.threads"));
  CHECK(has(with("\"role\": \"taught\"", "\"role\": \"x\""), "unknown role"));
  CHECK(has(with("\"classes\": 3", "\"classes\": 4"), "9 counts for 4 classes"));
  CHECK(has(with("\"classes\": 3", "\"classes\": 0"), "counts"));
  CHECK(has(with("\"metric\"", "\"metrik\""), "\"metric\" is missing"));
  CHECK(has(with("iVBORw0KGgo", "iVBORw0K!go"), "base64"));
  CHECK(has(with("iVBORw0KGgo", "AAAAAAAAAAA"), "samples[0]"));
}

TEST_CASE("an image whose bytes do not match its size is refused, and nothing is written") {
  const TempFolder folder;
  ReportData d = example_run();
  d.samples[0].pixels.pop_back();
  CHECK_THROWS_AS(write_report(d, folder.path()), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("long names may break where a reader would break them, and nowhere else") {
  CHECK_EQ(html_name("HerbaceousVegetation"), "Herbaceous<wbr>Vegetation");
  CHECK_EQ(html_name("caltech101_32/a.b"), "caltech101_<wbr>32/<wbr>a.<wbr>b");
  CHECK_EQ(html_name("<b>_&"), "&lt;b&gt;_<wbr>&amp;");
  for (const char* whole : {"", "A", "_", "automobile", "iPhone", "MNIST", "t-shirt", "Kapitän", "\xC3"})
    CHECK_EQ(html_name(whole), html_escape(whole));
  ReportData d = example_run();
  d.classes[0] = d.sources[0].name = "PermanentCrop";
  const std::string page = render_report(d);
  CHECK(html_fault(page).empty());
  // Row of the table, picture and source; what is drawn or read aloud keeps the name whole.
  for (const char* text : {"title=\"PermanentCrop\">Permanent<wbr>Crop</th>", "<b>Permanent<wbr>Crop</b>",
                           "<th scope=\"row\">Permanent<wbr>Crop<", "<span>PermanentCrop</span>"})
    CHECK_MESSAGE(has(page, text), std::string(text));
}

TEST_CASE("base64 follows RFC 4648") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    const std::string text = plain;
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    CHECK(base64_encode(bytes) == coded);
    CHECK(base64_decode(coded) == bytes);
  }
  std::vector<std::uint8_t> all;
  for (int i = 0; i < 257; ++i) all.push_back(static_cast<std::uint8_t>(i * 7));
  CHECK(base64_decode(base64_encode(all)) == all);
  for (const char* bad : {"Z", "Zg=", "Zg=a", "=g==", "Z===", "Zm 9", "Zm9v\n", "Zg==Zg=="}) {
    CHECK_THROWS_AS(base64_decode(bad), Error);
  }
}

TEST_CASE("numbers as people read them") {
  CHECK(show_number(-0.04, 1) == "0.0");
  CHECK(show_number(-1.25, 2) == "−1.25");
  CHECK(show_number(NAN, 1) == "–");
  CHECK(show_percent_spread(.8412, NAN) == "84.1");
  CHECK(show_seconds(4.21) == "4.2 s");
  CHECK(show_seconds(59.6) == "1 min 00 s");
  CHECK(show_seconds(7799) == "2 h 10 min");
  CHECK(show_count(4123) == "4.1k");
  CHECK(show_count(1250000) == "1.2M");
  CHECK(show_integer(-1234567) == "-1,234,567");
  CHECK(show_integer(999) == "999");
  CHECK(shorten("äöüß", 4) == "äöüß");
  CHECK(shorten("äöüßx", 4) == "äöü…");
}

TEST_CASE("ticks are round, cover the range and are few") {
  for (const auto& [low, high] :
       std::vector<std::pair<double, double>>{{0, 1}, {-3.7, 31}, {.71, .72}, {5, 5}, {0, 1e9}, {0, 0}}) {
    const std::vector<double> t = nice_ticks(low, high, 5);
    CHECK(t.size() >= 2);
    CHECK(t.size() <= 8);
    CHECK(t.front() <= low + 1e-9);
    CHECK(t.back() >= high - 1e-9);
  }
  CHECK(nice_ticks(0, 100, 5) == std::vector<double>{0, 20, 40, 60, 80, 100});
}

TEST_CASE("labels at the ends of curves never overlap and stay inside") {
  ReportData d;
  for (int m = 0; m < 9; ++m) {
    d.methods.push_back({"method " + std::to_string(m), MethodRole::taught, {{.seed = 0, .test_accuracy = .5}}});
    d.curves.push_back({d.methods.back().name, 0, {{0, 1, .1}, {10, .5, .5}}});  // all end at the same point
  }
  const std::string svg = curves_svg(d, CurveKind::validation_accuracy);
  std::vector<double> y;
  const std::size_t labels = svg.find("class=\"labels\"");
  for (std::size_t at = svg.find("<text", labels); at != std::string::npos; at = svg.find("<text", at + 1)) {
    y.push_back(std::stod(svg.substr(svg.find("y=\"", at) + 3)));
  }
  REQUIRE(y.size() == 9);
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(y[i] > 10);
    CHECK(y[i] < 262);
    if (i > 0) CHECK(y[i] - y[i - 1] >= 11.5);  // the font's size
  }
}

TEST_CASE("samples are spread over classes, groups in order; counts add up") {
  std::vector<int> labels, student, baseline;
  for (int i = 0; i < 60; ++i) {
    labels.push_back(i / 20);
    student.push_back(i % 2 == 0 ? i / 20 : (i / 20 + 1) % 3);
    baseline.push_back(i % 3 == 0 ? i / 20 : (i / 20 + 1) % 3);
  }
  const std::vector<std::int64_t> picked = pick_samples(labels, student, baseline, 3);
  REQUIRE(picked.size() == 9);
  for (std::size_t k = 0; k < 9; ++k) {
    const auto i = static_cast<std::size_t>(picked[k]);
    CHECK(labels[i] == static_cast<int>(k % 3));
    CHECK((student[i] == labels[i]) == (k < 3));
    CHECK((baseline[i] == labels[i]) == (k >= 3 && k < 6));
  }
  const Agreement a = agreement_of(labels, student, baseline);
  CHECK(a.both == 10);  // i divisible by 6
  CHECK(a.student_only == 20);
  CHECK(a.baseline_only == 10);
  CHECK(a.neither == 20);
  const std::vector<std::int64_t> counts = confusion_counts(labels, student, 3);
  CHECK(counts == std::vector<std::int64_t>{10, 10, 0, 0, 10, 10, 10, 0, 10});
  student[5] = 3;
  CHECK_THROWS_AS(confusion_counts(labels, student, 3), Error);
  student.pop_back();
  CHECK_THROWS_AS(agreement_of(labels, student, baseline), Error);
  CHECK_THROWS_AS(pick_samples(labels, student, baseline, 3), Error);
}
