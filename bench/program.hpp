// What the benchmarks' own programs share: their command line, and the orders that bench/peers gives to a side.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "bench/result_file.hpp"

namespace akin::bench {

/// Parses and runs work(); an error becomes a line on stderr and an exit code: 2 for wrong usage, 1 for the rest.
template <class Work>
int run_program(CLI::App& app, int argc, char** argv, const char* program, Work&& work) {
  try {
    app.parse(argc, argv);
    work();
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const UsageError& e) {
    fmt::print(stderr, "{}: {}\n", program, e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", program, e.what());
    return 1;
  }
}

/// Results as lines of JSON at the end of a file, each there as soon as it is known: a program that is cut off leaves
/// the others. Does nothing where the path is "". Throws Error where the file cannot be written.
class LineFile {
 public:
  explicit LineFile(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    to_.open(path_, std::ios::app);
    AKIN_CHECK(to_.good(), "--lines {}: cannot be written", path_);
  }
  void add(const Json& line) {
    if (path_.empty()) return;
    to_ << json_line(line) + "\n" << std::flush;
    AKIN_CHECK(to_.good(), "--lines {}: cannot be written", path_);
  }

 private:
  std::string path_;
  std::ofstream to_;
};

/// Answers each line of standard input with one of JSON until "quit": "run SECONDS" by run(seconds), "about" by the
/// versions at work, others by their name.
inline void take_orders(const std::function<Json(double)>& run,
                        const std::map<std::string, std::function<Json()>>& others = {}) {
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (line.starts_with("run "))
      fmt::print("{}\n", json_line(run(std::stod(line.substr(4)))));
    else if (line == "about")
      fmt::print("{}\n", json_line(result_file("").versions));
    else if (const auto other = others.find(line); other != others.end())
      fmt::print("{}\n", json_line(other->second()));
    std::fflush(stdout);
  }
}

}  // namespace akin::bench
