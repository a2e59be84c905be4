// The emulator as a device of the engine. Work is done at once: a stream never lags behind the host.
#pragma once

#include <memory>

#include "kernels/common/gpu/device.hpp"
#include "kernels/common/sim/grid.hpp"

namespace akin {

std::shared_ptr<GpuDevice> open_sim(const sim::Options& options = {});

}  // namespace akin
