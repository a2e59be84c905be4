#include "apps/common.hpp"

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "apps/config_file.hpp"
#include "apps/flags.hpp"
#include "apps/progress.hpp"
#include "distill/grid/seeds.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/text.hpp"
#include "engine/vendor.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

namespace {

volatile std::sig_atomic_t stop_signal = 0;

extern "C" void on_interrupt(int signal_number) {
  stop_signal = signal_number;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGHUP, SIG_DFL);
  constexpr std::string_view text = "\nakin: stopping after this step; once more to end at once\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// A line for standard error; a terminal gets it broken at blanks, but for commands, which are there to be copied.
std::string told_line(const std::string& line) {
  const std::string text = spelled_controls(line, true);
  const ProgressStyle style = stderr_style();
  return style.tty && text.find('`') == std::string::npos ? wrapped(text, static_cast<std::size_t>(style.columns))
                                                          : text;
}

/// Draws the progress of one piece of work after the other.
class Listener {
 public:
  Listener(bool quiet, std::int64_t stop_after) : quiet_(quiet), stop_after_(stop_after), style_(stderr_style()) {}

  void stage(const std::string& line) {
    if (line.starts_with("warning: "))
      warn(line.substr(9));
    else if (!quiet_ && bar_)
      bar_->message(told_line(line));
    else if (!quiet_)
      std::cerr << told_line(line) << '\n';
  }

  /// Each line once: seeds and cells meet the same things again.
  void warn(const std::string& line) {
    if (!warned_.insert(line).second) return;
    if (bar_)
      bar_->message(told_line("akin: warning: " + line));
    else
      akin::warn(line);
  }

  void progress(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                const std::string& note) {
    // Training loops ask stop() and save their state; what else reports progress has none.
    if (interrupted() && unit != "steps") {
      bar_.reset();
      fail("stopped on request; the same command with --resume goes on");
    }
    if (quiet_) return;
    if (!bar_ || label != label_ || done < done_) {
      open(label, total, unit);
      label_ = label;
      done_ = 0;
      if (unit == "steps") {  // the first news comes after a step, or many in a resumed run: they took unknown time
        bar_->skip(done);
        done_ = done;
      }
    }
    if (!note.empty()) bar_->note(note);
    bar_->advance(done - done_);
    done_ = done;
    if (done >= total) {
      bar_->finish();
      bar_.reset();
    }
  }

  /// The time of pieces counts from the first of their kind, and between them.
  void piece(const RunProgress& run) {
    if (bar_) bar_->finish();
    bar_.reset();
    if (run.number == 1 || !begun_.contains(run.what)) begun_[run.what] = Clock::now();  // a run goes on anywhere
    run_ = run;
    if (quiet_ || !style_.tty || run.pieces < 2) return;
    open(run.name, 0, "");  // until it tells of itself
    label_.clear();
    bar_->advance(0);
  }

  bool stop() {
    const bool now = interrupted() || (stop_after_ > 0 && --stop_after_ == 0);
    if (now) bar_.reset();
    return now;
  }

 private:
  void open(const std::string& label, std::int64_t total, const std::string& unit) {
    if (bar_ && run_.pieces > 1) bar_->finish();  // leaves no line
    bar_.reset();
    ProgressOptions options;
    options.label = label;
    options.total = total;
    options.unit = unit;
    if (run_.pieces > 1)
      options.run = {.name = fmt::format("{} of {} {}", run_.number, run_.pieces, run_.what),
                     .before = run_.work_before,
                     .own = run_.work,
                     .in_all = run_.work_in_all,
                     .seconds = std::chrono::duration<double>(Clock::now() - begun_[run_.what]).count()};
    bar_.emplace(std::cerr, style_, options);
  }

  bool quiet_;
  std::int64_t stop_after_;
  ProgressStyle style_;
  std::optional<Progress> bar_;
  std::string label_;
  std::int64_t done_ = 0;
  using Clock = std::chrono::steady_clock;
  RunProgress run_;
  std::map<std::string, Clock::time_point> begun_;  // of what
  std::set<std::string> warned_;
};

std::string format_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &utc)};
}

std::string shell_quoted(const std::string& text) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=+@%";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

