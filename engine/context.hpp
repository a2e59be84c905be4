#pragma once

#include <memory>

#include "engine/allocator.hpp"
#include "engine/device.hpp"
#include "kernels/common/onednn.hpp"

namespace akin {

class Tape;

/// Everything an op needs besides its tensors. One thread uses a Context at a time; a second thread makes its own.
struct Context {
  explicit Context(Device d = Device::cpu, AllocatorOptions options = {})
      : device(d), allocator(std::make_shared<Allocator>(options)) {}

  Device device;
  std::shared_ptr<Allocator> allocator;
  fast::OnednnCache onednn;
  Tape* tape = nullptr;        ///< ops are recorded here; nullptr = no gradients
  bool use_fast_paths = true;  ///< false: run the CPU specification everywhere
};

}  // namespace akin
