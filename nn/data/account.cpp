#include "nn/data/account.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {

Account::Line& Account::add(std::string_view what, Tone tone, const std::string& example, std::int64_t count) {
  auto at = std::find_if(lines.begin(), lines.end(), [&](const Line& line) { return line.what == what; });
  if (at == lines.end()) at = lines.insert(lines.end(), {.what = std::string(what), .tone = tone, .first = example});
  at->count += count;
  at->first = std::min(at->first, example);
  return *at;
}

void Account::merge(const Account& more) {
  for (const Line& line : more.lines) {
    Line& own = add(line.what, line.tone, line.first, line.count);
    for (const auto& [ending, count] : line.endings) own.endings[ending] += count;
  }
}

std::string text_of(const Account::Line& line) {
  constexpr std::size_t kEndings = 4;
  std::vector<std::pair<std::int64_t, std::string>> most;
  for (const auto& [ending, count] : line.endings) most.emplace_back(-count, ending);
  std::sort(most.begin(), most.end());
  std::vector<std::string> endings;
  for (const auto& [count, ending] : most) {
    if (endings.size() == kEndings) break;
    endings.push_back(fmt::format("{} {}", -count, ending.empty() ? "without ending" : ending));
  }
  if (most.size() > kEndings) endings.emplace_back("...");
  return fmt::format("{}: {} ({}{}{}{})", line.what, line.count, fmt::join(endings, ", "), endings.empty() ? "" : "; ",
                     line.count > 1 ? "first: " : "", spelled_controls(line.first, false));
}

std::vector<std::string> told(const Account& account, const std::string& source) {
  std::vector<std::string> out;
  for (const Account::Line& line : account.lines)
    out.push_back(
        fmt::format("{}{}: {}", line.tone == Account::Tone::warning ? "warning: " : "", source, text_of(line)));
  return out;
}

void throw_faults(const Faults& faults, const std::string& source) {
  constexpr std::size_t kTold = 8;
  if (faults.empty()) return;
  if (faults.size() == 1) fail("{}", spelled_controls(faults.front(), false));
  std::string list;
  for (std::size_t i = 0; i < std::min(faults.size(), kTold); ++i) list += "\n  " + spelled_controls(faults[i], false);
  if (faults.size() > kTold) list += fmt::format("\n  and {} more", faults.size() - kTold);
  fail("{}: {} files cannot be used:{}", source, faults.size(), list);
}

}  // namespace akin