void print_bytes(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written && errno == EPIPE) {  // the reader, `head` perhaps, has enough: end as other programs do then
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  AKIN_CHECK(written, "standard output cannot be written (disk full, or closed)");
}

}  // namespace

void add_output(CLI::App& app, CommonOptions& options) {
  app.add_flag("--json", options.json, "Print one JSON object on stdout")->configurable(false)->group("General");
  app.add_flag("--quiet", options.quiet, "No progress on stderr; warnings stay")->configurable(false)->group("General");
}

void add_common(CLI::App& app, CommonOptions& options) {
  add_settings(app, options.settings, "General");
  app.add_option("--threads", options.threads, "0: OMP_NUM_THREADS, or the processors at hand")
      ->transform(whole_in(0, kMostThreads))
      ->group("General");
  add_output(app, options);
  app.add_option("--stop-after", options.stop_after)->configurable(false)->group("");
}

void add_config(CLI::App& app) {
  app.add_option("--config",
                 "Settings from a TOML file, 'option = value' a line; the command line wins. A run saves its own as "
                 "config.toml")
      ->type_name("FILE")
      ->configurable(false)
      ->group("General");
}

Context start(const CommonOptions& options) {
  if (options.threads > 0) set_threads(options.threads);
  const Settings& s = options.settings;
  const Device device = parse_device(s.device);
  for (const auto& [name, value] : {std::pair{"--gemm", &s.gemm}, {"--conv", &s.conv}})
    if (*value != "own" && device != Device::cuda)
      fail_usage(
          "{} {}: NVIDIA's libraries work on an NVIDIA card alone; use --device cuda, or {} own (device {} was chosen)",
          name, *value, name, name_of(device));
  Context ctx(device);
  use_vendor(ctx, s.gemm == "cublas", s.conv == "cudnn");
  if (s.precision == "bf16") use_bf16(ctx);
  ctx.detect_anomaly = options.detect_anomaly;
  say(options, "device: " + describe(ctx));
  return ctx;
}

void say(const CommonOptions& options, const std::string& line) {
  if (options.console != nullptr) return akin::say(options.console->events, line);
  if (!options.quiet) std::cerr << told_line(line) << '\n';
}

void say_files(const CommonOptions& options, const std::filesystem::path& folder,
               const std::vector<std::string>& names) {
  if (options.console != nullptr)
    return akin::say(options.console->events, fmt::format("{}: {}", folder.string(), fmt::join(names, ", ")));
  if (options.quiet) return;
  const bool links = stderr_style().tty;
  const auto shown = [&](const std::string& text, const std::filesystem::path& path) {
    const std::string plain = spelled_controls(text, false);
    return links ? linked(plain, path) : plain;
  };
  std::string line = shown(folder.string(), folder) + ": ";
  for (const std::string& name : names) line += (name == names.front() ? "" : ", ") + shown(name, folder / name);
  std::cerr << line << '\n';
}

void make_parent(const std::filesystem::path& file) {
  if (file.has_parent_path()) make_folder(file.parent_path());
}

std::size_t stdout_columns() {
  winsize size{};
  return ::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void warn(const std::string& line) { std::cerr << told_line("akin: warning: " + line) << '\n'; }

void warn(const CommonOptions& options, const std::string& line) {
  if (options.console != nullptr) return akin::say(options.console->events, "warning: " + line);
  warn(line);
}

void tell(const CommonOptions& options, const ImageSet& set) {
  constexpr std::string_view kWarning = "warning: ";
  for (const std::string& line : told(set.account, set.source))
    if (line.starts_with(kWarning))
      warn(options, line.substr(kWarning.size()));
    else
      say(options, line);
}

ImageFormat format_for(const ImageFormat& asked, const ModelInfo& info) {
  ImageFormat format = asked;
  if (asked.height > 0) return format;
  const ImageFormat own = format_of(preprocessing_of(info));
  format.mixed_height = own.height;
  format.mixed_width = own.width;
  format.fit = own.fit;
  return format;
}

void say_preparation(const CommonOptions& options, const Model& model, const std::string& file, const ImageSet& set) {
  const Preprocessing p = preprocessing_of(model.info);
  const Shape& s = set.images.shape();
  if (p.height <= 0 || (!set.fitted && s[1] == p.height && s[2] == p.width)) return;
  const std::string size = set.fitted ? "several sizes" : fmt::format("{}x{}", s[1], s[2]);
  say(options, fmt::format("{}: images of {}; {} sees of each {}", set.name, size, file, fit_in_words(p)));
}

void warn_of_size(const Model& model, const std::string& file, const ImageSet& set) {
  const std::int64_t height = model.info.height, width = model.info.width;
  const Shape& s = set.images.shape();
  if (height <= 0 || width <= 0 || (s[1] == height && s[2] == width)) return;
  warn(fmt::format("{}: was trained on images of {}x{}, those of {} are {}x{}; --size {}x{} brings them to its size",
                   file, height, width, set.name, s[1], s[2], height, width));
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kTold = 12;
  if (names.size() <= kTold) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} ... ({})", fmt::join(names.begin(), names.begin() + kTold, ", "), names.size());
}

