#include "distill/report/compare.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "distill/report/html.hpp"
#include "distill/report/table.hpp"
#include "distill/report/verdict.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

/// "fit.steps" -> "1000" of a configuration as akin writes it: tables, then a setting a line.
std::map<std::string, std::string> settings_of(const std::string& config) {
  std::map<std::string, std::string> out;
  std::string table;
  for (std::size_t at = 0; at < config.size();) {
    const std::size_t end = std::min(config.find('\n', at), config.size());
    const std::string line = config.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("[")) {
      table = line.substr(1, line.find(']') - 1) + ".";
    } else if (const std::size_t equals = line.find('='); equals != std::string::npos && !line.starts_with("#")) {
      const auto trimmed = [](std::string text) {
        text.erase(0, text.find_first_not_of(' '));
        text.erase(text.find_last_not_of(' ') + 1);
        return text;
      };
      out[table + trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
    }
  }
  return out;
}

const MethodResult* delivered_of(const ReportData& d) {
  for (const MethodResult& m : d.methods)
    if (m.name == d.delivered && !m.seeds.empty()) return &m;
  return nullptr;
}

std::string percent(double share) { return show_percent(share) + " %"; }

}  // namespace

std::vector<SettingDifference> differing_settings(std::span<const NamedRun> runs) {
  std::vector<std::map<std::string, std::string>> all;
  std::set<std::string> names;
  for (const NamedRun& run : runs) {
    const ReportData& d = run.data;
    all.push_back(settings_of(d.config));
    std::map<std::string, std::string>& own = all.back();
    for (const auto& [what, value] : d.task) own["task: " + what] = value;
    own["labelled images"] = d.labelled < 0 ? "" : show_integer(d.labelled);
    own["unlabelled images"] = d.unlabelled < 0 ? "" : show_integer(d.unlabelled);
    own["test images"] = d.test_images < 0 ? "" : show_integer(d.test_images);
    own["version"] = d.commit;
    own["device"] = d.device;
    for (const auto& [name, value] : own) names.insert(name);
  }
  std::vector<SettingDifference> out;
  for (const std::string& name : names) {
    if (name.ends_with(".out")) continue;  // every run has its own place
    SettingDifference row{name, {}};
    for (const auto& own : all) row.values.push_back(own.contains(name) ? own.at(name) : "");
    if (std::any_of(row.values.begin(), row.values.end(), [&](const auto& v) { return v != row.values.front(); }))
      out.push_back(std::move(row));
  }
  return out;
}

std::vector<std::string> comparison_lines(std::span<const NamedRun> runs) {
  std::vector<std::string> lines;
  const ReportData& first = runs.front().data;
  for (const NamedRun& run : runs) {
    if (run.data.classes != first.classes)
      lines.push_back(run.name + " has other classes than " + runs.front().name +
                      ": their accuracies are of different tasks, and say nothing of each other.");
    else if (run.data.test_images != first.test_images)
      lines.push_back(fmt::format("{} was tested on {} images, {} on {}: not the same ones.", run.name,
                                  show_integer(run.data.test_images), runs.front().name,
                                  show_integer(first.test_images)));
  }
  if (!lines.empty()) return lines;
  // The best of what the runs hand over against the next.
  std::vector<std::pair<double, const NamedRun*>> order;
  for (const NamedRun& run : runs)
    if (const MethodResult* m = delivered_of(run.data); m != nullptr && std::isfinite(m->seeds.front().test_accuracy))
      order.emplace_back(m->seeds.front().test_accuracy, &run);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (order.size() < 2) {
    lines.push_back("Fewer than two of these runs say what model they hand over.");
    return lines;
  }
  const auto& [best, run] = order[0];
  const auto& [second, rival] = order[1];
  const auto [low, high] = wilson_interval(best, first.test_images);
  const auto [rival_low, rival_high] = wilson_interval(second, first.test_images);
  const bool counted = first.test_images > 0, apart = counted && low > rival_high;
  lines.push_back(apart ? fmt::format("{} is ahead: {} of the test images right", run->name, percent(best))
                        : "These runs do not tell which is better");
  lines.push_back(fmt::format("{} hands over {} with {} of the test images right, {} comes next with {} ({}).",
                              run->name, run->data.delivered, percent(best), rival->name, percent(second),
                              rival->data.delivered));
  lines.push_back(
      !counted ? "The reports do not say how many test images there were, so not whether that is a difference."
      : apart  ? "Their 95 % intervals lie apart: more than chance on these test images. Another seed may still "
                 "change it."
               : "Their 95 % intervals overlap: on these test images chance can make such a difference.");
  lines.push_back("Choosing among runs by their test images flatters the one that is chosen.");
  return lines;
}

