// The page of an experiment, from its tables.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "distill/report/compare.hpp"
#include "distill/report/page_parts.hpp"
#include "engine/io/csv.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

using Rows = std::vector<std::map<std::string, std::string>>;

/// Cells by the names of their columns. Error where one of `needed` is missing.
Rows rows_of(const std::string& text, const std::vector<std::string>& needed, const std::string& where) {
  CsvRows csv(text, where);
  std::vector<std::string> head, cells;
  AKIN_CHECK(csv.next(head), "{}: is empty; expected a table that `akin experiment` wrote", where);
  for (const std::string& name : needed)
    AKIN_CHECK(std::find(head.begin(), head.end(), name) != head.end(),
               "{}: has no column {}; expected a table that `akin experiment` wrote", where, name);
  Rows out;
  while (csv.next(cells)) {
    AKIN_CHECK(cells.size() == head.size(), "{}: line {}: {} cells, expected {}", where, csv.line(), cells.size(),
               head.size());
    auto& row = out.emplace_back();
    for (std::size_t i = 0; i < head.size(); ++i) row[head[i]] = cells[i];
  }
  return out;
}

double number_of(const std::string& text) {
  double value = not_measured;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Names in the order in which they come first.
std::vector<std::string> names_of(const Rows& rows, const std::string& column) {
  std::vector<std::string> out;
  for (const auto& row : rows)
    if (std::find(out.begin(), out.end(), row.at(column)) == out.end()) out.push_back(row.at(column));
  return out;
}

struct Experiment {
  Rows rows;
  std::vector<std::string> targets, budgets, variants;

  MethodResult result(const std::string& target, const std::string& budget, const std::string& variant) const {
    MethodResult m{variant, MethodRole::taught, {}};
    for (const auto& row : rows)
      if (row.at("target") == target && row.at("budget") == budget && row.at("variant") == variant) {
        Figures f;
        std::from_chars(row.at("seed").data(), row.at("seed").data() + row.at("seed").size(), f.seed);
        f.test_accuracy = number_of(row.at("test_last"));
        m.seeds.push_back(f);
      }
    return m;
  }
  /// A row of a table of choices by test accuracy: nobody could have made them.
  bool for_analysis(const std::string& variant) const {
    return std::any_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return row.at("variant") == variant && row.at("method") == "oracle"; });
  }
};

struct Mean {
  double value = not_measured;
  std::size_t targets = 0;
};

Mean mean_over_targets(const Experiment& x, const std::string& budget, const std::string& variant) {
  std::vector<double> means;
  for (const std::string& target : x.targets) means.push_back(test_accuracy(x.result(target, budget, variant)).mean);
  const Spread s = spread_of(means);
  return {s.mean, static_cast<std::size_t>(s.n)};
}

