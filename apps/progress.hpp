// Progress of long work: one line that is drawn over on a terminal, plain lines now and then anywhere else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <ostream>
#include <string>

namespace akin {

struct ProgressStyle {
  bool tty = false;     ///< draw over the line
  bool colour = false;  ///< only ever true with tty
  int columns = 80;     ///< width of the terminal
};

/// `text` as a link to a file or folder, for terminals that know OSC 8; others show the text alone.
std::string linked(const std::string& text, const std::filesystem::path& path);

/// How standard error can be written to: a terminal or not, NO_COLOR and TERM=dumb honoured, its width.
ProgressStyle stderr_style();
/// The same of standard output.
ProgressStyle stdout_style();

/// The run that a piece of work belongs to.
struct WholeRun {
  std::string name;                        ///< "3 of 5 students"; empty: the work stands for itself
  double before = 0, own = 0, in_all = 0;  ///< work in any unit: of finished pieces, of this one, of the run
  double seconds = 0;                      ///< that the finished pieces took
};

struct ProgressOptions {
  std::string label;
  std::int64_t total = 0;  ///< 0: not known; then no bar and no time left
  std::string unit = "images";
  WholeRun run = {};  ///< then the bar, and the time left, are of the run, and a terminal keeps no line of each piece
  std::chrono::milliseconds redraw{100};        ///< at most one drawing in this time on a terminal
  std::chrono::milliseconds plain_line{10000};  ///< time between plain lines
  /// Monotonic time; tests put their own here.
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
};

/// advance() may be called from many threads, a million times a second: it only counts unless a drawing is due.
/// The destructor ends the line; after an exception it leaves how far the work had come. Never throws while drawing.
class Progress {
 public:
  Progress(std::ostream& out, ProgressStyle style, ProgressOptions options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t items = 1);
  /// For work that was done before (a resumed run): counts, but not for the rate.
  void skip(std::int64_t items);
  /// Short text at the end of the line, e.g. "loss 0.431".
  void note(std::string text);
  /// A line of its own above the bar.
  void message(const std::string& text);
  /// Draws the final state and ends the line; later calls do nothing.
  void finish();

 private:
  using Time = std::chrono::steady_clock::time_point;
  void draw(Time now, const char* state);
  struct Status;
  Status status(Time now) const;
  std::string terminal_line(const Status& status) const;
  void clear_line();

  std::ostream& out_;
  const ProgressStyle style_;
  const ProgressOptions options_;
  const Time start_;
  const int exceptions_;
  std::atomic<std::int64_t> done_{0}, skipped_{0};
  std::atomic<std::int64_t> next_draw_;  ///< nanoseconds since start_
  mutable std::mutex mutex_;             ///< guards the stream and everything below
  std::string note_;
  bool line_open_ = false;
  bool finished_ = false;
};

/// "12 s", "3:05", "2:10:00": what is left, or "?" where it cannot be said.
std::string time_left(double seconds);
/// "about 40 s", "about 4 min", "about 2.5 h": the same of a whole run; "" where it cannot be said.
std::string about(double seconds);
/// "0.1 s", "12 s", "3:05": what it took.
std::string time_taken(double seconds);

}  // namespace akin
