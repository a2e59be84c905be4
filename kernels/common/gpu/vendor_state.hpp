// Only for the plug-in (vendor_plugin.cpp, gemm_cublas.cpp, conv2d_cudnn.cpp): what a Vendor holds.
#pragma once

#include <cuda_runtime_api.h>

#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "kernels/common/error.hpp"
#include "kernels/common/gpu/vendor.hpp"

namespace akin::vendor {

inline void check(cudaError_t error, const char* what) {
  AKIN_CHECK(error == cudaSuccess, "{}: {}", what, cudaGetErrorString(error));
}

/// Device memory that stays where it is: a captured graph may hold the address.
class Workspace {
 public:
  ~Workspace() {
    for (void* p : blocks_) cudaFree(p);
  }
  void* at_least(std::size_t bytes) {
    if (bytes > size_) {
      void* p = nullptr;
      check(cudaMalloc(&p, bytes), "allocate a workspace");
      blocks_.push_back(p);
      size_ = bytes;
    }
    return size_ == 0 ? nullptr : blocks_.back();
  }

 private:
  std::vector<void*> blocks_;  // the earlier ones too
  std::size_t size_ = 0;
};

struct Library {
  virtual ~Library() = default;
};

/// What one library keeps: a handle, plans by shape.
template <class Handle, auto destroy, class Plan>
struct LibraryOf : Library {
  Handle handle = nullptr;
  std::map<std::vector<std::int64_t>, std::unique_ptr<Plan>> plans;
  LibraryOf() = default;
  ~LibraryOf() override {
    plans.clear();
    if (handle != nullptr) destroy(handle);
  }
  LibraryOf(const LibraryOf&) = delete;
  LibraryOf& operator=(const LibraryOf&) = delete;
};

struct State {
  bool tf32 = false;
  Workspace workspace;
  std::unique_ptr<Library> gemm, conv;  ///< made at the first use
};

/// Calls run(i) for each candidate, thrice with a clock after a first time without; returns the fastest, or -1 where
/// none works (run returns false).
template <class Run>
int fastest(cudaStream_t stream, int candidates, Run&& run) {
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &capturing), "ask the stream");
  AKIN_CHECK(
      capturing == cudaStreamCaptureStatusNone,
      "the first call with a shape tries several kernels and cannot be captured in a graph; run the step once before");
  cudaEvent_t begin = nullptr, end = nullptr;
  check(cudaEventCreate(&begin), "make an event");
  check(cudaEventCreate(&end), "make an event");
  int best = -1;
  float least = std::numeric_limits<float>::infinity();
  for (int i = 0; i < candidates; ++i) {
    bool works = run(i) && cudaStreamSynchronize(stream) == cudaSuccess;
    float ms = 0;
    if (works) {
      works = cudaEventRecord(begin, stream) == cudaSuccess;
      for (int k = 0; works && k < 3; ++k) works = run(i);
      works = works && cudaEventRecord(end, stream) == cudaSuccess && cudaEventSynchronize(end) == cudaSuccess &&
              cudaEventElapsedTime(&ms, begin, end) == cudaSuccess;
    }
    if (works && ms < least) {
      least = ms;
      best = i;
    }
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGetLastError();  // of candidates that did not work
  return best;
}

/// Largest power of two up to 256 that divides the address.
inline std::uint32_t alignment_of(const void* p) {
  std::uint32_t a = 256;
  while (reinterpret_cast<std::uintptr_t>(p) % a != 0) a /= 2;
  return a;
}

std::string cublas_version();
std::string cudnn_version();
/// These throw.
void gemm(State& state, cudaStream_t stream, const VendorGemm& product);
void conv2d(State& state, cudaStream_t stream, const VendorConv& product);
void open_gemm(State& state);
void open_conv2d(State& state);

}  // namespace akin::vendor
