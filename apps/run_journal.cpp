#include "apps/run_journal.hpp"

#include <charconv>
#include <cmath>

#include "engine/io/clock.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"

namespace akin {

namespace {

constexpr double kEvery = 1;  ///< seconds
constexpr std::size_t kMostLosses = 240;

/// Of a note "loss 0.431".
double loss_in(const std::string& note) {
  constexpr std::string_view kLoss = "loss ";
  double value = std::nan("");
  if (note.starts_with(kLoss)) std::from_chars(note.data() + kLoss.size(), note.data() + note.size(), value);
  return value;
}

}  // namespace

std::unique_ptr<JournalEntry> read_journal(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / kJournal;
  if (!is_there(file)) return nullptr;
  try {
    const Json j = parse_json(read_text(file), file.string());
    auto out = std::make_unique<JournalEntry>();
    JournalEntry& e = *out;
    e.label = j.at("label").get<std::string>();
    e.unit = j.at("unit").get<std::string>();
    e.note = j.at("note").get<std::string>();
    e.done = j.at("done").get<std::int64_t>();
    e.total = j.at("total").get<std::int64_t>();
    e.parts = j.at("parts").get<std::int64_t>();
    e.begun = j.at("begun").get<double>();
    e.part_begun = j.at("part_begun").get<double>();
    e.part_first = j.at("part_first").get<std::int64_t>();
    e.updated = j.at("updated").get<double>();
    e.steps = j.at("steps").get<std::vector<std::int64_t>>();
    e.losses = j.at("losses").get<std::vector<double>>();
    return e.steps.size() == e.losses.size() ? std::move(out) : nullptr;
  } catch (const std::exception&) {  // taken away just now, or no journal of this akin's
    return nullptr;
  }
}

RunJournal::~RunJournal() {
  std::error_code ignored;
  if (!file_.empty()) std::filesystem::remove(file_, ignored);
}

void RunJournal::open(const std::filesystem::path& run_folder, std::int64_t parts) {
  const std::lock_guard lock(mutex_);
  if (!file_.empty()) return;
  file_ = run_folder / kJournal;
  entry_ = {.parts = parts, .begun = unix_seconds()};
  next_ = entry_.begun + kEvery;
}

void RunJournal::progress(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                          const std::string& note) {
  const std::lock_guard lock(mutex_);
  if (file_.empty()) return;
  const double time = unix_seconds();
  if (label != entry_.label || done < entry_.done)
    entry_ = {.label = label, .parts = entry_.parts, .begun = entry_.begun, .part_begun = time, .part_first = done};
  entry_.unit = unit;
  entry_.note = note;
  entry_.done = done;
  entry_.total = total;
  // One point for every 240th part of the work.
  const auto points = static_cast<std::int64_t>(kMostLosses);
  if (const double loss = loss_in(note); std::isfinite(loss) && entry_.losses.size() < kMostLosses &&
                                         (entry_.steps.empty() || (done - entry_.steps.back()) * points >= total)) {
    entry_.steps.push_back(done);
    entry_.losses.push_back(loss);
  }
  if (time < next_) return;
  next_ = time + kEvery;
  entry_.updated = time;
  const JournalEntry& e = entry_;
  const Json j = {
      {"label", e.label},           {"unit", e.unit},       {"note", e.note},   {"done", e.done},
      {"total", e.total},           {"parts", e.parts},     {"begun", e.begun}, {"part_begun", e.part_begun},
      {"part_first", e.part_first}, {"updated", e.updated}, {"steps", e.steps}, {"losses", e.losses}};
  try {
    write_file_atomic(file_, std::string_view(json_text(j)));
  } catch (const Error&) {  // the run does not depend on being watched
  }
}

Events journaled(Events events, RunJournal& journal) {
  events.progress = [shown = std::move(events.progress), &journal](const std::string& label, std::int64_t done,
                                                                   std::int64_t total, const std::string& unit,
                                                                   const std::string& note) {
    journal.progress(label, done, total, unit, note);
    if (shown) shown(label, done, total, unit, note);
  };
  return events;
}

}  // namespace akin
