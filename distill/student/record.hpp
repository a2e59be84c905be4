// What is kept of a finished student beside its network, so that a run can go on without training it again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distill/report/report.hpp"
#include "distill/student/train.hpp"

namespace akin {

/// One student's figures, with what the page shows of it.
struct StudentRecord {
  Method method = Method::scratch;
  std::uint64_t seed = 0;
  SeedResult result;
  Curve curve;
  std::vector<int> predictions;  ///< on the test split, one an image
  std::vector<double> confidence;
  std::string source;            ///< what it started from, or its main teacher; "" for none
  double weight = not_measured;  ///< of that teacher
};

/// Where the students of a run folder lie: <method>-seed<k>.safetensors, likewise with _best, and their .json. An
/// oracle's have the name of their one teacher behind it.
struct StudentFiles {
  StudentFiles(const std::filesystem::path& run_folder, Method method, std::uint64_t seed,
               const std::string& teacher = "");
  std::string name;  ///< "<method>-seed<k>"
  std::filesystem::path student, best, record;
};

/// Writes what testing a student does not tell: times and curve, and the digest of the settings.
void write_record(const std::filesystem::path& file, const StudentRecord& record, const std::string& fingerprint);
/// Reads it back; false where there is none of this configuration, or it is damaged.
bool read_record(const std::filesystem::path& file, const std::string& fingerprint, StudentRecord& record);

}  // namespace akin
