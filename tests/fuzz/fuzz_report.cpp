// report.json (distill/report/report.hpp): of what is read the page and the tables are made, and written again it is
// read equal. An input is the JSON.
#include "distill/report/report.hpp"
#include "distill/report/table.hpp"
#include "engine/io/json.hpp"
#include "tests/fuzz/json_mutator.hpp"
#include "tests/report_example.hpp"

namespace akin::fuzz {

namespace {

void check(const std::string& input) {
  const auto report = accepted([&] { return report_from_json(input, "input"); });
  if (!report) return;
  const std::string page = must("making the page", [&] { return render_report(*report); });
  require(page.find("<script src") == std::string::npos && page.ends_with("\n"),
          "a page that is cut, or loads something");
  must("making the tables",
       [&] { return results_table(*report) + sources_table(*report) + results_csv(*report) + results_json(*report); });
  const std::string text = must("writing what was read", [&] { return report_to_json(*report); });
  const ReportData again = must("reading what was written", [&] { return report_from_json(text, "written"); });
  require(report_to_json(again) == text, "read again it is another report");
}

void run(ByteView input) {
  check(std::string(text_of(input)));
  Json json = json_or_null(text_of(input));
  if (!json.is_object() || seal_of(json) == Seal::none) return;
  seal(json);  // so that what was changed behind a digest is reached
  check(json_text(json));
}

Seeds seeds() {
  ReportData example = akin_test::example_run();
  for (Curve& c : example.curves) c.points.resize(3);
  const ReportData least;
  return {text_seed("example", json_line(parse_json(report_to_json(example), "report"))),
          text_seed("least", json_line(parse_json(report_to_json(least), "report"))),
          text_seed("deep", "{\"sha256\":\"x\",\"a\":" + std::string(120000, '[') + std::string(120000, ']') + "}")};
}

}  // namespace

const Target target{
    .run = run,
    .seeds = seeds,
    .words = {"\"akin-report\"", "\"version\"", "\"methods\"", "\"sources\"", "\"samples\"", "\"confusions\"",
              "\"curves\"", "null", "1e300", "<script>", "&amp;", "\\u0000", "taught", "labels_only"},
    .mutate = mutate_json};

}  // namespace akin::fuzz
