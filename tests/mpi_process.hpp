// Runs the real akin on several ranks under mpirun.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli_process.hpp"

namespace akin::test {

/// Says why a case is not run; ctest looks for the line.
inline bool no_mpi() {
  static const bool none = [] {
    const bool there = std::system("mpirun --version 2>/dev/null | grep -q 'Open MPI'") == 0 &&
                       std::filesystem::exists(AKIN_BINARY_DIR "/bin/libakin_mpi.so");
    if (std::getenv("AKIN_NEEDS_MPI") != nullptr)
      CHECK_MESSAGE(there, "Open MPI and akin's plug-in for it are needed");
    else if (!there)
      std::cout << "MPI is not there: skipped\n";
    return !there;
  }();
  return none;
}

/// Shared memory alone, and no core of its own for each: several tests run at a time. `bind`: how else.
inline Arguments launcher(const std::string& bind = "none") {
  return {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", bind, "--mca", "pml", "ob1", "--mca",
          "btl",    "self,vader"};
}

/// One program on n ranks, or several on one each. `more`: options of mpirun.
inline Arguments on_ranks(int n, const Arguments& arguments, const Arguments& more = {}) {
  return with(with(with(launcher(), more), {"-n", std::to_string(n)}), Process::with_program(arguments));
}
inline Arguments side_by_side(const Arguments& a, const Arguments& b) {
  return with(with(on_ranks(1, a), {":", "-n", "1"}), Process::with_program(b));
}

inline Finished run(const TempFolder& folder, const Arguments& all) { return Process(folder.path(), "", all).wait(); }

inline int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The arguments with other values of options that are there, and with those that are not.
inline Arguments changed(Arguments all, const Arguments& more) {
  for (std::size_t i = 0; i < more.size(); ++i) {
    const bool valued = i + 1 < more.size() && !more[i + 1].starts_with("--");
    const auto there = std::find(all.begin(), all.end(), more[i]);
    if (there != all.end() && valued)
      *(there + 1) = more[++i];
    else
      all.push_back(more[i]);
  }
  return all;
}

inline std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

inline void succeeds(const TempFolder& folder, const Arguments& all) {
  const Finished f = run(folder, all);
  CAPTURE(join(all));
  CAPTURE(f.err);
  REQUIRE_EQ(f.code, 0);
}

inline bool same_files(const std::filesystem::path& a, const std::filesystem::path& b, const Arguments& names) {
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return read_file(a / name) == read_file(b / name); });
}

/// The process that is a rank of the launcher, once it is there and has joined (waits for a file).
inline pid_t process_of(const Process& launcher, int rank) {
  const std::string tasks = "/proc/" + std::to_string(launcher.pid()) + "/task/";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) {
      std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
      std::stringstream text;
      text << environment.rdbuf();
      if (has(text.str(), "OMPI_COMM_WORLD_RANK=" + std::to_string(rank) + '\0')) return child;
    }
  }
  return -1;
}

}  // namespace akin::test
