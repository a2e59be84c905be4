#pragma once

#include <string>
#include <string_view>

namespace akin {

/// Where tensors live and kernels run.
enum class Device { cpu };

/// "cpu" or "auto" (the best usable device). Throws UsageError for an unknown name, and for a device that this build
/// or this machine does not have: there is no silent fallback.
Device parse_device(std::string_view name);

/// "cpu, 2 threads, oneDNN 2.6.3": what a run prints so that everyone knows where it ran.
std::string describe(Device device);

}  // namespace akin
