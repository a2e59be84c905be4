// The CUDA device of a build without CUDA. A build with it takes cuda_device.cu instead.
#include "kernels/common/error.hpp"
#include "kernels/common/gpu/device.hpp"

namespace akin {

bool built_with_cuda() { return false; }
bool cuda_usable() { return false; }

std::shared_ptr<GpuDevice> open_cuda(int) {
  fail("device cuda: this akin was built without CUDA; install the CUDA Toolkit (nvcc) and build again, or use --device "
       "cpu");
}

}  // namespace akin
