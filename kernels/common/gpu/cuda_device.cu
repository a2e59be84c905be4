// The CUDA runtime behind GpuDevice. Linked statically, and asked for a card only when one is wanted: a machine without
// a driver starts this program all the same.
#include <cuda_runtime.h>
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define AKIN_HAVE_NVTX 1
#endif

#include <mutex>

#include "kernels/common/error.hpp"
#include "kernels/common/gpu/device.hpp"
#include "kernels/common/gpu/shared_grants.hpp"

namespace akin {

namespace {

void check(cudaError_t error, const char* what) {
  AKIN_CHECK(error == cudaSuccess, "cuda: {}: {} ({})", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

class CudaEvent : public GpuEvent {
 public:
  explicit CudaEvent(cudaStream_t stream) {
    check(cudaEventCreate(&event_), "make an event");
    const cudaError_t error = cudaEventRecord(event_, stream);
    if (error != cudaSuccess) cudaEventDestroy(event_);
    check(error, "record an event");
  }
  ~CudaEvent() override { cudaEventDestroy(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void synchronize() override { check(cudaEventSynchronize(event_), "wait for the device"); }
  bool done() override {
    const cudaError_t error = cudaEventQuery(event_);
    if (error == cudaErrorNotReady) {
      cudaGetLastError();  // who asks for the last error is to find none
      return false;
    }
    check(error, "wait for the device");
    return true;
  }
  float milliseconds_since(const GpuEvent& start) const override {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, static_cast<const CudaEvent&>(start).event_, event_), "measure time");
    return ms;
  }
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaGraph : public GpuGraph {
 public:
  /// The graph goes to the card now, by `stream`, where it will run: not in its first launch.
  CudaGraph(cudaGraph_t graph, cudaStream_t stream) {
    cudaError_t error = cudaGraphGetNodes(graph, nullptr, &nodes_);
    if (error == cudaSuccess) error = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    if (error == cudaSuccess) {
      error = cudaGraphUpload(executable_, stream);
      if (error != cudaSuccess) cudaGraphExecDestroy(executable_);
    }
    check(error, "build a graph of the captured work");
  }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  std::size_t nodes() const override { return nodes_; }
  cudaGraphExec_t get() const { return executable_; }

 private:
  cudaGraphExec_t executable_ = nullptr;
  std::size_t nodes_ = 0;
};

class CudaStream : public GpuStream {
 public:
  CudaStream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "make a stream"); }
  ~CudaStream() override {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "copy");
  }
  void fill(void* to, unsigned char byte, std::size_t bytes) override {
    if (bytes != 0) check(cudaMemsetAsync(to, byte, bytes, stream_), "fill memory");
  }
  void synchronize() override { check(cudaStreamSynchronize(stream_), "wait for the device"); }
  std::unique_ptr<GpuEvent> record() override { return std::make_unique<CudaEvent>(stream_); }
  void wait(const GpuEvent& event) override {
    check(cudaStreamWaitEvent(stream_, static_cast<const CudaEvent&>(event).get()), "wait for an event");
  }
  void begin_capture() override {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin to capture a graph");
  }
  std::unique_ptr<GpuGraph> end_capture() override {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(stream_, &graph);
    if (error != cudaSuccess) cudaGetLastError();  // or the next call would report it again
    check(error, "capture a graph (something in it waited for the device, or ran elsewhere)");
    return std::make_unique<CudaGraph>(graph, stream_);
  }
  bool capturing() const override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(stream_, &status), "ask whether the stream captures");
    return status != cudaStreamCaptureStatusNone;
  }
  void launch(GpuGraph& graph) override {
    check(cudaGraphLaunch(static_cast<CudaGraph&>(graph).get(), stream_), "start a graph");
  }
  void* handle() override { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class CudaDevice : public GpuDevice {
 public:
  explicit CudaDevice(int index) : index_(index) {
    check(cudaSetDevice(index), "choose the card");
    check(cudaGetDeviceProperties(&properties_, index), "read the card's properties");
    const std::string problem = card_problem(properties_.name, properties_.major, properties_.minor,
                                             AKIN_CUDA_ARCHITECTURES);
    AKIN_CHECK(problem.empty(), "{}", problem);
    limits_ = {properties_.multiProcessorCount, properties_.sharedMemPerBlockOptin};
  }
  std::string describe() const override {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    return fmt::format("{} (sm_{}{}, {} multiprocessors, {:.0f} GiB), driver {}.{}", properties_.name, properties_.major,
                       properties_.minor, properties_.multiProcessorCount,
                       static_cast<double>(properties_.totalGlobalMem) / (1 << 30), driver / 1000, driver % 1000 / 10);
  }
#if defined(AKIN_HAVE_NVTX)
  void begin_range(const char* name) override { nvtxRangePushA(name); }
  void end_range() override { nvtxRangePop(); }
#endif
  const GpuLimits& limits() const override { return limits_; }
  GpuMemory memory() const override {
    GpuMemory m;
    check(cudaMemGetInfo(&m.free, &m.total), "ask for the free memory");
    return m;
  }
  void* allocate(std::size_t bytes) override {
    void* block = nullptr;
    const cudaError_t error = cudaMalloc(&block, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // handled: or the next launch would report it
      return nullptr;
    }
    check(error, "allocate memory");
    return block;
  }
  void release(void* block) noexcept override { cudaFree(block); }
  void* allocate_pinned(std::size_t bytes) override {
    void* block = nullptr;
    check(cudaMallocHost(&block, bytes), "allocate pinned host memory");
    return block;
  }
  void release_pinned(void* block) noexcept override { cudaFreeHost(block); }
  std::unique_ptr<GpuStream> make_stream() override {
    check(cudaSetDevice(index_), "choose the card");  // the choice is the thread's: a loader has its own
    return std::make_unique<CudaStream>();
  }

 private:
  int index_;
  cudaDeviceProp properties_{};
  GpuLimits limits_;
};

/// Number of cards; what the runtime said otherwise.
int count_cards(cudaError_t& error) {
  int n = 0;  // without a driver the call leaves it untouched
  error = cudaGetDeviceCount(&n);
  if (error != cudaSuccess) cudaGetLastError();
  return error == cudaSuccess ? n : 0;
}

}  // namespace

cudaError_t allow_shared(const void* kernel, std::size_t bytes) {
  static SharedGrants grants;
  int card = 0;
  cudaError_t error = cudaGetDevice(&card);
  if (error != cudaSuccess) return error;
  grants.once(card, kernel, bytes, [&] {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    return error == cudaSuccess;
  });
  return error;
}

bool built_with_cuda() { return true; }

bool cuda_usable() {
  cudaError_t error;
  return count_cards(error) > 0;
}

std::shared_ptr<GpuDevice> open_cuda(int index) {
  cudaError_t error;
  CudaFacts facts{.cards = count_cards(error), .wanted = index};
  facts.too_old = error == cudaErrorInsufficientDriver;
  cudaDriverGetVersion(&facts.driver);
  cudaRuntimeGetVersion(&facts.runtime);
  if (error != cudaSuccess && error != cudaErrorNoDevice)
    facts.error = cudaGetErrorString(error);
  const std::string problem = cuda_problem(facts);
  AKIN_CHECK(problem.empty(), "{}", problem);
  return std::make_shared<CudaDevice>(index);
}

}  // namespace akin
