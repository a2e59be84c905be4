#include "engine/device.hpp"

#include "engine/io/nearest_name.hpp"
#include "kernels/common/error.hpp"
#include "kernels/common/gpu/device.hpp"

namespace akin {

Device parse_device(std::string_view name) {
  if (name == "cpu") return Device::cpu;
  if (name == "cuda") return Device::cuda;
  if (name == "sim") return Device::sim;
  if (name == "auto") return cuda_usable() ? Device::cuda : Device::cpu;
  fail_usage("--device {}: unknown device; use auto, cpu, cuda or sim{}", name,
             did_you_mean(name, {"auto", "cpu", "cuda", "sim"}));
}

const char* name_of(Device device) {
  switch (device) {
    case Device::cpu:
      return "cpu";
    case Device::cuda:
      return "cuda";
    default:
      return "sim";
  }
}

}  // namespace akin
