#include "bench/result_file.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include <thread>

#include "engine/build_info.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin::bench {

namespace {

constexpr const char* kKind = "akin benchmark";

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

/// Processes that wanted a core in the last minute, on average.
Json load() {
  double value = 0;
  return ::getloadavg(&value, 1) == 1 ? number(value) : Json(nullptr);
}

ResultRow row_of(const Json& j, const std::string& where) {
  const auto text = [&](const char* key) {
    AKIN_CHECK(j.is_object() && j.contains(key) && j[key].is_string(), "{}: a row has no text \"{}\"", where, key);
    return j[key].get<std::string>();
  };
  ResultRow row{text("name"), text("unit"), false, {}};
  const std::string better = text("better");
  AKIN_CHECK(better == "higher" || better == "lower",
             "{}: row \"{}\": better is \"{}\", expected \"higher\" or \"lower\"", where, row.name, better);
  row.higher_is_better = better == "higher";
  AKIN_CHECK(j.contains("rounds") && j["rounds"].is_array() && !j["rounds"].empty(), "{}: row \"{}\" has no rounds",
             where, row.name);
  for (const Json& v : j["rounds"]) {
    AKIN_CHECK(number(v) > 0, "{}: row \"{}\": a round is {}, expected a number above 0", where, row.name,
               json_line(v));
    row.rounds.push_back(number(v));
  }
  return row;
}

}  // namespace

double median(std::vector<double> values) {
  AKIN_CHECK(!values.empty(), "median of no values");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

ResultFile result_file(const std::string& program) {
  ResultFile file{.program = program, .processor = processor_name(), .threads = max_threads()};
  file.versions["akin"] = version_line();
  file.versions["build"] = build_flags();
  if (const std::string onednn = fast::onednn_version(); !onednn.empty()) file.versions["oneDNN"] = onednn;
  file.details["load_before"] = load();
  return file;
}

void write_results(const std::filesystem::path& path, const ResultFile& file) {
  Json rows = Json::array();
  for (const ResultRow& row : file.rows)
    rows.push_back({{"name", row.name},
                    {"unit", row.unit},
                    {"better", row.higher_is_better ? "higher" : "lower"},
                    {"median", median(row.rounds)},
                    {"rounds", row.rounds}});
  Json j{{"kind", kKind},
         {"program", file.program},
         {"date", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
         {"processor", file.processor},
         {"processors", std::thread::hardware_concurrency()},
         {"threads", file.threads},
         {"versions", file.versions},
         {"load_after", load()},
         {"rows", std::move(rows)}};
  for (const auto& [key, value] : file.details.items()) j[key] = value;
  write_json(path, j);
}

ResultFile read_results(const std::filesystem::path& path) {
  const std::string where = path.string();
  const Bytes bytes = read_file(path);
  const Json j = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, where);
  AKIN_CHECK(j.is_object() && j.contains("kind") && j["kind"] == kKind,
             "{}: no results of a benchmark: \"kind\" is not \"{}\" (write one with --json FILE)", where, kKind);
  for (const char* key : {"program", "processor"})
    AKIN_CHECK(j.contains(key) && j[key].is_string(), "{}: has no text \"{}\"", where, key);
  AKIN_CHECK(j.contains("threads") && j.contains("rows") && j["rows"].is_array() && !j["rows"].empty(),
             "{}: has no \"threads\" or no \"rows\"", where);
  ResultFile file{.program = j["program"].get<std::string>(), .processor = j["processor"].get<std::string>()};
  file.threads = static_cast<int>(whole_number(j["threads"], where + ": threads", 0, 1 << 20));
  if (j.contains("versions")) file.versions = j["versions"];
  std::set<std::string> names;
  for (const Json& row : j["rows"]) {
    file.rows.push_back(row_of(row, where));
    AKIN_CHECK(names.insert(file.rows.back().name).second, "{}: row \"{}\" stands twice", where, file.rows.back().name);
  }
  return file;
}

}  // namespace akin::bench
