// Runs the real akin as a process of its own, and makes small data sets for it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/io/dataset_dir.hpp"
#include "engine/io/file.hpp"
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
      : out_(out.empty() ? (folder / "stdout").string() : out), err_((folder / "stderr").string()) {
    std::vector<std::string> all{AKIN_BINARY_DIR "/bin/akin"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& a : all) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int o = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      const int e = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      ::dup2(o, STDOUT_FILENO);
      ::dup2(e, STDERR_FILENO);
      ::execv(argv[0], argv.data());
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

  void interrupt() const { ::kill(pid_, SIGINT); }
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

}  // namespace akin::test
