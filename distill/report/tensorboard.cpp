#include "distill/report/tensorboard.hpp"

#include <cmath>

#include "engine/io/clock.hpp"
#include "engine/io/event_file.hpp"
#include "engine/io/file.hpp"

namespace akin {

void write_tensorboard(const std::filesystem::path& run_folder, const std::string& name, const Figures& figures,
                       std::span<const CurvePoint> curve) {
  const std::filesystem::path folder = run_folder / "tensorboard" / name, file = folder / "events.out.tfevents.akin";
  if (is_there(file)) return;
  const double now = unix_seconds();
  const std::int64_t last = curve.empty() ? 0 : curve.back().step;
  const double seconds = std::isfinite(figures.seconds) ? figures.seconds : 0;
  std::vector<ScalarEvent> events;
  const auto add = [&](const char* tag, std::int64_t step, double value) {
    const double left = last > 0 ? 1 - static_cast<double>(step) / static_cast<double>(last) : 0;
    if (std::isfinite(value)) events.push_back({tag, step, value, now - seconds * left});
  };
  for (const CurvePoint& p : curve) {
    add("loss/train", p.step, p.loss);
    add("accuracy/validation", p.step, p.validation);
  }
  add("accuracy/test", last, figures.test_accuracy);
  make_folder(folder);
  write_file_atomic(file, std::string_view(event_file(events)));
}

}  // namespace akin
