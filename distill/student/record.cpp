#include "distill/student/record.hpp"

#include <nlohmann/json.hpp>

#include "engine/io/file.hpp"

namespace akin {

namespace {

double number(const nlohmann::json& j) { return j.is_number() ? j.get<double>() : not_measured; }

}  // namespace

StudentFiles::StudentFiles(const std::filesystem::path& run_folder, Method method, std::uint64_t seed,
                           const std::string& teacher)
    : name(fmt::format("{}-seed{}{}", name_of(method), seed, teacher.empty() ? "" : "-" + teacher)) {
  const std::filesystem::path folder = run_folder / "students";
  student = folder / (name + ".safetensors");
  best = folder / (name + "_best.safetensors");
  record = folder / (name + ".json");
}

void write_record(const std::filesystem::path& file, const StudentRecord& record, const std::string& fingerprint) {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const CurvePoint& p : record.curve.points)
    points.push_back({p.step, p.train_loss, p.val_accuracy});  // NaN becomes null
  const nlohmann::ordered_json j = {{"fingerprint", fingerprint},
                                    {"seconds", record.result.seconds},
                                    {"images_per_second", record.result.images_per_second},
                                    {"curve", points}};
  write_file_atomic(file, std::string_view(j.dump() + "\n"));
}

bool read_record(const std::filesystem::path& file, const std::string& fingerprint, StudentRecord& record) {
  if (!std::filesystem::exists(file)) return false;
  try {
    const auto j = nlohmann::json::parse(read_text(file));
    if (j.at("fingerprint").get<std::string>() != fingerprint) return false;
    std::vector<CurvePoint> points;
    for (const auto& p : j.at("curve"))
      points.push_back({p.at(0).get<std::int64_t>(), number(p.at(1)), number(p.at(2))});
    record.result.seconds = number(j.at("seconds"));
    record.result.images_per_second = number(j.at("images_per_second"));
    record.curve.points = std::move(points);
    return true;
  } catch (const nlohmann::json::exception&) {  // damaged: the student is trained again
    return false;
  }
}

}  // namespace akin
