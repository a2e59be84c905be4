#include "kernels/common/gpu/device.hpp"

#include <fmt/format.h>

namespace akin {

std::string cuda_problem(const CudaFacts& f) {
  if (f.driver == 0) return "device cuda: no NVIDIA driver answers on this machine; use --device cpu";
  if (f.too_old)
    return fmt::format(
        "device cuda: the driver supports CUDA {}.{}, this akin was built with {}.{}; update the driver, or use "
        "--device cpu",
        f.driver / 1000, f.driver % 1000 / 10, f.runtime / 1000, f.runtime % 1000 / 10);
  if (!f.error.empty()) return fmt::format("device cuda: {}; use --device cpu", f.error);
  if (f.cards == 0) return "device cuda: the driver finds no NVIDIA card; use --device cpu";
  if (f.wanted < 0 || f.wanted >= f.cards)
    return fmt::format("device cuda: card {} was asked for, there are {} (0 to {})", f.wanted, f.cards, f.cards - 1);
  return "";
}

std::string card_problem(const std::string& name, int major, int minor) {
  if (major >= 8) return "";
  return fmt::format(
      "device cuda: {} has compute capability {}.{}, at least 8.0 (Ampere) is needed; use --device cpu", name, major,
      minor);
}

}  // namespace akin