std::string comparison_text(std::span<const NamedRun> runs) {
  using Align = TextTable::Align;
  TextTable table({{"", Align::left},
                   {"run", Align::left},
                   {"method", Align::left},
                   {"test %", Align::right},
                   {"95 % interval", Align::right},
                   {"seeds", Align::right},
                   {"parameters", Align::right},
                   {"multiply-adds", Align::right},
                   {"file", Align::right},
                   {"ms a picture", Align::right}});
  for (const NamedRun& run : runs)
    for (const MethodResult& m : run.data.methods) {
      if (m.seeds.empty()) continue;
      const Spread s = test_accuracy(m);
      const auto [low, high] = wilson_interval(s.mean, run.data.test_images);
      const std::vector<std::string> costs = cost_cells(m);
      table.add({m.name == run.data.delivered ? ">" : "", run.name, m.name, show_percent_spread(s.mean, s.std),
                 std::isfinite(low) ? show_percent(low) + " to " + show_percent(high) : "–", fmt::format("{}", s.n),
                 costs[1], costs[2], costs[3], costs[4]});
    }
  std::string out = table.str();
  for (const std::string& line : comparison_lines(runs)) out += line + "\n";
  const std::vector<SettingDifference> differences = differing_settings(runs);
  std::vector<TextTable::Column> columns{{"setting", Align::left}};
  for (const NamedRun& run : runs) columns.push_back({run.name, Align::left});
  TextTable settings(columns);
  for (const SettingDifference& row : differences) {
    std::vector<std::string> cells{row.name};
    for (const std::string& value : row.values) cells.push_back(value.empty() ? "–" : shorten(value, 40));
    settings.add(std::move(cells));
  }
  out += differences.empty() ? "\nTheir settings are the same.\n" : "\n" + settings.str();
  std::vector<std::string> names;
  for (const NamedRun& run : runs)
    for (const SourceResult& s : run.data.sources)
      if (std::find(names.begin(), names.end(), s.name) == names.end()) names.push_back(s.name);
  if (names.empty()) return out;
  columns.front().title = "similarity";
  for (std::size_t r = 0; r < runs.size(); ++r)
    columns[r + 1] = {runs[r].name + " " + runs[r].data.metric, Align::right};
  TextTable sources(columns);
  for (const std::string& name : names) {
    std::vector<std::string> cells{name};
    for (const NamedRun& run : runs) {
      double value = not_measured;
      for (const SourceResult& s : run.data.sources)
        if (s.name == name) value = run.data.metric_scale * s.similarity;
      cells.push_back(show_number(value, 1));
    }
    sources.add(std::move(cells));
  }
  return out + "\n" + sources.str();
}

std::string comparison_json(std::span<const NamedRun> runs) {
  Json out = {{"lines", comparison_lines(runs)}};
  for (const NamedRun& run : runs) {
    Json one = Json::parse(results_json(run.data));
    one["run"] = run.name;
    one["test_images"] = run.data.test_images < 0 ? Json() : Json(run.data.test_images);
    out["runs"].push_back(std::move(one));
  }
  out["differences"] = Json::array();
  for (const SettingDifference& row : differing_settings(runs))
    out["differences"].push_back({{"setting", row.name}, {"values", row.values}});
  return json_text(out);
}

}  // namespace akin
