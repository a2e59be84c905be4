#include "apps/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

#include "distill/report/table.hpp"
#include "engine/io/path.hpp"

namespace akin {

namespace {

/// "4.1k", three digits at most.
std::string short_number(double v) {
  if (!std::isfinite(v)) return "?";
  if (v < 9.95) return fmt::format("{:.1f}", v);
  if (v < 999.5) return fmt::format("{:.0f}", v);
  if (v < 9950) return fmt::format("{:.1f}k", v / 1e3);
  if (v < 999500) return fmt::format("{:.0f}k", v / 1e3);
  return fmt::format("{:.1f}M", v / 1e6);
}

/// Control characters must not move the cursor.
std::string plain_text(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

ProgressStyle style_of(int fd) {
  ProgressStyle style;
  const char* term = std::getenv("TERM");
  const char* no_colour = std::getenv("NO_COLOR");
  style.tty = isatty(fd) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
  style.colour = style.tty && (no_colour == nullptr || *no_colour == '\0');
  winsize size{};
  if (style.tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.columns = size.ws_col;
  return style;
}

}  // namespace

std::string linked(const std::string& text, const std::filesystem::path& path) {
  std::string uri = "file://";
  char host[256] = "";
  if (::gethostname(host, sizeof host - 1) == 0) uri += host;
  for (const char c : whole_path(path).string()) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("/-_.~", c) != nullptr;
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return "\x1b]8;;" + uri + "\x1b\\" + text + "\x1b]8;;\x1b\\";
}

ProgressStyle stderr_style() { return style_of(STDERR_FILENO); }
ProgressStyle stdout_style() { return style_of(STDOUT_FILENO); }

std::string time_left(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 359999) return "?";
  const auto s = static_cast<std::int64_t>(std::ceil(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string about(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 359999) return "";
  if (seconds < 55)
    return fmt::format("about {:.0f} s", std::max(1.0, seconds < 10 ? std::ceil(seconds) : 5 * std::ceil(seconds / 5)));
  if (seconds < 5400) return fmt::format("about {:.0f} min", std::max(1.0, std::round(seconds / 60)));
  return fmt::format("about {:.1f} h", seconds / 3600);
}

std::string time_taken(double seconds) {
  return seconds >= 0 && seconds < 9.95 ? fmt::format("{:.1f} s", seconds) : time_left(seconds);
}

Progress::Progress(std::ostream& out, ProgressStyle style, ProgressOptions options)
    : out_(out),
      style_(style),
      options_(std::move(options)),
      start_(options_.now()),
      exceptions_(std::uncaught_exceptions()),
      // On a terminal the bar appears at once; elsewhere work that is short leaves one line.
      next_draw_(style.tty ? 0 : std::chrono::nanoseconds(options_.plain_line).count()) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  try {
    const bool failed = std::uncaught_exceptions() > exceptions_;
    draw(options_.now(), failed ? " (stopped)" : "");
    if (line_open_) out_ << '\n' << std::flush;
  } catch (...) {  // a broken stream must not hide the error that is under way
  }
}

/// What a line says: its parts in the order in which they stand.
struct Progress::Status {
  std::string count, rate, left, note;
  double share = -1;  ///< of the bar; below 0: there is none
};

Progress::Status Progress::status(Time now) const {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto done = static_cast<double>(done_.load(std::memory_order_relaxed));
  const double fresh = done - static_cast<double>(skipped_.load(std::memory_order_relaxed));
  const auto total = static_cast<double>(options_.total);
  const double rate = seconds > 0 ? fresh / seconds : 0;
  Status s;
  const bool waits = options_.total <= 0 && !options_.run.name.empty();  // and has nothing to count yet
  s.count = waits                ? ""
            : options_.total > 0 ? fmt::format("{:.0f}/{}", done, options_.total)
                                 : fmt::format("{:.0f}", done);
  if (rate > 0) s.rate = fmt::format("{} {}/s", short_number(rate), options_.unit);
  s.note = note_;
  if (options_.total > 0) s.share = std::clamp(done / total, 0.0, 1.0);
  const WholeRun& run = options_.run;
  if (!run.name.empty()) {
    const double reached = run.before + (options_.total > 0 ? run.own * fresh / total : 0);
    s.share = run.in_all > 0 ? std::clamp((run.before + run.own * std::max(0.0, s.share)) / run.in_all, 0.0, 1.0) : -1;
    const double rest = run.in_all * (1 - s.share);
    s.left = reached > 0 ? about((run.seconds + seconds) * rest / reached) : "";
    if (!s.left.empty()) s.left += " left";
  } else if (done < total) {
    s.left = time_left(rate > 0 ? (total - done) / rate : -1) + " left";
  } else if (rate > 0) {
    s.left = "in " + time_taken(seconds);
  }
  return s;
}

/// The bar, and as many of the parts as the line holds: none is cut but a label that leaves no room for the count.
std::string Progress::terminal_line(const Status& s) const {
  constexpr int kShortest = 6, kLongest = 30;
  const bool of_run = !options_.run.name.empty();
  // One column stays free: some terminals wrap when the last one is written.
  const int columns = std::max(1, style_.columns - 1);
  struct Part {
    std::string text;
    int rank;  ///< the highest ones give way first
  };
  std::vector<Part> parts;  // behind the bar
  if (of_run)
    parts = {{s.left, 0}, {plain_text(options_.label), 1}, {s.count, 2}, {s.rate, 3}, {s.note, 4}};
  else
    parts = {{s.count, 0}, {s.rate, 2}, {s.left, 1}, {s.note, 4}};
  std::erase_if(parts, [](const Part& p) { return p.text.empty(); });
  const std::string head = of_run ? options_.run.name : plain_text(options_.label);
  const auto width = [&] {
    int sum = static_cast<int>(display_width(head));
    for (const Part& p : parts) sum += 2 + static_cast<int>(display_width(p.text));
    return sum;
  };
  // A bar counts for more than a note and a run's rate, and for less than all else.
  const auto drop = [&](int from, int room) {
    for (int rank = 4; rank >= from && width() > room; --rank)
      std::erase_if(parts, [&](const Part& p) { return p.rank == rank; });
  };
  drop(3, columns - 2 - kShortest);
  drop(of_run ? 0 : 1, columns);
  std::string line = shortened(head, std::max(0, columns - (width() - static_cast<int>(display_width(head)))));
  const int bar = std::min(kLongest, columns - width() - 2);
  if (s.share >= 0 && bar >= kShortest) {
    const int filled = static_cast<int>(std::floor(s.share * bar));
    std::string on, off;
    for (int i = 0; i < bar; ++i) (i < filled ? on : off) += i < filled ? "━" : "─";
    line += head.empty() ? "" : " ";
    line += style_.colour ? "\x1b[36m" + on + "\x1b[2;39m" + off + "\x1b[0m" : on + off;
    if (!parts.empty()) parts.front().text.insert(0, " ");
    for (std::size_t k = 0; k < parts.size(); ++k) line += (k == 0 ? "" : "  ") + parts[k].text;
    return line;
  }
  for (const Part& p : parts) line += (line.empty() ? "" : "  ") + p.text;
  return width() > columns ? first_columns(plain_text(line), static_cast<std::size_t>(columns)) : line;
}

void Progress::draw(Time now, const char* state) {
  Status s = status(now);
  s.note = plain_text(s.note);
  if (style_.tty) {
    if (*state != '\0') s.count += state;
    out_ << '\r' << terminal_line(s) << "\x1b[K" << std::flush;
    line_open_ = true;
    return;
  }
  std::string line = options_.run.name;
  if (!line.empty() && !s.left.empty()) line += ", " + s.left;
  if (!line.empty() && !options_.label.empty()) line += ": ";
  line += options_.label;
  if (!line.empty()) line += ": ";
  line += s.count;
  for (const std::string& part : {s.rate, options_.run.name.empty() ? s.left : std::string(), s.note})
    if (!part.empty()) line += "  " + part;
  line += state;
  if (s.share >= 0) line += fmt::format(" ({:.0f} %{})", 100 * s.share, options_.run.name.empty() ? "" : " of all");
  out_ << first_columns(plain_text(line), 1000) << '\n' << std::flush;
}

void Progress::clear_line() {
  if (line_open_) out_ << "\r\x1b[K";
  line_open_ = false;
}

void Progress::advance(std::int64_t items) {
  done_.fetch_add(items, std::memory_order_relaxed);
  const Time now = options_.now();
  const std::int64_t elapsed = std::chrono::nanoseconds(now - start_).count();
  std::int64_t due = next_draw_.load(std::memory_order_relaxed);
  if (elapsed < due) return;
  const auto pause = std::chrono::nanoseconds(style_.tty ? options_.redraw : options_.plain_line).count();
  // Of several threads that find a drawing due, one draws.
  if (!next_draw_.compare_exchange_strong(due, elapsed + pause, std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  if (!finished_) draw(now, "");
}

void Progress::skip(std::int64_t items) {
  skipped_.fetch_add(items, std::memory_order_relaxed);
  done_.fetch_add(items, std::memory_order_relaxed);
}

void Progress::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

void Progress::message(const std::string& text) {
  const std::lock_guard lock(mutex_);
  const bool redraw = line_open_;
  clear_line();
  out_ << text << '\n' << std::flush;
  if (redraw && !finished_) draw(options_.now(), "");
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (style_.tty && !options_.run.name.empty()) {  // the next piece's line comes in its place
    clear_line();
    out_ << std::flush;
    return;
  }
  draw(options_.now(), "");
  if (line_open_) out_ << '\n' << std::flush;
  line_open_ = false;
}

}  // namespace akin
