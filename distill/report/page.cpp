// Puts the page together: headline, results, teachers, curves, images, confusions, how to read it, how to repeat it.
#include <algorithm>
#include <cmath>

#include "distill/report/page_parts.hpp"
#include "distill/report/style.hpp"
#include "distill/report/verdict.hpp"

namespace akin {

namespace {

const char* learns_from(MethodRole role) {
  switch (role) {
    case MethodRole::labels_only:
      return "labels only";
    case MethodRole::unlabelled:
      return "+ unlabelled";
    case MethodRole::transferred:
      return "from a source's weights";
    case MethodRole::taught:
      return "+ unlabelled + teachers";
    case MethodRole::reference:
      return "for reference";
  }
  return "";
}

std::string definitions(const std::vector<std::pair<std::string, std::string>>& lines, const char* css = "") {
  std::string out = std::string("<dl") + css + ">";
  for (const auto& [word, meaning] : lines) out += "<dt>" + e(word) + "</dt><dd>" + e(meaning) + "</dd>";
  return out + "</dl>\n";
}

std::string head(const ReportData& data) {
  Headline headline = headline_of(data);
  const std::vector<std::string> verdict = verdict_lines(data);
  headline.lines.insert(headline.lines.begin(), verdict.begin(), verdict.end());
  const auto taken = std::find_if(data.methods.begin(), data.methods.end(),
                                  [&](const MethodResult& m) { return m.name == data.delivered; });
  // What the run hands over comes first, where validation images chose it; what the contest of the methods says is of
  // all seeds, and with one seed the verdict has it already.
  const bool chosen = !verdict.empty() && verdict.front().starts_with("Take ");
  if (chosen && taken != data.methods.end()) {
    if (data.seeds.size() > 1 || data.agreement.student_only < 0)
      headline.lines.insert(headline.lines.begin() + std::ssize(verdict), headline.title + ".");
    headline.title = "Take " + data.delivered;
    std::string& first = headline.lines.front();  // "Take X (student.safetensors): ..."
    first = first.substr(first.find("): ") + 3);
    first += " This is the run’s student.safetensors.";
  }
  const std::string title = data.title.empty() ? "akin" : data.title;
  std::string out = page_head(title, headline.title, headline.lines);
  return out + definitions(data.task) + "</header>\n";
}

/// Common axis of the dots, a little wider than what it shows.
std::pair<double, double> accuracy_range(const ReportData& data) {
  std::vector<double> shown;
  for (const MethodResult& m : data.methods) {
    for (const Figures& s : m.seeds) shown.push_back(s.test_accuracy);
    const auto [from, to] = wilson_interval(test_accuracy(m).mean, data.test_images);
    shown.insert(shown.end(), {from, to});
  }
  for (const AxisMark& mark : reference_marks(data)) shown.push_back(mark.at);
  return accuracy_ends(shown);
}

std::string mark_legend(const std::vector<AxisMark>& marks) {
  if (marks.empty()) return {};
  std::string out = "<ul class=\"legend\">";
  for (const AxisMark& m : marks)
    out += fmt::format(
        "<li><svg class=\"strip\" width=\"10\" height=\"18\" aria-hidden=\"true\"><line class=\"{}\" x1=\"5\" y1=\"0\" "
        "x2=\"5\" y2=\"18\"/></svg>{}</li>",
        m.css, e(m.name));
  return out + "</ul>\n";
}

std::string results(const ReportData& data) {
  if (data.methods.empty()) return {};
  const auto [low, high] = accuracy_range(data);
  const Contest contest = contest_of(data);
  const std::vector<AxisMark> marks = reference_marks(data);
  // What the run hands over is in bold; of an akin that did not say, the student.
  const auto taken = std::find_if(data.methods.begin(), data.methods.end(),
                                  [&](const MethodResult& m) { return m.name == data.delivered; });
  const MethodResult* shown = taken != data.methods.end() ? &*taken : contest.student;
  const bool chosen = std::any_of(data.methods.begin(), data.methods.end(),
                                  [](const MethodResult& m) { return best_test_accuracy(m).n > 0; });
  std::string out =
      "<section>\n<h2>Results</h2>\n<p class=\"soft\">Test accuracy in per cent, mean ± standard deviation over "
      "seeds. A dot is one seed, the upright line their mean." +
      std::string(chosen ? " The large number is that after the last step, “best” that of the step which did "
                           "best on validation images; no test image chose it."
                         : "") +
      (data.test_images > 0 ? " Thin line: the mean’s 95 % interval by the number of test images." : "") + "</p>\n" +
      mark_legend(marks) +
      "<table class=\"data\"><thead><tr><th scope=\"col\">Method</th><th scope=\"col\" "
      "class=\"plot\"><span class=\"ends\"><span>" +
      show_percent(low, 0) + "</span><span>test accuracy</span><span>" + show_percent(high, 0) +
      " %</span></span></th><th scope=\"col\" class=\"num\">Test, %</th><th scope=\"col\" class=\"num\">Time a "
      "run</th></tr></thead>\n<tbody>\n";
  for (const MethodResult& m : data.methods) {
    const Spread s = test_accuracy(m);
    const double best = best_test_accuracy(m).mean, speed = spread_over(m, &Figures::images_per_second).mean;
    out += std::string("<tr") + (&m == shown ? " class=\"student\"" : "") + "><th scope=\"row\">" +
           swatch(data, m.name) + html_name(m.name) + "<span class=\"under\">" + learns_from(m.role) +
           "</span></th><td class=\"plot\">" + dots_svg(data, m, low, high, marks) + "</td><td class=\"num\">" +
           show_percent_spread(s.mean, s.std);
    if (std::isfinite(best)) out += "<span class=\"under\">best " + show_percent(best) + "</span>";
    out += "</td><td class=\"num\">" + show_seconds(spread_over(m, &Figures::seconds).mean);
    if (std::isfinite(speed)) out += "<span class=\"under\">" + show_count(speed) + " images/s</span>";
    out += "</td></tr>\n";
  }
  return out + "</tbody></table>\n</section>\n";
}

/// Accuracy beside what a model asks of whoever runs it.
std::string costs(const ReportData& data) {
  const bool measured = std::any_of(data.methods.begin(), data.methods.end(), [](const MethodResult& m) {
    return !m.seeds.empty() && m.seeds.front().parameters >= 0;
  });
  if (!measured) return {};
  std::string out =
      "<section>\n<h2>What they cost to run</h2>\n<table class=\"data costs\"><thead><tr><th "
      "scope=\"col\">Method</th>";
  for (const char* column : {"Test, %", "Parameters", "Multiply-adds", "File", "ms a picture"})
    out += std::string("<th scope=\"col\" class=\"num\">") + column + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const MethodResult& m : data.methods) {
    if (m.seeds.empty()) continue;
    const bool taken = m.name == data.delivered;
    out += std::string("<tr") + (taken ? " class=\"student\"" : "") + "><th scope=\"row\">" + swatch(data, m.name) +
           html_name(m.name) + (taken ? "<span class=\"under\">student.safetensors</span>" : "") + "</th>";
    for (const std::string& cell : cost_cells(m)) out += "<td class=\"num\">" + e(cell) + "</td>";
    out += "</tr>\n";
  }
  return out +
         "</tbody></table>\n<p class=\"soft\">Of one picture at the size that the network looks at, on the machine "
         "and threads of this run.</p>\n</section>\n";
}

std::string ending(const ReportData& data) {
  std::string out;
  if (!data.notes.empty()) {
    out += "<section>\n<h2>Notes</h2>\n<ul class=\"notes\">";
    for (const std::string& note : data.notes) out += "<li>" + e(note) + "</li>";
    out += "</ul>\n</section>\n";
  }
  out += "<section>\n<h2>How to read this</h2>\n" +
         definitions(data.glossary.empty() ? built_in_glossary(data) : data.glossary, " class=\"words\"") +
         "</section>\n";
  std::vector<std::pair<std::string, std::string>> run;
  if (!data.device.empty()) run.emplace_back("Device", data.device);
  if (data.threads > 0) run.emplace_back("Threads", fmt::format("{}", data.threads));
  if (!data.seeds.empty()) run.emplace_back("Seeds", fmt::format("{}", fmt::join(data.seeds, ", ")));
  if (!data.time.empty()) run.emplace_back("Started", data.time);
  if (std::isfinite(data.seconds)) run.emplace_back("Took", show_seconds(data.seconds));
  if (!data.commit.empty()) run.emplace_back("Version", data.commit);
  if (!data.command.empty() || !data.config.empty() || !run.empty()) {
    out += "<section>\n<h2>Do it again</h2>\n";
    if (!data.command.empty()) out += "<pre>" + e(data.command) + "</pre>\n";
    if (!run.empty()) out += definitions(run);
    if (!data.config.empty()) {
      out += "<details><summary>Configuration in effect</summary><pre>" + e(data.config) + "</pre></details>\n";
    }
    out += "</section>\n";
  }
  return out;
}

}  // namespace

