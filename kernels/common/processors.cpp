#include "kernels/common/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

namespace akin {
namespace {

/// Microseconds of processor time in a period of as many; 0: no limit, or none that can be read.
double quota_of(std::istream& quota, std::istream& period) {
  double time = 0, of = 0;
  return quota >> time && period >> of && time > 0 && of > 0 ? time / of : 0;
}

double quota_in(const std::filesystem::path& group, bool unified) {
  if (unified) {
    std::ifstream max(group / "cpu.max");  // "max 100000" or "150000 100000"
    return quota_of(max, max);
  }
  std::ifstream quota(group / "cpu.cfs_quota_us"), period(group / "cpu.cfs_period_us");
  return quota_of(quota, period);
}

bool lists_cpu(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');)
    if (name == "cpu") return true;
  return false;
}

}  // namespace

double processor_quota(const std::string& groups, const std::filesystem::path& mount) {
  double least = 0;
  std::istringstream lines(groups);
  for (std::string line; std::getline(lines, line);) {  // "0::/a/b", or "3:cpu,cpuacct:/a/b"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && !lists_cpu(controllers)) continue;
    // Inside a container the path may be that of the host, and only the mount itself is there.
    std::filesystem::path relative = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (const char* root : {unified ? "" : "cpu", unified ? "" : controllers.c_str()})
      for (std::filesystem::path at = relative;; at = at.parent_path()) {
        const double quota = quota_in(mount / root / at, unified);
        if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
        if (at.empty()) break;
      }
  }
  return least;
}

int available_processors() {
  cpu_set_t set;
  // A mask of more than 1024 processors does not fit.
  const bool fits = sched_getaffinity(0, sizeof set, &set) == 0;
  const int allowed = std::max(fits ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency()), 1);
  std::ifstream file("/proc/self/cgroup");
  const std::string groups{std::istreambuf_iterator<char>(file), {}};
  const double quota = processor_quota(groups, "/sys/fs/cgroup");
  return quota > 0 && quota < allowed ? std::max(static_cast<int>(std::ceil(quota)), 1) : allowed;
}

}  // namespace akin
