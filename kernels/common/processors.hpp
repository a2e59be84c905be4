// How many processors this process may use.
#pragma once

#include <filesystem>
#include <string>

namespace akin {

/// Those of its affinity mask, and no more than its control groups' quotas of processor time, rounded up. At least 1.
int available_processors();

/// The smallest quota of the groups that `groups` (the text of /proc/self/cgroup) names and of those above them, in
/// processors; 0: none. `mount`: where control groups are seen, version 1 or 2 (/sys/fs/cgroup).
double processor_quota(const std::string& groups, const std::filesystem::path& mount);

}  // namespace akin
