// A GPU, or its emulator, as the engine sees it: memory, streams, events, graphs. Two implementations: cuda_device.cu
// (only in builds with CUDA) and ../sim/sim_device.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kernels/common/stream.hpp"

namespace akin {

/// A point in a stream's work.
class GpuEvent {
 public:
  virtual ~GpuEvent() = default;
  /// Blocks the calling thread until the work before the point is done. Throws what that work failed with.
  virtual void synchronize() = 0;
  /// Whether it is done, without blocking where the device works by itself. Throws likewise.
  virtual bool done() = 0;
  /// Milliseconds of the device between `start` and this event; both must have been recorded and be done.
  virtual float milliseconds_since(const GpuEvent& start) const = 0;
};

/// The kernels of a captured piece of work, started together.
class GpuGraph {
 public:
  virtual ~GpuGraph() = default;
  virtual std::size_t nodes() const = 0;
};

/// Work is done in the order it is queued. Every function throws Error with the device's own message; an earlier
/// kernel's failure may show only here.
class GpuStream {
 public:
  virtual ~GpuStream() = default;
  /// Between host (pinned memory, or the call waits) and device, or device and device.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill(void* to, unsigned char byte, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
  virtual std::unique_ptr<GpuEvent> record() = 0;
  /// Later work of this stream waits for `event`, without blocking the host.
  virtual void wait(const GpuEvent& event) = 0;
  /// Work queued from here on is kept instead of done. Nothing may synchronize or allocate until end_capture().
  virtual void begin_capture() = 0;
  /// Throws when the work cannot be a graph; the stream is usable afterwards.
  virtual std::unique_ptr<GpuGraph> end_capture() = 0;
  virtual bool capturing() const = 0;
  virtual void launch(GpuGraph& graph) = 0;
  /// For Stream<Cuda>::handle or Stream<Sim>::handle.
  virtual void* handle() = 0;
};

struct GpuMemory {
  std::size_t free = 0, total = 0;  ///< bytes
};

class GpuDevice {
 public:
  virtual ~GpuDevice() = default;
  /// "NVIDIA H100 80GB HBM3 (sm_90, 132 multiprocessors, 79 GiB), driver 13.0"
  virtual std::string describe() const = 0;
  virtual const GpuLimits& limits() const = 0;
  virtual GpuMemory memory() const = 0;
  /// Device memory, 256-byte aligned; nullptr when there is not enough.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* block) noexcept = 0;
  /// Host memory that copies need not stage. Throws.
  virtual void* allocate_pinned(std::size_t bytes) = 0;
  virtual void release_pinned(void* block) noexcept = 0;
  virtual std::unique_ptr<GpuStream> make_stream() = 0;
  /// Names what this thread does from here to end_range() for the vendor's own profiler (NVTX); ranges nest. Nothing
  /// where there is none.
  virtual void begin_range(const char* name) { static_cast<void>(name); }
  virtual void end_range() {}
};

/// What the CUDA runtime said when it was asked for a card. Versions as CUDA counts: 13000 = 13.0.
struct CudaFacts {
  int driver = 0;   ///< CUDA version the driver supports; 0: no driver answers
  int runtime = 0;  ///< CUDA version this program was built with
  bool too_old = false;  ///< the runtime refuses the driver
  int cards = 0, wanted = 0;
  std::string error = {};  ///< of counting the cards, other than "no card" and "driver too old"; empty: none
};
/// Why card `wanted` cannot be used and what to do, or "".
std::string cuda_problem(const CudaFacts& facts);
/// The same for a card that was found: it needs compute capability 8.0, and code that was built for it.
/// `architectures`: those of the build as CMake names them, with commas between ("80,90a-real").
std::string card_problem(const std::string& name, int major, int minor, std::string_view architectures);

/// True in a build with CUDA.
bool built_with_cuda();
/// True when a driver answers and has a card; never throws.
bool cuda_usable();
/// The card `index`. Throws Error: no CUDA in this build, no driver, driver too old, no such card, card too old
/// (compute capability below 8.0); each says what to do.
std::shared_ptr<GpuDevice> open_cuda(int index = 0);

}  // namespace akin
