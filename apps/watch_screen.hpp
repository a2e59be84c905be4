// What `akin watch` shows of a run.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/run_journal.hpp"

namespace akin {

struct WatchedStudent {
  std::string method;  ///< "" of a run that trains one network
  std::uint64_t seed = 0;
  std::int64_t steps = 0;
  double loss = 0, validation = 0;  ///< last ones; NaN: none
};

struct WatchedRun {
  enum class State { running, stopped, finished } state = State::running;
  std::string name;
  std::unique_ptr<JournalEntry> now;      ///< what it is at; null: nothing is told
  std::vector<WatchedStudent> students;   ///< finished ones, from log.jsonl
  std::vector<std::string> results = {};  ///< of a finished run: where to look
};

/// Looks at a run folder and changes nothing there. Error where it is no folder of a run.
WatchedRun look_at_run(const std::filesystem::path& folder);

/// Blocks of eight heights for the values, thinned to `columns`: "█▆▅▃▂▁".
std::string sparkline(const std::vector<double>& values, int columns);

/// Lines of at most `columns`. `now`: seconds since 1970.
std::vector<std::string> watch_lines(const WatchedRun& run, int columns, double now);

}  // namespace akin
