#include "engine/device.hpp"

#include "kernels/common/error.hpp"
#include "kernels/common/onednn.hpp"
#include "kernels/common/parallel.hpp"

namespace akin {

Device parse_device(std::string_view name) {
  if (name == "cpu" || name == "auto") return Device::cpu;
  if (name == "cuda") fail_usage("--device cuda: this build has no CUDA back end; use --device cpu");
  fail_usage("--device {}: unknown device; use cpu or auto", name);
}

std::string describe(Device) {
  const std::string library = fast::onednn_version();
  return fmt::format("cpu, {} thread{}, {}", max_threads(), max_threads() == 1 ? "" : "s",
                     library.empty() ? "plain loops (oneDNN absent)" : library);
}

}  // namespace akin
