// What a run that is at work tells others: progress.json in its folder, for `akin watch`.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "distill/events.hpp"

namespace akin {

/// A part of a run, such as the training of one student, and how far it is.
struct JournalEntry {
  std::string label = {}, unit = {}, note = {};
  std::int64_t done = 0, total = 0;
  std::int64_t parts = 0;                ///< students that the run makes; 0: not told
  double begun = 0, part_begun = 0;      ///< seconds since 1970: of the run, of this part
  double updated = 0;                    ///< when this was written
  std::int64_t part_first = 0;           ///< `done` when this part began: a resumed one begins later
  std::vector<std::int64_t> steps = {};  ///< of `losses`
  std::vector<double> losses = {};       ///< of this part so far, thinned
};

inline constexpr const char* kJournal = "progress.json";

/// Nothing where there is none, or one that is being damaged.
std::unique_ptr<JournalEntry> read_journal(const std::filesystem::path& run_folder);

/// Writes it at most once a second, from the second second on; what cannot be written is left out. The destructor takes
/// the file away: it is there as long as the run is at work, or after it was killed.
class RunJournal {
 public:
  RunJournal() = default;
  ~RunJournal();
  RunJournal(const RunJournal&) = delete;
  RunJournal& operator=(const RunJournal&) = delete;

  /// Begins to write, once the folder is sure to be the run's. Called again it does nothing.
  void open(const std::filesystem::path& run_folder, std::int64_t parts = 0);
  void progress(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                const std::string& note);

 private:
  std::mutex mutex_;
  std::filesystem::path file_;
  JournalEntry entry_;
  double next_ = 0;
};

/// The same events, with the journal told of all progress. It must outlive them.
Events journaled(Events events, RunJournal& journal);

}  // namespace akin
