// Pages of several runs.
#include <algorithm>
#include <cmath>

#include "distill/report/compare.hpp"
#include "distill/report/page_parts.hpp"
#include "distill/report/verdict.hpp"

namespace akin {

namespace {

std::string settings_section(std::span<const NamedRun> runs) {
  const std::vector<SettingDifference> rows = differing_settings(runs);
  std::string out = "<section>\n<h2>What they differ in</h2>\n";
  if (rows.empty()) return out + "<p>Their settings are the same.</p>\n</section>\n";
  out +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Settings that differ\"><table "
      "class=\"plain\"><thead><tr><th scope=\"col\">Setting</th>";
  for (const NamedRun& run : runs) out += "<th scope=\"col\">" + html_name(run.name) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const SettingDifference& row : rows) {
    out += "<tr><th scope=\"row\">" + html_name(row.name) + "</th>";
    for (const std::string& value : row.values) out += "<td>" + (value.empty() ? "–" : html_name(value)) + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n</section>\n";
}

std::string similarity_section(std::span<const NamedRun> runs) {
  std::vector<std::string> names;
  for (const NamedRun& run : runs)
    for (const SourceResult& s : run.data.sources)
      if (std::find(names.begin(), names.end(), s.name) == names.end()) names.push_back(s.name);
  if (names.empty()) return {};
  std::string out =
      "<section>\n<h2>How near the teachers’ tasks are</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"Similarities\"><table class=\"plain\"><thead><tr><th scope=\"col\">Teacher</th>";
  for (const NamedRun& run : runs)
    out += "<th scope=\"col\" class=\"num\">" + html_name(run.name) + "<span class=\"under\">" + e(run.data.metric) +
           "</span></th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const std::string& name : names) {
    out += "<tr><th scope=\"row\">" + html_name(name) + "</th>";
    for (const NamedRun& run : runs) {
      const auto s = std::find_if(run.data.sources.begin(), run.data.sources.end(),
                                  [&](const SourceResult& source) { return source.name == name; });
      const bool there = s != run.data.sources.end();
      out += "<td class=\"num\">" + (there ? show_number(run.data.metric_scale * s->similarity, 1) : "–");
      if (there && std::isfinite(s->similarity_low) && std::isfinite(s->similarity_high))
        out += "<span class=\"under\">" + show_number(run.data.metric_scale * s->similarity_low, 1) + " to " +
               show_number(run.data.metric_scale * s->similarity_high, 1) + "</span>";
      out += "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n</section>\n";
}

}  // namespace

std::string render_comparison(std::span<const NamedRun> runs) {
  std::vector<double> shown;
  for (const NamedRun& run : runs)
    for (const MethodResult& m : run.data.methods) {
      const Spread s = test_accuracy(m);
      const auto [from, to] = wilson_interval(s.mean, run.data.test_images);
      shown.insert(shown.end(), {s.mean, from, to});
    }
  const auto [low, high] = accuracy_ends(shown);
  std::vector<std::string> lines = comparison_lines(runs);
  const std::string headline = lines.front();
  lines.erase(lines.begin());
  std::string title = "Compared:";
  for (const NamedRun& run : runs) title += (&run == &runs.front() ? " " : ", ") + run.name;
  std::string out = page_head(title, headline, lines) + "</header>\n";
  out +=
      "<section>\n<h2>Results</h2>\n<p class=\"soft\">Test accuracy in per cent, mean ± standard deviation over seeds. "
      "A "
      "dot is one seed, the upright line their mean, the thin line its 95 % interval by the number of test images. "
      "Bold: "
      "what the run hands over.</p>\n";
  for (const NamedRun& run : runs) {
    out += "<h3>" + html_name(run.name) +
           "</h3>\n<table class=\"data runs\"><thead><tr><th scope=\"col\">Method</th><th "
           "scope=\"col\" class=\"plot\"><span class=\"ends\"><span>" +
           show_percent(low, 0) + "</span><span>test accuracy</span><span>" + show_percent(high, 0) +
           " %</span></span></th>";
    for (const char* column : {"Test, %", "Parameters", "Multiply-adds", "ms a picture"})
      out += std::string("<th scope=\"col\" class=\"num\">") + column + "</th>";
    out += "</tr></thead>\n<tbody>\n";
    for (const MethodResult& m : run.data.methods) {
      if (m.seeds.empty()) continue;
      const Spread s = test_accuracy(m);
      const std::vector<std::string> costs = cost_cells(m);
      out += std::string("<tr") + (m.name == run.data.delivered ? " class=\"student\"" : "") + "><th scope=\"row\">" +
             swatch(run.data, m.name) + html_name(m.name) + "</th><td class=\"plot\">" +
             dots_svg(run.data, m, low, high) + "</td><td class=\"num\">" + show_percent_spread(s.mean, s.std) +
             "</td><td class=\"num\">" + costs[1] + "</td><td class=\"num\">" + costs[2] + "</td><td class=\"num\">" +
             costs[4] + "</td></tr>\n";
    }
    out += "</tbody></table>\n";
  }
  out += "</section>\n" + settings_section(runs) + similarity_section(runs);
  return out + page_end();
}

}  // namespace akin
