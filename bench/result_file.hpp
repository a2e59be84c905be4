// What every benchmark writes with --json FILE and bench_compare reads: rows of rounds, and where they were measured.
// bench/peers/taking_turns.py writes the same.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/json.hpp"

namespace akin::bench {

/// One quantity, measured in several rounds.
struct ResultRow {
  std::string name;
  std::string unit;               ///< "us", "images/s", ...
  bool higher_is_better = false;  ///< a rate, and not a time
  std::vector<double> rounds;     ///< in the order in which they ran
};

struct ResultFile {
  std::string program;               ///< "bench_conv2d"
  std::string processor;             ///< or card
  int threads = 0;                   ///< of the kernels' loops
  Json versions = Json::object();    ///< name -> text: akin, oneDNN, ...
  std::vector<ResultRow> rows = {};  ///< names are unique
  Json details = Json::object();     ///< what else the program tells; bench_compare does not read it
};

double median(std::vector<double> values);

/// Of this machine, build and moment, without rows; also notes the load of the machine before the measurement.
ResultFile result_file(const std::string& program);
/// Notes the date and the load of the machine after it.
void write_results(const std::filesystem::path& path, const ResultFile& file);
/// Error, with the path and what is wrong, where it is no such file: not JSON, of another kind, no rows, a row twice, a
/// round that is no positive number.
ResultFile read_results(const std::filesystem::path& path);

}  // namespace akin::bench
