// Runs of a command from the text of its settings: akin_distill, akin_fit. The command line reads them, so that an
// option means the same wherever it stands.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "api/call.hpp"
#include "apps/command_line.hpp"
#include "apps/common.hpp"
#include "engine/io/text.hpp"
#include "engine/io/write_all.hpp"

namespace akin::api {

namespace {

/// A text as a file without a name, for who reads files.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : fd_(::memfd_create("settings", MFD_CLOEXEC)) {
    AKIN_CHECK(fd_ >= 0, "settings: no memory for them ({})", std::strerror(errno));
    if (const int error = write_all(fd_, bytes_of(text)); error != 0) {
      ::close(fd_);
      fail("settings: no memory for them ({})", std::strerror(error));
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }

 private:
  int fd_;
};

/// Tells the hooks, and keeps what a terminal would get on stdout.
class Listener {
 public:
  explicit Listener(const akin_run_hooks* hooks) : hooks_(hooks != nullptr ? *hooks : akin_run_hooks{}) {
    console_.out = [this](std::string_view text) { out_ += text; };
    console_.events.stage = [this](const std::string& line) {
      if (hooks_.line != nullptr) hooks_.line(hooks_.user, readable_text(line).c_str());
    };
    console_.events.progress = [this](const std::string& label, std::int64_t done, std::int64_t total,
                                      const std::string& unit, const std::string&) {
      if (hooks_.progress == nullptr) return;
      if (hooks_.progress(hooks_.user, readable_text(label).c_str(), done, total, unit.c_str()) != 0) stopped_ = true;
      // Training loops ask stop() and save their state; what else reports progress has none.
      if (stopped_ && unit != "steps") fail("stopped on request; the same call with AKIN_RESUME goes on");
    };
    console_.events.stop = [this] { return stopped_; };
  }
  const Console& console() const { return console_; }
  bool stopped() const { return stopped_; }
  const std::string& out() const { return out_; }

 private:
  akin_run_hooks hooks_;
  Console console_;
  bool stopped_ = false;
  std::string out_;
};

int run(const char* command, const char* settings, unsigned flags, const akin_run_hooks* hooks, akin_text* outcome) {
  return call(0, [&] {
    if ((flags & ~unsigned{AKIN_RESUME | AKIN_FORCE}) != 0) fail_usage("flags {}: has bits that mean nothing", flags);
    const MemoryFile file(&given(settings, "settings"));
    const std::string path = file.path();
    std::vector<const char*> arguments{"akin", command, "--json", "--config", path.c_str()};
    if ((flags & AKIN_RESUME) != 0) arguments.push_back("--resume");
    if ((flags & AKIN_FORCE) != 0) arguments.push_back("--force");
    Listener listener(hooks);
    try {
      run_command_line(static_cast<int>(arguments.size()), arguments.data(), {}, {&listener.console(), "settings"});
    } catch (const Error& e) {
      if (listener.stopped()) throw CodedError(AKIN_STOPPED, e.what());
      throw;
    }
    if (outcome == nullptr) return;
    *outcome = ::strdup(listener.out().c_str());
    if (*outcome == nullptr) throw std::bad_alloc();
  });
}

}  // namespace

}  // namespace akin::api

void akin_text_free(akin_text text) { std::free(text); }

int akin_distill(const char* settings, unsigned flags, const akin_run_hooks* hooks, akin_text* outcome) {
  return akin::api::run("distill", settings, flags, hooks, outcome);
}

int akin_fit(const char* settings, unsigned flags, const akin_run_hooks* hooks, akin_text* outcome) {
  return akin::api::run("fit", settings, flags, hooks, outcome);
}
