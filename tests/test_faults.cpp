// Kills and failing disks at every n-th file call of what runs long, and of what writes several files: started again,
// each ends with the bytes of a run that nothing happened to, and leaves nothing beside them. ctest takes a part of the
// calls; AKIN_SWEEP_EVERY=1 (scripts/kill_sweep.sh) takes all.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "engine/io/json.hpp"
#include "tests/cli_process.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

/// What is run, in a folder that holds the data: in the end all files below `out` are compared.
struct Work {
  std::string name;
  Arguments arguments;
  std::string out;
  std::string again;  ///< what is added when it is started again
};

const Arguments kStudents = {"--sources",
                             "a.safetensors",
                             "b.safetensors",
                             "--student",
                             "resnet8",
                             "--student-width",
                             "4",
                             "--steps",
                             "4",
                             "--checkpoint-every",
                             "1",
                             "--batch",
                             "8",
                             "--unlabelled-batch",
                             "8",
                             "--labels-per-class",
                             "3",
                             "--replicates",
                             "2",
                             "--threads",
                             "1",
                             "--quiet"};

std::vector<Work> works() {
  const auto distill = [](const std::string& name, const Arguments& more) {
    Arguments a{"distill", "--target", "data", "--out", "run", "--cache", "run/cache"};
    a.insert(a.end(), kStudents.begin(), kStudents.end());
    a.insert(a.end(), more.begin(), more.end());
    return Work{name, a, "run", "--resume"};
  };
  return {
      {"train",
       {"train", "--data", "data", "--width", "4", "--epochs", "2", "--batch", "12", "--checkpoint-every", "2",
        "--threads", "1", "--quiet", "--out", "run"},
       "run",
       "--resume"},
      {"train without checkpoints",
       {"train", "--data", "data", "--width", "4", "--epochs", "1", "--batch", "12", "--checkpoint-every", "0",
        "--threads", "1", "--quiet", "--out", "run"},
       "run",
       "--resume"},
      distill("distill", {"--methods", "scratch,probe,weighted", "--seeds", "0,1", "--validation", "3"}),
      distill("distill, teacher-view same", {"--methods", "equal,oracle", "--teacher-view", "same"}),
      {"fit",
       {"fit", "data", "--sources", "a.safetensors", "--size", "12x12", "--steps", "3", "--threads", "1", "--quiet",
        "--out", "run", "--cache", "run/cache"},
       "run",
       "--resume"},
      {"experiment",
       {"experiment", "grid.toml", "--out", "run", "--cache", "run/cache", "--threads", "1", "--quiet"},
       "run",
       ""},
      {"features",
       {"features", "--model", "a.safetensors", "--data", "data", "--split", "train", "--out", "tables/a.safetensors",
        "--quiet"},
       "tables",
       "--force"},
      {"export", {"export", "a.safetensors", "--out", "run", "--quiet"}, "run", "--force"},
  };
}

/// Data and sources that every trial begins with.
void prepare(const TempFolder& folder) {
  write_bars(folder / "data", 1, false);
  for (const auto& [name, seed] : {std::pair{"a", "1"}, {"b", "2"}}) {
    const Finished f = akin_(folder, {"train", "--data", (folder / "data").string(), "--width", "4", "--epochs", "1",
                                      "--batch", "12", "--seed", seed, "--quiet", "--out", (folder / name).string()});
    REQUIRE_EQ(f.code, 0);
    fs::rename(folder / name / "model.safetensors", folder / (std::string(name) + ".safetensors"));
    fs::remove_all(folder / name);
  }
  std::ofstream(folder / "grid.toml") << R"(title = "sweep"
seeds = [0, 1]
methods = ["scratch", "weighted", "oracle"]
metrics = ["parc", "leep"]
[settings]
student = "resnet8"
student_width = 4
steps = 4
batch = 8
unlabelled_batch = 8
checkpoint_every = 2
replicates = 0
[[targets]]
name = "bars"
data = "data"
[[budgets]]
name = "three"
per_class = 3
[[sources]]
name = "a"
path = "a.safetensors"
[[sources]]
name = "b"
path = "b.safetensors"
)";
}

