#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "engine/allocator.hpp"
#include "engine/device.hpp"
#include "engine/dtype.hpp"
#include "kernels/common/gpu/device.hpp"
#include "kernels/common/gpu/vendor.hpp"
#include "kernels/common/onednn.hpp"

namespace akin {

class Tape;
struct Trace;
class OpWatch;
class Profiler;
class Ranks;
class Nccl;

/// Images of one forward pass on this rank and on all.
struct SharedBatch {
  std::int64_t here = 0, all = 0;
};

/// Everything an op needs besides its tensors. One thread uses a Context at a time; a second thread makes its own.
struct Context {
  /// Opens the device. Throws Error when this build or this machine does not have it: there is no silent fallback.
  explicit Context(Device d = Device::cpu, AllocatorOptions options = {});
  /// On a device that is open already: `card` is a CUDA card or an emulator.
  Context(Device d, std::shared_ptr<GpuDevice> card, AllocatorOptions options = {});

  Device device;
  std::shared_ptr<GpuDevice> gpu;     ///< nullptr on the CPU
  std::shared_ptr<GpuStream> stream;  ///< all work of this Context, in order; nullptr on the CPU
  std::shared_ptr<Allocator> allocator;
  std::shared_ptr<Allocator> host;    ///< host memory, pinned where there is a GPU; the same as allocator on the CPU
  fast::OnednnCache onednn;
  Tape* tape = nullptr;               ///< ops are recorded here; nullptr = no gradients
  Trace* trace = nullptr;             ///< ops leave a description here; nullptr = none
  OpWatch* watch = nullptr;           ///< is shown every op as it runs; nullptr = nobody
  Profiler* profiler = nullptr;       ///< is told every launch; nullptr = nobody
  bool detect_anomaly = false;        ///< a training run stops at the first op that makes a NaN or an infinity
  bool use_fast_paths = true;         ///< false: run the CPU specification everywhere
  DType activations = DType::f32;     ///< bf16: activations and their gradients are stored so (see use_bf16)
  /// cuBLASLt and cuDNN in place of akin's own kernels, to compare (CUDA only); nullptr: own.
  std::shared_ptr<Vendor> gemm_vendor, conv_vendor;
  std::shared_ptr<Ranks> ranks;       ///< the processes that share this run's work (ranks.hpp); nullptr: this one alone
  std::shared_ptr<Nccl> nccl;         ///< cards exchange tensors themselves (nccl.hpp); nullptr: through the ranks
  SharedBatch shared_batch;           ///< batch norms in training count the images of all ranks; {}: each its own
  LaunchLog* launches = nullptr;      ///< names of the kernels started are appended here
};

/// While alive, one of a Context's pointers (`kMember`: what is recorded, shown or told) is another; then the previous
/// one returns.
template <auto kMember>
class ContextScope {
  using Pointer = std::remove_reference_t<decltype(std::declval<Context&>().*kMember)>;

 public:
  ContextScope(Context& ctx, Pointer value) : ctx_(ctx), before_(ctx.*kMember) { ctx_.*kMember = value; }
  ~ContextScope() { ctx_.*kMember = before_; }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  Context& ctx_;
  Pointer before_;
};

/// Has activations and their gradients stored in bf16. Throws UsageError on a CPU that cannot multiply it.
void use_bf16(Context& ctx);

/// "cpu, 2 threads, oneDNN 2.6.3": what a run prints so that everyone knows where it ran.
std::string describe(const Context& ctx);

}  // namespace akin
