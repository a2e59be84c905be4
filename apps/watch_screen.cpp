#include "apps/watch_screen.hpp"

#include <algorithm>
#include <cmath>

#include "apps/progress.hpp"
#include "distill/report/html.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

namespace fs = std::filesystem;

/// The last point of every student. A line that is being written counts as none.
std::vector<WatchedStudent> students_in(const fs::path& log) {
  std::vector<WatchedStudent> out;
  if (!is_there(log)) return out;
  const std::string text = read_text(log);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const Json j = json_or_null(text.substr(at, end - at));
    at = end + 1;
    if (!j.is_object() || !j.contains("step")) continue;
    const auto number_in = [&](const char* key) {
      return j.contains(key) && j[key].is_number() ? j[key].get<double>() : std::nan("");
    };
    WatchedStudent s{j.value("method", std::string()), j.value("seed", std::uint64_t{0}), j["step"].get<std::int64_t>(),
                     number_in("loss"), number_in("validation")};
    if (out.empty() || out.back().method != s.method || out.back().seed != s.seed) out.push_back(s);
    out.back() = s;
  }
  return out;
}

std::string bar(double share, int columns) {
  std::string out;
  const int filled = static_cast<int>(std::floor(std::clamp(share, 0.0, 1.0) * columns));
  for (int i = 0; i < columns; ++i) out += i < filled ? "━" : "─";
  return out;
}

/// Seconds that the part at hand has left; NaN where nobody knows.
double part_left(const JournalEntry& e) {
  const double spent = e.updated - e.part_begun;
  const std::int64_t did = e.done - e.part_first;
  if (did <= 0 || spent <= 0 || e.total <= e.done) return e.total > 0 && e.total <= e.done ? 0 : std::nan("");
  return spent / static_cast<double>(did) * static_cast<double>(e.total - e.done);
}

std::string state_words(const WatchedRun& run, double now) {
  switch (run.state) {
    case WatchedRun::State::running:
      return run.now == nullptr ? "at work" : "at work for " + show_seconds(std::max(0.0, now - run.now->begun));
    case WatchedRun::State::stopped:
      return "stopped before its end; its command with --resume goes on";
    case WatchedRun::State::finished:
      return "finished";
  }
  return "";
}

/// Other programs have files of that name, too.
bool is_our_config(const fs::path& file) { return is_there(file) && read_text(file).starts_with("# akin "); }

}  // namespace

WatchedRun look_at_run(const fs::path& folder) {
  AKIN_CHECK(is_folder(folder), "{}: no such folder; expected a run folder, as --out names it", folder.string());
  WatchedRun run;
  run.name = folder.string();
  run.now = read_journal(folder);
  run.students = students_in(folder / "log.jsonl");
  const bool locked = is_locked(folder);
  const bool trained = is_there(folder / "model.safetensors") && !is_there(folder / "checkpoint.safetensors");
  const bool reported = is_there(folder / "report.json"), tabled = is_there(folder / "results.md");
  const bool begun = run.now != nullptr || is_our_config(folder / "config.toml") ||
                     is_there(folder / "checkpoint.safetensors") || is_folder(folder / "checkpoints") ||
                     is_folder(folder / "cells");
  AKIN_CHECK(locked || begun || trained || reported || tabled,
             "{}: holds no run; expected the folder that --out of train, fit, distill, demo or experiment named",
             folder.string());
  run.state = locked                                                  ? WatchedRun::State::running
              : run.now == nullptr && (trained || reported || tabled) ? WatchedRun::State::finished
                                                                      : WatchedRun::State::stopped;
  if (run.state != WatchedRun::State::finished) return run;
  for (const char* file : {"report.html", "student.safetensors", "model.safetensors", "results.md"})
    if (is_there(folder / file)) run.results.push_back((folder / file).string());
  return run;
}

std::string sparkline(const std::vector<double>& values, int columns) {
  static constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty() || columns < 1) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const auto n = static_cast<std::int64_t>(values.size()), wide = std::min<std::int64_t>(n, columns);
  std::string out;
  for (std::int64_t c = 0; c < wide; ++c) {
    double sum = 0;
    const std::int64_t begin = c * n / wide, end = (c + 1) * n / wide;
    for (std::int64_t i = begin; i < end; ++i) sum += values[static_cast<std::size_t>(i)];
    const double mean = sum / static_cast<double>(end - begin);
    const double share = *high > *low ? (mean - *low) / (*high - *low) : 0;
    out += kBlocks[std::clamp(static_cast<int>(std::lround(share * 7)), 0, 7)];
  }
  return out;
}

std::vector<std::string> watch_lines(const WatchedRun& run, int columns, double now) {
  std::vector<std::string> lines{run.name + ": " + state_words(run, now)};
  if (const JournalEntry* e = run.now.get(); e != nullptr && !e->label.empty()) {
    const double share = e->total > 0 ? static_cast<double>(e->done) / static_cast<double>(e->total) : 0,
                 left = part_left(*e);
    std::string status =
        e->total > 0 ? fmt::format("{}/{} {}", e->done, e->total, e->unit) : fmt::format("{}", e->done);
    const bool running = run.state == WatchedRun::State::running;
    if (running && std::isfinite(left)) status += ", " + time_left(left) + " left";
    const int room = columns - static_cast<int>(display_width(e->label) + status.size()) - 4;
    lines.push_back("");
    if (room >= 8) {
      lines.push_back(e->label + "  " + bar(share, std::min(room, 40)) + "  " + status);
    } else {
      lines.push_back(e->label);
      lines.push_back("  " + status);
    }
    if (!e->losses.empty()) {
      const std::string first = show_number(e->losses.front(), 3), last = show_number(e->losses.back(), 3);
      const int wide = columns - static_cast<int>(first.size() + last.size()) - 11;
      lines.push_back("  loss " + first + "  " + sparkline(e->losses, std::min(wide, 60)) + "  " + last);
    } else if (!e->note.empty()) {
      lines.push_back("  " + e->note);
    }
    if (running && now - e->updated > 60)
      lines.push_back("  nothing new for " + show_seconds(now - e->updated) + " (measuring, testing, or held up)");
    // Those to come are taken to last as long as this one.
    const auto done = static_cast<std::int64_t>(run.students.size());
    if (running && e->parts > 1) {
      std::string of = fmt::format("{} of {} students finished", done, e->parts);
      const bool student = e->unit == "steps" && std::isfinite(left);
      if (const std::int64_t more = e->parts - done - 1; student && more >= 0)
        of += ", about " + time_left(left + static_cast<double>(more) * (e->updated - e->part_begun + left)) +
              " left in all";
      lines.push_back(of);
    }
  }
  if (!run.students.empty()) {
    using Align = TextTable::Align;
    const bool named = !run.students.front().method.empty();
    TextTable table({{named ? "finished" : "trained", Align::left},
                     {"seed", Align::right},
                     {"steps", Align::right},
                     {"loss", Align::right},
                     {"validation %", Align::right}});
    for (const WatchedStudent& s : run.students)
      table.add({named ? s.method : "model", std::to_string(s.seed), std::to_string(s.steps), show_number(s.loss, 3),
                 show_percent(s.validation)});
    lines.push_back("");
    const std::string text = table.str();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  if (!run.results.empty()) lines.push_back("");
  for (const std::string& file : run.results) lines.push_back(file);
  for (std::string& line : lines)
    if (display_width(line) > static_cast<std::size_t>(columns))
      line = first_columns(line, static_cast<std::size_t>(columns) - 1) + "…";
  return lines;
}

}  // namespace akin
