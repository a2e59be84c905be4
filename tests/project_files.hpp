// The text files of the project, for tests of the rules that keep it in order.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace akin::test {

namespace fs = std::filesystem;
using Problems = std::vector<std::string>;

inline constexpr const char* kFolders[] = {"kernels", "engine", "nn",    "distill", "apps", "api",  "python",
                                           "examples", "tests", "bench", "scripts", "docs", "cmake"};

struct File {
  std::string path;  ///< from the root, with '/'
  std::string extension;
  std::vector<std::string> lines;
};

/// Every text file of the project: the folders of the house and the files beside them; nothing that is built or run.
inline std::vector<File> project(const fs::path& root) {
  const std::set<std::string> text{".cpp", ".hpp", ".c",     ".h",  ".cu", ".cuh",
                                   ".py",  ".sh",  ".cmake", ".md", ".txt"};
  std::vector<File> out;
  const auto take = [&](const fs::path& p) {
    if (!fs::is_regular_file(p) || !text.contains(p.extension().string())) return;
    std::ifstream in(p);
    File f{fs::relative(p, root).generic_string(), p.extension().string(), {}};
    for (std::string line; std::getline(in, line);) f.lines.push_back(line);
    out.push_back(std::move(f));
  };
  for (const auto& e : fs::directory_iterator(root)) take(e.path());
  for (const char* folder : kFolders)
    if (fs::is_directory(root / folder))
      for (const auto& e : fs::recursive_directory_iterator(root / folder)) take(e.path());
  std::sort(out.begin(), out.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return out;
}

inline std::string list(const Problems& problems) { return fmt::format("{}", fmt::join(problems, "\n")); }

inline void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

}  // namespace akin::test