std::string overview(const Experiment& x, const std::string& budget) {
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Means, " + e(budget) +
                    "\"><table class=\"plain\"><thead><tr><th scope=\"col\">Variant</th>";
  for (const std::string& target : x.targets) out += "<th scope=\"col\" class=\"num\">" + html_name(target) + "</th>";
  out += "<th scope=\"col\" class=\"num\">Mean</th></tr></thead>\n<tbody>\n";
  for (const std::string& variant : x.variants) {
    out += "<tr><th scope=\"row\">" + html_name(variant) +
           (x.for_analysis(variant) ? "<span class=\"under\">analysis only</span>" : "") + "</th>";
    for (const std::string& target : x.targets) {
      const Spread s = test_accuracy(x.result(target, budget, variant));
      out += "<td class=\"num\">" + show_percent(s.mean);
      if (std::isfinite(s.std)) out += "<span class=\"under\">± " + show_percent(s.std) + "</span>";
      out += "</td>";
    }
    const Mean mean = mean_over_targets(x, budget, variant);
    out += "<td class=\"num\"><b>" + show_percent(mean.value) + "</b>";
    if (mean.targets < x.targets.size())
      out += fmt::format("<span class=\"under\">{} of {}</span>", mean.targets, x.targets.size());
    out += "</td></tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string figure_of(const Experiment& x, const std::string& target, const std::string& budget) {
  ReportData data;
  std::vector<double> shown;
  for (const std::string& variant : x.variants) {
    MethodResult m = x.result(target, budget, variant);
    for (const Figures& f : m.seeds) shown.push_back(f.test_accuracy);
    if (!m.seeds.empty()) data.methods.push_back(std::move(m));
  }
  if (data.methods.empty()) return {};
  const auto [low, high] = accuracy_ends(shown);
  std::string out = "<h3>" + html_name(target) + ", " + html_name(budget) +
                    "</h3>\n<table class=\"data\"><thead><tr><th scope=\"col\">Variant</th><th scope=\"col\" "
                    "class=\"plot\"><span class=\"ends\"><span>" +
                    show_percent(low, 0) + "</span><span>test accuracy</span><span>" + show_percent(high, 0) +
                    " %</span></span></th><th scope=\"col\" class=\"num\">Test, %</th><th scope=\"col\" "
                    "class=\"num\">Seeds</th></tr></thead>\n<tbody>\n";
  for (const MethodResult& m : data.methods) {
    const Spread s = test_accuracy(m);
    out += "<tr><th scope=\"row\">" + html_name(m.name) + "</th><td class=\"plot\">" + dots_svg(data, m, low, high) +
           "</td><td class=\"num\">" + show_percent_spread(s.mean, s.std) +
           fmt::format("</td><td class=\"num\">{}</td></tr>\n", s.n);
  }
  return out + "</tbody></table>\n";
}

/// The first metric of sources.csv, mean over seeds, by source and target; of the first budget.
std::string nearness(const std::string& text, const std::string& where) {
  if (text.empty()) return {};
  const Rows rows = rows_of(text, {"target", "budget", "seed", "source"}, where);
  if (rows.empty()) return {};
  const std::string head = text.substr(0, text.find('\n')), after = "source,";
  const std::string metric =
      head.substr(head.find(after) + after.size(),
                  head.find(',', head.find(after) + after.size()) - head.find(after) - after.size());
  if (metric.starts_with("static:") || !rows.front().contains(metric)) return {};
  const std::vector<std::string> targets = names_of(rows, "target"), sources = names_of(rows, "source");
  const std::string budget = rows.front().at("budget");
  std::string out = "<section>\n<h2>How near the sources are</h2>\n<p class=\"soft\">" + e(metric) +
                    ", mean over seeds, budget " + e(budget) +
                    ". Higher is nearer; values of two targets are not to be compared.</p>\n<div class=\"scroll\" "
                    "tabindex=\"0\" role=\"region\" aria-label=\"Similarities\"><table class=\"plain\"><thead><tr><th "
                    "scope=\"col\">Source</th>";
  for (const std::string& target : targets) out += "<th scope=\"col\" class=\"num\">" + html_name(target) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const std::string& source : sources) {
    out += "<tr><th scope=\"row\">" + html_name(source) + "</th>";
    for (const std::string& target : targets) {
      std::vector<double> values;
      for (const auto& row : rows)
        if (row.at("target") == target && row.at("budget") == budget && row.at("source") == source)
          values.push_back(number_of(row.at(metric)));
      const double mean = spread_of(values).mean;
      out += "<td class=\"num\">" + (std::isfinite(mean) && mean < 0 ? "−" : std::string()) +
             (std::isfinite(mean) ? fmt::format("{:.3g}", std::abs(mean)) : std::string("–")) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n</section>\n";
}

}  // namespace

std::string render_experiment(const std::string& title, const std::string& results, const std::string& sources,
                              const std::string& where) {
  Experiment x;
  x.rows = rows_of(results, {"target", "budget", "seed", "variant", "method", "test_last"}, where + "/results.csv");
  AKIN_CHECK(!x.rows.empty(), "{}/results.csv: no cell of the experiment has finished yet", where);
  x.targets = names_of(x.rows, "target");
  x.budgets = names_of(x.rows, "budget");
  x.variants = names_of(x.rows, "variant");
  const std::size_t seeds = names_of(x.rows, "seed").size();
  const auto count = [](std::size_t n, const std::string& what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  std::vector<std::string> lines;
  for (const std::string& budget : x.budgets) {
    const std::string* best = nullptr;
    Mean top;
    for (const std::string& variant : x.variants)
      if (const Mean mean = mean_over_targets(x, budget, variant);
          mean.targets == x.targets.size() && !x.for_analysis(variant) && (best == nullptr || mean.value > top.value)) {
        best = &variant;
        top = mean;
      }
    if (best != nullptr)
      lines.push_back("Budget " + budget + ": the largest mean over all targets has " + *best + ", " +
                      show_percent(top.value) + " %.");
  }
  lines.push_back(seeds < 2 ? "One seed was run: nothing can be said of what another would give."
                            : "± is the standard deviation over " + count(seeds, "seed") +
                                  "; a gap smaller than that of both together is none yet.");
  std::string out =
      page_head(title,
                count(x.targets.size(), "target") + ", " + count(x.variants.size(), "variant") + ", " +
                    count(x.budgets.size(), "label budget") + ", " + count(seeds, "seed"),
                lines) +
      "</header>\n<section>\n<h2>Means</h2>\n<p class=\"soft\">Test accuracy in per cent after the last step, "
      "mean over seeds; below it the standard deviation.</p>\n";
  for (const std::string& budget : x.budgets)
    out += "<h3>Budget " + html_name(budget) + "</h3>\n" + overview(x, budget);
  out +=
      "</section>\n<section>\n<h2>Target by target</h2>\n<p class=\"soft\">A dot is one seed, the upright line their "
      "mean.</p>\n";
  for (const std::string& target : x.targets)
    for (const std::string& budget : x.budgets) out += figure_of(x, target, budget);
  return out + "</section>\n" + nearness(sources, where + "/sources.csv") + page_end();
}

}  // namespace akin
