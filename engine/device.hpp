#pragma once

#include <string_view>

namespace akin {

/// Where tensors live and kernels run. `sim` runs the CUDA kernels on the CPU, to test and to teach.
enum class Device { cpu, cuda, sim };

/// "cpu", "cuda", "sim" or "auto" (cuda where a usable card answers, else cpu). Throws UsageError for an unknown name.
Device parse_device(std::string_view name);
const char* name_of(Device device);

}  // namespace akin
