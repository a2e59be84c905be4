#include "apps/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>

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

/// The first `columns` characters of UTF-8 text, without control characters (a note must not move the cursor).
std::string fit(const std::string& text, int columns) {
  std::string out;
  int used = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xC0) != 0x80;
    if (begins && used == columns) break;
    used += begins;
    out += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return out;
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

ProgressStyle stderr_style() { return style_of(STDERR_FILENO); }
ProgressStyle stdout_style() { return style_of(STDOUT_FILENO); }

std::string time_left(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 359999) return "?";
  const auto s = static_cast<std::int64_t>(std::ceil(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
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

std::string Progress::status(Time now) const {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::int64_t done = done_.load(std::memory_order_relaxed), skipped = skipped_.load(std::memory_order_relaxed);
  const double rate = seconds > 0 ? static_cast<double>(done - skipped) / seconds : 0;
  std::string text = options_.total > 0 ? fmt::format("{}/{}", done, options_.total) : fmt::format("{}", done);
  if (rate > 0) text += fmt::format("  {} {}/s", short_number(rate), options_.unit);
  if (done < options_.total) {
    const double left = rate > 0 ? static_cast<double>(options_.total - done) / rate : -1;
    text += "  " + time_left(left) + " left";
  } else if (rate > 0) {
    text += "  in " + time_left(seconds);
  }
  if (!note_.empty()) text += "  " + note_;
  return text;
}

void Progress::draw(Time now, const char* state) {
  const std::string text = status(now) + state;
  if (!style_.tty) {
    std::string line = options_.label.empty() ? text : options_.label + ": " + text;
    if (options_.total > 0) {
      const double share =
          static_cast<double>(done_.load(std::memory_order_relaxed)) / static_cast<double>(options_.total);
      line = fmt::format("{} ({:.0f} %)", line, 100 * std::clamp(share, 0.0, 1.0));
    }
    out_ << fit(line, 1000) << '\n' << std::flush;
    return;
  }
  // One column stays free: some terminals wrap when the last one is written.
  const int columns = std::max(1, style_.columns - 1);
  std::string bar;
  int bar_columns = 0;
  if (options_.total > 0) {
    const int room = columns - static_cast<int>(options_.label.size() + text.size()) - 4;
    bar_columns = std::clamp(room, 0, 30);
    if (bar_columns < 6) bar_columns = 0;
    if (bar_columns > 0) {
      const double share = std::clamp(
          static_cast<double>(done_.load(std::memory_order_relaxed)) / static_cast<double>(options_.total), 0.0, 1.0);
      const int filled = static_cast<int>(std::floor(share * bar_columns));
      std::string on, off;
      for (int i = 0; i < bar_columns; ++i) (i < filled ? on : off) += i < filled ? "━" : "─";
      bar = style_.colour ? "\x1b[36m" + on + "\x1b[2;39m" + off + "\x1b[0m" : on + off;
      bar = " " + bar + " ";
      bar_columns += 2;
    }
  }
  const std::string label = fit(options_.label, columns);
  if (bar.empty()) {
    bar = label.empty() ? "" : "  ";
    bar_columns = static_cast<int>(bar.size());
  }
  const int left = columns - static_cast<int>(label.size()) - bar_columns;
  out_ << '\r' << label << bar << fit(text, std::max(0, left)) << "\x1b[K" << std::flush;
  line_open_ = true;
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
  draw(options_.now(), "");
  if (line_open_) out_ << '\n' << std::flush;
  line_open_ = false;
}

}  // namespace akin