std::string page_head(const std::string& title, const std::string& headline, const std::vector<std::string>& lines) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"akin\">\n<title>" +
      e(title) + "</title>\n<style>" + report_css + "</style>\n</head>\n<body>\n<main>\n<header class=\"lead\">\n";
  out += "<p class=\"run\">" + e(title) + "</p>\n<h1>" + e(headline) + "</h1>\n";
  for (const std::string& line : lines) out += "<p>" + e(line) + "</p>\n";
  return out;
}

std::string page_end() {
  return "<footer>Made by akin. This file needs no network and loads nothing.</footer>\n</main>\n</body>\n</html>\n";
}

std::pair<double, double> accuracy_ends(const std::vector<double>& values) {
  double low = 1, high = 0;
  for (const double v : values)
    if (std::isfinite(v)) {
      low = std::min(low, v);
      high = std::max(high, v);
    }
  if (low > high) return {0, 1};
  const std::vector<double> ticks = nice_ticks(100 * low - 1, 100 * high + 1, 5);
  return {std::max(0.0, ticks.front() / 100), std::min(1.0, ticks.back() / 100)};
}

std::string render_report(const ReportData& data) {
  return head(data) + results(data) + costs(data) + classes_section(data) + errors_section(data) +
         images_section(data) + confusions_section(data) + teachers_section(data) + map_section(data) +
         training_section(data) + ending(data) + page_end();
}

}  // namespace akin