/// Exit code, or -signal, of akin in `folder` with AKIN_FAULT.
int run(const fs::path& folder, const Work& work, bool again, const std::string& fault) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::chdir(folder.c_str()) != 0) ::_exit(126);
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
      ::dup2(::open(fd == STDOUT_FILENO ? "out.txt" : "err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0644), fd);
    if (!fault.empty()) {
      ::setenv("AKIN_FAULT", fault.c_str(), 1);
      ::setenv("LD_PRELOAD", AKIN_BINARY_DIR "/tests/libakin_inject.so", 1);
    }
    std::vector<std::string> all{AKIN_BINARY_DIR "/bin/akin"};
    all.insert(all.end(), work.arguments.begin(), work.arguments.end());
    if (again && !work.again.empty()) all.push_back(work.again);
    std::vector<char*> argv;
    for (std::string& a : all) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Without times and what follows from them.
Json timeless(const Json& j) {
  if (!j.is_object() && !j.is_array()) return j;
  Json out = j.is_object() ? Json::object() : Json::array();
  for (const auto& [key, value] : j.items()) {
    if (j.is_array())
      out.push_back(timeless(value));
    else if (key != "seconds" && key != "images_per_second" && key != "ms_per_image" && key != "sha256")
      out[key] = timeless(value);
  }
  return out;
}

/// Every file below `folder` that tells a result, by name.
std::map<std::string, std::string> results(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().lexically_relative(folder).string();
    std::string text = read_text(entry.path());
    if (name.starts_with("report.") || name == "results.md" || name.ends_with(".md")) {
      text.clear();  // times and dates all over; it has to be there
    } else if (name.ends_with(".json") && !name.starts_with("labels")) {
      text = json_line(timeless(parse_json(text, name)));
    } else if (name == "results.csv") {
      std::istringstream lines(text);
      std::string kept;
      std::vector<bool> is_time;
      for (std::string line; std::getline(lines, line); kept += "\n") {
        std::istringstream row(line);
        std::size_t column = 0;
        for (std::string cell; std::getline(row, cell, ','); ++column) {
          if (kept.find('\n') == std::string::npos) is_time.push_back(has(cell, "second") || cell == "ms_per_image");
          if (column >= is_time.size() || !is_time[column]) kept += cell + ",";
        }
      }
      text = kept;
    }
    out[name] = text;
  }
  return out;
}

struct Tally {
  int kills = 0, errors = 0, errors_survived = 0, differ = 0;
};

long every() {
  const char* text = std::getenv("AKIN_SWEEP_EVERY");
  return text == nullptr ? 0 : std::max(1L, std::strtol(text, nullptr, 10));
}

}  // namespace

TEST_CASE("killed or failing at any file call, and started again: the bytes of a run that nothing happened to") {
  const TempFolder base;
  prepare(base);
  const auto copy = [&](const fs::path& to) {
    fs::create_directory(to);
    for (const char* name : {"data", "a.safetensors", "b.safetensors", "grid.toml"})
      fs::copy(base / name, to / name, fs::copy_options::recursive);
    fs::create_directory(to / "tables");
  };
  const char* only = std::getenv("AKIN_SWEEP_ONLY");
  Tally all;
  for (const Work& work : works()) {
    if (only != nullptr && work.name.find(only) == std::string::npos) continue;
    CAPTURE(work.name);
    const TempFolder whole;
    copy(whole / "w");
    const int sound = run(whole / "w", work, false, "count " + (whole / "calls").string());
    REQUIRE_MESSAGE(sound == 0, read_text(whole / "w/err.txt"));
    const auto expected = results(whole / "w" / work.out);
    REQUIRE_FALSE(expected.empty());
    long calls = 0, changes = 0;
    std::ifstream(whole / "calls") >> calls >> changes;
    REQUIRE(changes > 3);
    REQUIRE(calls > changes);
    Tally t;
    const auto trial = [&](const std::string& fault, bool is_kill) {
      CAPTURE(fault);
      const TempFolder folder;
      const fs::path place = folder / "w";
      copy(place);
      const int code = run(place, work, false, fault);
      if (is_kill) {
        CHECK_EQ(code, -SIGKILL);
        ++t.kills;
      } else {
        CHECK_MESSAGE((code == 0 || code == 1), code);
        if (code == 1) CHECK_MESSAGE(has(read_text(place / "err.txt"), "akin: "), read_text(place / "err.txt"));
        ++t.errors;
        t.errors_survived += code == 0;
      }
      const int again = run(place, work, true, "");
      CHECK_MESSAGE(again == 0, read_text(place / "err.txt"));
      if (again != 0 || !fs::exists(place / work.out)) return;
      const auto found = results(place / work.out);
      bool same = true;
      for (const auto& [name, text] : expected) same &= found.contains(name) && found.at(name) == text;
      for (const auto& [name, text] : found) same &= expected.contains(name);
      t.differ += !same;
      for (const auto& [name, text] : expected) {
        CHECK_MESSAGE(found.contains(name), name);
        if (found.contains(name)) CHECK_MESSAGE(found.at(name) == text, name);
      }
      for (const auto& [name, text] : found) CHECK_MESSAGE(expected.contains(name), "left over: " << name);
    };
    // In ctest a few calls, spread over all; the first and the last are among them.
    const long step = every() > 0 ? every() : std::max(1L, calls / 6);
    for (long n = 1; n <= calls; n += step) trial(fmt::format("kill {}", n), true);
    const long error_step = every() > 0 ? 3 * every() : std::max(1L, changes / 3);
    for (long n = 1; n <= changes; n += error_step)
      for (const char* error : {"ENOSPC", "EIO"}) trial(fmt::format("{} {}", error, n), false);
    fmt::print("{:28} {:5} calls, {:5} change something: {:4} kills, {:4} errors ({} survived), {} differ\n", work.name,
               calls, changes, t.kills, t.errors, t.errors_survived, t.differ);
    std::fflush(stdout);  // a whole sweep takes long
    all.kills += t.kills;
    all.errors += t.errors;
    all.errors_survived += t.errors_survived;
    all.differ += t.differ;
  }
  fmt::print("{:28} {} kills, {} errors ({} survived), {} differ\n", "all", all.kills, all.errors, all.errors_survived,
             all.differ);
  CHECK(all.kills + all.errors > 0);
}
