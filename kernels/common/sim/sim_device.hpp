// The emulator as a device of the engine. Work lags behind the host as Options::async says.
#pragma once

#include <memory>

#include "kernels/common/gpu/device.hpp"
#include "kernels/common/sim/grid.hpp"

namespace akin {

std::shared_ptr<GpuDevice> open_sim(const sim::Options& options = {});

}  // namespace akin