void warn_of_small_images(const CommonOptions& options, const Network& network, const Shape& images) {
  const std::int64_t height = images[1], width = images[2], stride = network.output_stride();
  if (std::min(height, width) > stride) return;
  warn(options,
       fmt::format("images of {}x{} are small for {}: one pixel is left at its end; --size {}x{} or larger suits it",
                   height, width, network.architecture().name, 2 * stride, 2 * stride));
}

void print(std::string_view text) { print_bytes(spelled_controls(text, true)); }

void print(const CommonOptions& options, std::string_view text) {
  options.console != nullptr ? options.console->out(text) : print(text);
}

void print_data(std::string_view text) { ::isatty(STDOUT_FILENO) == 1 ? print(text) : print_bytes(text); }

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  if (std::signal(SIGHUP, on_interrupt) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup's
}

bool interrupted() { return stop_signal != 0; }

Events make_events(const CommonOptions& options) {
  if (options.console != nullptr) return options.console->events;
  const auto listener = std::make_shared<Listener>(options.quiet, options.stop_after);
  Events events;
  events.stage = [listener](const std::string& line) { listener->stage(line); };
  events.progress = [listener](const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                               const std::string& note) { listener->progress(label, done, total, unit, note); };
  if (!options.quiet) events.piece = [listener](const RunProgress& run) { listener->piece(run); };
  events.stop = [listener] { return listener->stop(); };
  return events;
}

std::string iso_time() { return format_time("%Y-%m-%dT%H:%M:%SZ"); }
std::string run_stamp() { return format_time("%Y%m%d-%H%M%S"); }

void add_detect_anomaly(CLI::App& app, CommonOptions& options) {
  app.add_flag("--detect-anomaly", options.detect_anomaly,
               "Stop at the first op that makes a NaN or an infinity, and name it (slow)")
      ->configurable(false)
      ->group("Training");
}

void add_tensorboard(CLI::App& app, bool& wanted) {
  app.add_flag("--tensorboard", wanted, "Write the curves for TensorBoard, too, below tensorboard/")->group("Run");
}

void save_config(const CLI::App& app, const std::filesystem::path& run_folder) {
  write_file_atomic(run_folder / "config.toml", std::string_view(config_text(app)));
}

std::string command_of(const CLI::App& app) {
  std::string text = fmt::format("akin {}", fmt::join(command_path(app), " "));
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (name == "config" || name == "resume" || name == "stop-after") continue;
    if (option->get_expected_min() == 0) {  // a flag; "false" can come from a configuration file
      const bool off = option->as<std::string>() == "false";
      if (!off) text += " --" + name;
      if (off && option->check_lname("no-" + name)) text += " --no-" + name;
      continue;
    }
    text += " --" + name;
    for (const std::string& value : option->reduced_results()) text += " " + shell_quoted(value);
  }
  return text;
}

void sign_report(ReportData& report, const CLI::App& app, const Context& ctx, const std::string& begun,
                 std::chrono::steady_clock::time_point clock) {
  report.device = describe(ctx);
  report.threads = max_threads();
  report.commit = commit();
  report.time = begun;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
  report.command = command_of(app);
  report.config = config_text(app);
}

}  // namespace akin
