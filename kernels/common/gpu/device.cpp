#include "kernels/common/gpu/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

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

namespace {

/// Whether code for one architecture as CMake names it runs on compute capability major.minor: "90a-real" there alone,
/// "100f-real" and "80-real" where the first number is the same, "80-virtual" from there on; "80" is both of the last.
/// What is no such name ("native", "all") is not judged.
bool runs_on(std::string_view architecture, int major, int minor) {
  int number = 0;
  const auto [end, error] = std::from_chars(architecture.data(), architecture.data() + architecture.size(), number);
  if (error != std::errc()) return true;
  const std::string_view kind(end, static_cast<std::size_t>(architecture.data() + architecture.size() - end));
  const int card = 10 * major + minor;
  if (kind.starts_with("a")) return card == number;
  const bool machine_code = kind != "-virtual" && card / 10 == number / 10, portable = kind == "" || kind == "-virtual";
  return card >= number && (machine_code || portable);
}

}  // namespace

std::string card_problem(const std::string& name, int major, int minor, std::string_view architectures) {
  if (major < 8)
    return fmt::format(
        "device cuda: {} has compute capability {}.{}, at least 8.0 (Ampere) is needed; use --device cpu", name, major,
        minor);
  for (std::string_view rest = architectures; !rest.empty();) {
    const std::string_view next = rest.substr(0, rest.find(','));
    if (runs_on(next, major, minor)) return "";
    rest.remove_prefix(std::min(rest.size(), next.size() + 1));
  }
  return fmt::format(
      "device cuda: {} has compute capability {}.{}, this akin holds code for {} alone; build it again with "
      "-DCMAKE_CUDA_ARCHITECTURES={}{}, or use --device cpu",
      name, major, minor, architectures, major, minor);
}

}  // namespace akin
