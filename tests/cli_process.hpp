// Runs the real akin as a process of its own, and makes small data sets for it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/io/file.hpp"
#include "nn/data/image_set.hpp"
#include "tests/temp_folder.hpp"

namespace akin::test {

struct Finished {
  int code = -1;  ///< exit code; -signal where one ended it
  std::string out, err;
};

class Process {
 public:
  /// stdout and stderr go to files in `folder`; or stdout to `out`.
  Process(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& out = "")
      : Process(folder, out, with_program(arguments)) {}
  /// Another program, such as one that starts akin.
  Process(const std::filesystem::path& folder, const std::string& out, std::vector<std::string> all)
      : out_(out.empty() ? (folder / "stdout").string() : out), err_((folder / "stderr").string()) {
    std::vector<char*> argv;
    for (std::string& a : all) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int o = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      const int e = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      ::dup2(o, STDOUT_FILENO);
      ::dup2(e, STDERR_FILENO);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  static std::vector<std::string> with_program(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{AKIN_BINARY_DIR "/bin/akin"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  pid_t pid() const { return pid_; }
  void send(int signal) const { ::kill(pid_, signal); }
  Finished wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    const std::string text = out_.starts_with("/dev/") ? "" : read_text(out_);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text, read_text(err_)};
  }

 private:
  std::string out_, err_;
  pid_t pid_ = -1;
};

/// Waits for a file to appear, at most a minute.
inline bool appears(const std::filesystem::path& file) {
  for (int i = 0; i < 6000; ++i) {
    if (std::filesystem::exists(file)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// Noise with a bright bar whose place tells the class: row 2 + 4 c, or column 2 + 4 c where `upright`.
inline ImageSet bars(std::int64_t per_class, unsigned seed, bool upright, std::int64_t channels = 1) {
  constexpr std::int64_t kSide = 12, kClasses = 3;
  std::mt19937 random(seed);
  ImageSet set;
  set.classes = {"low", "middle", "high"};
  set.images = Array(DType::u8, {per_class * kClasses, kSide, kSide, channels});
  const auto pixels = set.images.as<std::uint8_t>();
  std::size_t at = 0;
  for (std::int64_t i = 0; i < per_class * kClasses; ++i) {
    const std::int64_t label = i % kClasses;
    set.labels.push_back(static_cast<int>(label));
    for (std::int64_t h = 0; h < kSide; ++h)
      for (std::int64_t w = 0; w < kSide; ++w)
        for (std::int64_t c = 0; c < channels; ++c) {
          const bool bright = (upright ? w : h) / 2 == 1 + 2 * label - label / 2;
          pixels[at++] = static_cast<std::uint8_t>((bright ? 150 : 20) + static_cast<int>(random() % 80));
        }
  }
  return set;
}

inline void write_bars(const std::filesystem::path& folder, unsigned seed, bool upright, std::int64_t channels = 1) {
  save_images(bars(40, seed, upright, channels), Split::train, folder);
  save_images(bars(20, seed + 1, upright, channels), Split::test, folder);
}

using Arguments = std::vector<std::string>;

inline Arguments with(Arguments a, const Arguments& more) {
  a.insert(a.end(), more.begin(), more.end());
  return a;
}

inline Finished akin_(const TempFolder& folder, const Arguments& arguments) {
  return Process(folder.path(), arguments).wait();
}

inline std::string join(const Arguments& a) { return fmt::format("{}", fmt::join(a, " ")); }

inline nlohmann::json json_of(const Finished& f) { return nlohmann::json::parse(f.out, nullptr, false); }

/// Fails with one line that names `what`, exit code `code`.
inline void check_fails(const TempFolder& folder, const Arguments& arguments, int code, const std::string& what) {
  const Finished f = akin_(folder, arguments);
  CAPTURE(join(arguments));
  CAPTURE(f.err);
  CHECK_EQ(f.code, code);
  CHECK_EQ(f.out, "");
  const std::size_t at = f.err.find("akin: ");
  REQUIRE(at != std::string::npos);
  const std::string message = f.err.substr(at);
  CHECK_EQ(std::count(message.begin(), message.end(), '\n'), 1);  // the last line, and nothing after it
  CHECK(has(message, what));
}

/// Names left in a folder, sorted; nothing else may stay after a failure.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  if (std::filesystem::exists(folder))
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder))
      if (!e.is_directory()) names.push_back(std::filesystem::relative(e.path(), folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

inline Arguments train_arguments(const std::filesystem::path& data, const std::filesystem::path& out) {
  return {"train",   "--data", data.string(), "--width", "4",     "--epochs",   "6",
          "--batch", "12",     "--seed",      "3",       "--out", out.string(), "--quiet"};
}

struct DistillCase {
  std::string methods = "scratch,nearest,weighted";
  int unlabelled = 60, steps = 20;
};
/// `more` comes behind the sources.
inline Arguments distill_arguments(const TempFolder& folder, const std::string& out, const Arguments& more = {},
                                   const DistillCase& c = {}) {
  return with({"distill",
               "--target",
               (folder / "target").string(),
               "--labels-per-class",
               "4",
               "--unlabelled",
               std::to_string(c.unlabelled),
               "--methods",
               c.methods,
               "--steps",
               std::to_string(c.steps),
               "--batch",
               "8",
               "--unlabelled-batch",
               "8",
               "--student-width",
               "4",
               "--replicates",
               "20",
               "--threads",
               "1",
               "--quiet",
               "--out",
               (folder / out).string(),
               "--sources",
               (folder / "a.safetensors").string(),
               (folder / "b.safetensors").string()},
              more);
}

/// What make_bank() makes, as tables of an experiment's file.
inline constexpr const char* kBankOfBars = R"([[sources]]
name = "a"
path = "a.safetensors"
[[sources]]
name = "b"
path = "b.safetensors"
[[targets]]
name = "bars"
data = "target"
)";

/// A target, and two sources: a on the same bars, b on upright ones.
inline void make_bank(const TempFolder& folder) {
  write_bars(folder / "target", 1, false);
  for (const char* name : {"a", "b"}) {
    write_bars(folder / (std::string("data_") + name), 10, *name == 'b');
    const std::filesystem::path run = folder / (std::string("run_") + name);
    const Finished f = akin_(folder, train_arguments(folder / (std::string("data_") + name), run));
    CAPTURE(f.err);
    REQUIRE_EQ(f.code, 0);
    std::filesystem::copy_file(run / "model.safetensors", folder / (std::string(name) + ".safetensors"));
  }
}

}  // namespace akin::test
