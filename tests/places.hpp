// Where the device tests run: all places (the emulator, and the card where there is one), or those named on the command
// line of a test program:
//   --places=cuda   on the card alone, which must be there; the references are still worked out on the CPU
//   --places=sim    in the emulator alone
//   --values-only   no finite differences and no planted bugs
//   --no-poison     fresh device memory is left as it is (compute-sanitizer's initcheck wants to see it unwritten)
#pragma once

#include <string_view>
#include <vector>

#include "engine/device.hpp"
#include "kernels/common/gpu/device.hpp"
#include "kernels/common/sim/grid.hpp"

namespace akin::test {

struct Places {
  bool cuda = true, sim = true, cpu = true;
  bool values_only = false, poison = true;
};
inline Places& chosen() {
  static Places p;
  return p;
}
inline bool chosen(Device d) {
  return d == Device::cpu ? chosen().cpu : d == Device::cuda ? chosen().cuda : chosen().sim;
}

/// The emulator, and the card where there is one; as chosen.
inline std::vector<Device> gpu_devices() {
  std::vector<Device> all;
  if (chosen(Device::sim)) all.push_back(Device::sim);
  if (chosen(Device::cuda) && cuda_usable()) all.push_back(Device::cuda);
  return all;
}

/// The emulator under a schedule: with a card's number of multiprocessors under lifo, streams at random under pct.
inline sim::Options sim_options(sim::Policy policy, std::uint64_t seed) {
  return {.policy = policy,
          .seed = seed,
          .async = policy == sim::Policy::pct ? sim::Async::random : sim::Async::latest,
          .multiprocessors = policy == sim::Policy::lifo ? 132 : 2};
}

/// True where `argument` is one of the options above, false where it is another's. Error where it looks like one of
/// them: a test that was to run on a card must not pass elsewhere for a slip of the pen.
inline bool take_option(std::string_view argument) {
  Places& p = chosen();
  if (argument == "--places=cuda") {
    p.cpu = p.sim = false;
  } else if (argument == "--places=sim") {
    p.cpu = p.cuda = false;
  } else if (argument == "--values-only") {
    p.values_only = true;
  } else if (argument == "--no-poison") {
    p.poison = false;
  } else {
    for (const std::string_view mine : {"--place", "--value", "--no-p"})
      AKIN_CHECK(argument == "--places=all" || argument == "--no-path-filenames" || !argument.starts_with(mine),
                 "{}: the options are --places=all|cuda|sim, --values-only and --no-poison", argument);
    return argument == "--places=all";
  }
  return true;
}

}  // namespace akin::test
