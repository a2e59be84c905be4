// akin data check: everything that is to be said of a data set, in one go.
#include <algorithm>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "apps/data_json.hpp"
#include "distill/report/table.hpp"
#include "engine/io/text.hpp"
#include "nn/data/set_check.hpp"

namespace akin {

namespace {

std::string word_of(Split split, const SetCheck& check) {
  if (split == Split::unlabeled) return "unlabelled";
  return split == Split::train ? "training" : check.held_out.empty() ? "test" : "test (held out by akin)";
}

std::int64_t pictures(const SetCheck& check, Split split) {
  const auto at = check.splits.find(split);
  return at != check.splits.end() ? at->second.pictures : 0;
}

/// What akin would do with it.
std::string verdict_of(const SetCheck& check) {
  if (!check.usable()) {
    const std::size_t n = check.faults.size();
    std::string why = n > 0 ? fmt::format("{} file{} cannot be read", n, n == 1 ? "" : "s") : "";
    if (!check.problems.empty()) why += (why.empty() ? "" : ", and ") + check.problems.front();
    return "not usable: " + why;
  }
  const auto harmful = [](const std::vector<RepeatKind>& kinds) {
    return std::any_of(kinds.begin(), kinds.end(), [](const RepeatKind& k) { return k.harmful; });
  };
  const std::int64_t test = pictures(check, Split::test), more = pictures(check, Split::unlabeled);
  return fmt::format("{}{}: {} classes, {} training pictures, {} test pictures{}{}", "usable",
                     check.one_size() ? "" : " with --size HxW", check.classes.size(), pictures(check, Split::train),
                     test, check.held_out.empty() ? "" : " that akin holds out, a fifth of each class",
                     more > 0 ? fmt::format(", {} unlabelled ones", more) : "") +
         (harmful(check.exact)  ? "; remove the repeats that are marked with ! first, they falsify the result"
          : harmful(check.near) ? "; look at the near repeats that are marked with !, for they may falsify the result"
                                : "");
}

Json json_of_kinds(const std::vector<RepeatKind>& kinds) {
  Json out = Json::array();
  for (const RepeatKind& k : kinds)
    out.push_back({{"what", k.what}, {"harmful", k.harmful}, {"pairs", k.pairs}, {"examples", k.examples}});
  return out;
}

Json json_of_check(const SetCheck& check, const std::string& folder) {
  Json splits = Json::object();
  for (const auto& [split, own] : check.splits) {
    Json j = {{"pictures", own.pictures}};
    if (split != Split::unlabeled) j["counts"] = own.counts;
    splits[name_of(split)] = j;
  }
  return {{"folder", folder},
          {"layout", check.layout},
          {"usable", check.usable()},
          {"verdict", verdict_of(check)},
          {"classes", check.classes},
          {"splits", splits},
          {"held_out", check.held_out},
          {"sizes", check.sizes},
          {"grey", check.grey},
          {"colour", check.colour},
          {"problems", check.problems},
          {"damaged", check.faults},
          {"advice", check.advice},
          {"duplicates", json_of_kinds(check.exact)},
          {"near_duplicates", json_of_kinds(check.near)},
          {"account", json_of(check.account)}};
}

std::string classes_table(const SetCheck& check) {
  std::vector<TextTable::Column> columns{{"class"}};
  for (const auto& [split, own] : check.splits)
    if (split != Split::unlabeled) columns.push_back({word_of(split, check), TextTable::Align::right});
  TextTable table(columns);
  for (std::size_t c = 0; c < check.classes.size(); ++c) {
    std::vector<std::string> cells{check.classes[c]};
    for (const auto& [split, own] : check.splits)
      if (split != Split::unlabeled) cells.push_back(std::to_string(own.counts[c]));
    table.add(cells);
  }
  return table.str(stdout_columns());
}

std::string sizes_line(const SetCheck& check) {
  constexpr std::size_t kMost = 6;
  std::vector<std::pair<std::int64_t, std::string>> sizes;
  for (const auto& [size, n] : check.sizes) sizes.emplace_back(-n, size);
  std::sort(sizes.begin(), sizes.end());
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, sizes.size()); ++i)
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", sizes[i].second, -sizes[i].first);
  if (sizes.size() > kMost) text += fmt::format(" and {} more", sizes.size() - kMost);
  return fmt::format("sizes, height x width: {}; {} in colour, {} grey\n", text, check.colour, check.grey);
}

std::string repeats_text(const char* title, const std::vector<RepeatKind>& kinds) {
  std::string text = fmt::format("\n{}{}\n", title, kinds.empty() ? ": none" : "");
  for (const RepeatKind& k : kinds) {
    text += fmt::format("  {} {}: {}\n", k.harmful ? "!" : "-", k.what, k.pairs);
    for (const std::string& pair : k.examples) text += fmt::format("      {}\n", spelled_controls(pair, false));
  }
  return text;
}

std::string lines_of(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string text = fmt::format("\n{}\n", title);
  for (const std::string& line : lines) text += fmt::format("  {}\n", spelled_controls(line, false));
  return text;
}

std::string report_of(const SetCheck& check, const std::string& folder) {
  std::string text = check.layout.empty() ? folder + "\n" : fmt::format("{}: {}\n", folder, check.layout);
  for (const auto& [split, own] : check.splits)
    text += fmt::format("  {:<24} {:>7} pictures\n", word_of(split, check), own.pictures);
  if (!check.sizes.empty()) text += sizes_line(check);
  if (!check.classes.empty()) text += "\n" + classes_table(check);
  std::vector<std::string> account;
  for (const Account::Line& line : check.account.lines)
    account.push_back((line.tone == Account::Tone::warning ? "! " : "- ") + text_of(line));
  text += lines_of("what lies there besides, and what pictures say of themselves", account);
  if (!check.sizes.empty())
    text += repeats_text("exact repeats, pixel for pixel", check.exact) +
            repeats_text("near repeats: look at them, some may be different pictures", check.near);
  text += lines_of("cannot be read", check.faults) + lines_of("stops akin", check.problems) +
          lines_of("to know", check.advice);
  return text + "\n" + verdict_of(check) + "\n";
}

}  // namespace

void add_check(CLI::App& data) {
  CLI::App* app = data.add_subcommand(
      "check", "Everything at once: splits, sizes, damaged and repeated pictures, and what akin would do");
  struct Options {
    CommonOptions common;
    std::string folder;
  };
  const auto o = std::make_shared<Options>();
  app->add_option("folder", o->folder, "Folder of the data set, or a list of pictures and labels")
      ->required()
      ->type_name("DIR|FILE");
  add_output(*app, o->common);
  app->footer(
      "Reads every picture once. Exit code 1 where something makes the data unusable.\n\n"
      "Example:\n  akin data check birds");
  app->callback([o] {
    const Events events = make_events(o->common);
    const SetCheck check = check_data_set(o->folder, [&](std::int64_t done, std::int64_t all) {
      events.progress("looking at " + o->folder, done, all, "pictures", "");
    });
    print(o->common.json ? json_text(json_of_check(check, o->folder))
                         : wrapped(report_of(check, o->folder), stdout_columns()));
    AKIN_CHECK(check.usable(), "{}: cannot be used as it is", o->folder);
  });
}

}  // namespace akin
